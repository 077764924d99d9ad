//! `GatewayClass`: whether we take it, and what we carry of the API.

use serde_json::json;

use super::{
    Context, Desired, OTHER_INSTALLATION,
    condition::{ACCEPTED, Condition, refused, said_except},
    merge::Shape,
};
use crate::{
    kubernetes::object::{Item, gateway::GatewayClass},
    report::{Severity, Verdict},
};

pub(super) const SHAPE: Shape =
    Shape { fields: &["supportedFeatures"], conditions: &[ACCEPTED, SUPPORTED_VERSION, SOLE_INSTALLATION], list: None };

/// Whether the definitions in the cluster are of a release that we know (GEP-1364); left out where we may not see that.
const SUPPORTED_VERSION: &str = "SupportedVersion";
/// The releases that we know: `v1.0` to this.
const NEWEST: (u32, u32) = (1, 7);

/// Our own: false, and only then there, while another Postern speaks for the same controllers.
const SOLE_INSTALLATION: &str = "postern.dev/SoleInstallation";

/// Features of the Gateway API 1.7 that are carried from the object to the byte, in the order that the API asks for.
/// Whoever makes one more true adds it here; users and the conformance suite go by it.
///
/// Known and missing: `GatewayInfrastructure`, `GatewayFrontendClientCertificateValidation` (+`InsecureFallback`), `ListenerSet`, `HTTPRouteCORS`,
/// `HTTPRouteRequestMirror` (+`MultipleMirrors`, `PercentageMirror`), `TCPRoute`, `UDPRoute`, and what is experimental.
pub(super) const FEATURES: &[&str] = &[
    "BackendTLSPolicy",
    "BackendTLSPolicySANValidation",
    "GRPCRoute",
    "GRPCRouteNamedRouteRule",
    "GRPCRouteRequestHeaderModifier",
    "Gateway",
    "GatewayAddressEmpty",
    "GatewayBackendClientCertificate",
    "GatewayHTTPListenerIsolation",
    "GatewayHTTPSListenerDetectMisdirectedRequests",
    "GatewayPort8080",
    "GatewayRouteHostnameIntersectionPrecedence",
    "GatewayStaticAddresses",
    "HTTPRoute",
    "HTTPRoute303RedirectStatusCode",
    "HTTPRoute307RedirectStatusCode",
    "HTTPRoute308RedirectStatusCode",
    "HTTPRouteBackendProtocolH2C",
    "HTTPRouteBackendProtocolWebSocket",
    "HTTPRouteBackendRequestHeaderModification",
    "HTTPRouteBackendTimeout",
    "HTTPRouteBackendURLRewrite",
    "HTTPRouteDestinationPortMatching",
    "HTTPRouteHostRewrite",
    "HTTPRouteMethodMatching",
    "HTTPRouteNamedRouteRule",
    "HTTPRouteParentRefPort",
    "HTTPRoutePathRedirect",
    "HTTPRoutePathRewrite",
    "HTTPRoutePortRedirect",
    "HTTPRouteQueryParamMatching",
    "HTTPRouteRequestTimeout",
    "HTTPRouteResponseHeaderModification",
    "HTTPRouteRetryCodes",
    "HTTPRouteRetryConnectionError",
    "HTTPRouteSchemeRedirect",
    "ReferenceGrant",
    "TLSRoute",
    "TLSRouteModeMixed",
    "TLSRouteModeTerminate",
];

pub(super) fn desired(class: &Item<GatewayClass>, verdict: &Verdict, context: &Context<'_>) -> Option<Desired> {
    if !context.settings.gateway_controllers.contains(&class.body.spec.controller_name) {
        return None;
    }
    let features: Vec<_> = FEATURES.iter().map(|name| json!({"name": name})).collect();
    let mut desired = Desired::of::<GatewayClass>(&class.meta, context);
    desired.fields = vec![("supportedFeatures", features.into())];
    desired.conditions = vec![accepted(verdict)];
    desired.conditions.extend(context.report.bundle.as_deref().map(supported));
    desired.conditions.extend(context.others().map(|why| Condition::no(SOLE_INSTALLATION, OTHER_INSTALLATION, why)));
    Some(desired)
}

fn supported(bundle: &str) -> Condition {
    let mut numbers = bundle.trim_start_matches('v').split('.').map_while(|part| part.parse::<u32>().ok());
    let (major, newest) = NEWEST;
    match (numbers.next(), numbers.next()) {
        (Some(is), Some(minor)) if is == major && minor <= newest => Condition::yes(
            SUPPORTED_VERSION,
            SUPPORTED_VERSION,
            format!("The CRDs of the cluster are of release {bundle}"),
        ),
        _ => {
            let message = format!(
                "The CRDs of the cluster are of release {bundle}, and v{major}.0 to v{major}.{newest} are known here: what is newer in them is refused by name"
            );
            Condition::no(SUPPORTED_VERSION, "UnsupportedVersion", message)
        }
    }
}

fn accepted(verdict: &Verdict) -> Condition {
    let ignored: Vec<_> = verdict.findings.iter().filter(|finding| finding.severity == Severity::Ignored).collect();
    let yes = || Condition::yes(ACCEPTED, ACCEPTED, said_except("Gateways of this class are served", &ignored));
    Condition::refused(ACCEPTED, &refused(&verdict.findings)).unwrap_or_else(yes)
}
