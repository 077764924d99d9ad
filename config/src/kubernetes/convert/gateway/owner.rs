//! `Gateway`: sockets, and what happens to TLS on them. Routes read the listeners by themselves.

use std::sync::Arc;

use super::{
    class::{self, Ownership},
    grant::{self, Reference},
    listener::{Listener, Listeners, Protocol},
    reason,
};
use crate::{
    kubernetes::{
        convert::{Contribution, Settings, SniClaim, SniRank, SocketClaim, object_id, secret, slot},
        object::{Item, Kind, core::Secret, gateway::Gateway},
        view::View,
    },
    model::{
        host::HostPattern,
        id::CertificateId,
        route::{Forward, Timeouts},
    },
    report::Finding,
    snapshot::{OwnerId, SniAction},
};

/// What a Gateway contributes.
pub(super) fn convert(gateway: &Item<Gateway>, view: &View<'_>, settings: &Settings) -> Contribution {
    let mut contribution = Contribution::default();
    let ownership = class::ownership(view, settings, &gateway.body.spec.gateway_class_name);
    if let Err(finding) = served(gateway, ownership) {
        contribution.findings.push(finding);
        return contribution;
    }
    contribution.findings.extend(taken_over_parameters(gateway));
    let listeners = Listeners::of(gateway);
    contribution.findings.extend_from_slice(&listeners.findings);
    for listener in &listeners.all {
        add(&listeners, listener, view, &mut contribution);
    }
    let claimed: Vec<_> = contribution.sockets.iter().map(|claim| claim.socket).collect();
    contribution.sni.retain(|claim| claimed.contains(&claim.socket));
    contribution
}

/// Whether a Gateway of a class of this ownership is served, and what to say if not.
pub(super) fn served(gateway: &Item<Gateway>, ownership: Ownership) -> Result<(), Finding> {
    let class = &gateway.body.spec.gateway_class_name;
    let field = "spec.gatewayClassName";
    let parameters = gateway.body.spec.infrastructure.as_ref().is_some_and(|infra| infra.parameters_ref.is_some());
    match ownership {
        Ownership::Own if parameters => Err(Finding::refused(
            "spec.infrastructure.parametersRef",
            reason::INVALID_PARAMETERS,
            "parameters of a Gateway are not carried, so it is not served",
        )
        .remedy("remove parametersRef")),
        Ownership::Own | Ownership::TakenOver => Ok(()),
        Ownership::Foreign => {
            Err(Finding::ignored(field, reason::NOT_OURS, format!("class {class} belongs to another controller")))
        }
        Ownership::Refused => {
            Err(Finding::refused(field, reason::INVALID_PARAMETERS, format!("class {class} is refused itself")))
        }
        Ownership::Missing => {
            Err(Finding::refused(field, reason::CLASS_NOT_FOUND, format!("there is no GatewayClass {class}"))
                .remedy("add one with controllerName: postern.dev/gateway"))
        }
    }
}

fn taken_over_parameters(gateway: &Item<Gateway>) -> Option<Finding> {
    gateway.body.spec.infrastructure.as_ref()?.parameters_ref.map(|_| {
        Finding::ignored(
            "spec.infrastructure.parametersRef",
            reason::INVALID_PARAMETERS,
            "the parameters are those of the product that is replaced and have no effect",
        )
    })
}

fn add(listeners: &Listeners<'_>, listener: &Listener<'_>, view: &View<'_>, contribution: &mut Contribution) {
    let (Some(protocol), Some(host)) = (listener.protocol, &listener.host) else { return };
    let certificates = certificates(listeners.gateway, listener, view, &mut contribution.findings);
    let owner = owner(listeners.gateway, listener);
    let created = listeners.gateway.meta.creation_timestamp;
    let field: Arc<str> = listener.field().into();
    for socket in listener.sockets(&listeners.addresses) {
        if listener.accepted {
            let transport = protocol.transport();
            let (owner, field) = (owner.clone(), field.clone());
            contribution.sockets.push(SocketClaim { socket, transport, owner, created, field });
        }
        if let Some((rank, action)) = action(listener, protocol, &certificates) {
            let (pattern, asked, owner, field) = (host.clone(), host.clone(), owner.clone(), field.clone());
            let claim = SniClaim { socket, pattern, asked, rank, owner, created, action, certificate: None, field };
            contribution.sni.push(claim);
        }
    }
    if listener.accepted {
        contribution.certificates.extend(certificates);
    }
}

/// The Gateway with the listener's name.
pub(super) fn owner(gateway: &Item<Gateway>, listener: &Listener<'_>) -> OwnerId {
    OwnerId { object: object_id(gateway), section: listener.spec.name.clone() }
}

/// HTTPS ends TLS; what has no route (yet) and what is refused, by a conflict too, closes the connection, so that no
/// wider listener takes it.
fn action(listener: &Listener<'_>, protocol: Protocol, certificates: &[CertificateId]) -> Option<(SniRank, SniAction)> {
    match protocol {
        Protocol::Http => None,
        Protocol::Https if listener.accepted => Some((SniRank::Named, SniAction::Terminate(certificates.into()))),
        _ if listener.host == Some(HostPattern::Any) => None,
        _ => Some((SniRank::Reserved, SniAction::Passthrough(Arc::new(nowhere())))),
    }
}

/// A forward that has no backend: the connection is closed.
pub(super) fn nowhere() -> Forward {
    Forward {
        backends: Vec::new(),
        unresolved: http::StatusCode::INTERNAL_SERVER_ERROR,
        timeouts: Timeouts::default(),
        retry: None,
    }
}

/// The certificate slots of a listener that ends TLS: those that it may refer to, whether they are there or not.
pub(super) fn certificates(
    gateway: &Item<Gateway>,
    listener: &Listener<'_>,
    view: &View<'_>,
    findings: &mut Vec<Finding>,
) -> Vec<CertificateId> {
    let refs = match (&listener.spec.tls, listener.protocol) {
        (Some(tls), Some(Protocol::Https | Protocol::TlsTerminate)) => tls.certificate_refs.as_slice(),
        _ => &[],
    };
    let mut ids = Vec::new();
    for (index, reference) in refs.iter().enumerate() {
        let namespace = reference.namespace.as_ref().unwrap_or(&gateway.meta.namespace);
        match certificate_problem(gateway, reference, namespace, view) {
            None => {}
            Some(CertificateProblem { finding: (reason, message), remedy, usable }) => {
                let field = format!("{}.tls.certificateRefs[{index}]", listener.field());
                findings.push(Finding::refused(field, reason, message).remedy(remedy));
                if !usable {
                    continue;
                }
            }
        }
        ids.push(slot::certificate(namespace, &reference.name));
    }
    ids
}

struct CertificateProblem {
    finding: (&'static str, String),
    remedy: String,
    /// Whether the slot is referred to all the same, since it may come to be.
    usable: bool,
}

fn certificate_problem(
    gateway: &Item<Gateway>,
    reference: &crate::kubernetes::object::gateway::ObjectRef,
    namespace: &str,
    view: &View<'_>,
) -> Option<CertificateProblem> {
    let (group, kind) = (reference.group.as_deref().unwrap_or(""), reference.kind.as_deref().unwrap_or("Secret"));
    if (group, kind) != ("", "Secret") {
        return Some(CertificateProblem {
            finding: (
                reason::INVALID_CERTIFICATE_REF,
                format!("{} is no kind of certificate", reason::kind(kind, group)),
            ),
            remedy: "name a Secret of type kubernetes.io/tls".to_owned(),
            usable: false,
        });
    }
    let consent = Reference {
        from: Kind::Gateway,
        from_namespace: &gateway.meta.namespace,
        to: Kind::Secret,
        to_namespace: namespace,
        to_name: &reference.name,
    };
    if !grant::permits(view, consent) {
        return Some(CertificateProblem {
            finding: (
                reason::REF_NOT_PERMITTED,
                format!("namespace {namespace} does not consent to the use of its Secret {}", reference.name),
            ),
            remedy: grant::remedy(consent),
            usable: false,
        });
    }
    let message = match view.get::<Secret>(namespace, &reference.name).map(|item| secret::certificate_of(item)) {
        Some(Ok(_)) => return None,
        Some(Err(problem)) => format!("Secret {namespace}/{} is no certificate: {problem}", reference.name),
        None => format!("there is no Secret {namespace}/{}", reference.name),
    };
    Some(CertificateProblem {
        finding: (reason::INVALID_CERTIFICATE_REF, message),
        remedy: String::new(),
        usable: true,
    })
}
