//! `GatewayClass`: whether we take it, and what we carry of the API.
//!
//! `SupportedVersion` is left out: it is about the CRDs of the cluster, which are no objects that we read.

use serde_json::json;

use super::{
    Context, Desired,
    condition::{ACCEPTED, Condition, refused, said_except},
    merge::Shape,
};
use crate::{
    kubernetes::object::{Item, gateway::GatewayClass},
    report::{Severity, Verdict},
};

pub(super) const SHAPE: Shape = Shape { fields: &["supportedFeatures"], conditions: &[ACCEPTED], list: None };

/// Features of the Gateway API 1.7 that are carried from the object to the byte, in the order that the API asks for.
/// Whoever makes one more true adds it here; users and the conformance suite go by it.
///
/// Known and missing: `GatewayStaticAddresses` (addresses come without pools yet), `GatewayInfrastructure`,
/// `GatewayFrontendClientCertificateValidation` (+`InsecureFallback`), `ListenerSet`, `HTTPRouteCORS`,
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
    Some(desired)
}

fn accepted(verdict: &Verdict) -> Condition {
    let ignored: Vec<_> = verdict.findings.iter().filter(|finding| finding.severity == Severity::Ignored).collect();
    let yes = || Condition::yes(ACCEPTED, ACCEPTED, said_except("Gateways of this class are served", &ignored));
    Condition::refused(ACCEPTED, &refused(&verdict.findings)).unwrap_or_else(yes)
}
