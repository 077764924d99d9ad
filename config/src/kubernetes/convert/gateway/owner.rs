//! `Gateway`: sockets, and what happens to TLS on them. Routes read the listeners by themselves.

use std::sync::Arc;

use super::{
    certificate_ref::{self, CertificateRef},
    class::{self, Ownership},
    listener::{Listener, Listeners, Protocol},
    reason,
};
use crate::{
    kubernetes::{
        convert::{Contribution, Settings, SniClaim, SniRank, SocketClaim, exposure, object_id, slot},
        object::{Item, gateway::Gateway},
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
    let listeners = Listeners::of(gateway, view, settings);
    contribution.findings.extend_from_slice(&listeners.findings);
    contribution.findings.extend(client_certificate_problem(gateway, view));
    for listener in &listeners.all {
        add(&listeners, listener, view, &mut contribution);
    }
    let claimed: Vec<_> = contribution.sockets.iter().map(|claim| claim.socket).collect();
    contribution.sni.retain(|claim| claimed.contains(&claim.socket));
    if listeners.all.iter().any(|listener| listener.accepted) {
        exposure::gateway(gateway, view, settings, &mut contribution);
    }
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
            Err(Finding::note(field, reason::NOT_OURS, format!("class {class} belongs to another controller")))
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

fn client_certificate_problem(gateway: &Item<Gateway>, view: &View<'_>) -> Option<Finding> {
    let reference = certificate_ref::towards_backends(gateway)?;
    let mut finding = reference.check(view).and_then(|()| reference.existing(view)).err()?;
    finding.message.push_str(", so its routes reach no backend over TLS");
    Some(finding)
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
        _ => Some((SniRank::Reserved, SniAction::Passthrough(Arc::new(nowhere().into())))),
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
        let field = format!("{}.tls.certificateRefs[{index}]", listener.field());
        let reference = CertificateRef { gateway, reference, field, invalid: reason::INVALID_CERTIFICATE_REF };
        match reference.check(view) {
            // The slot is referred to all the same while there is no certificate, since it may come to be.
            Ok(()) => {
                findings.extend(reference.existing(view).err());
                ids.push(slot::certificate(reference.namespace(), &reference.reference.name));
            }
            Err(finding) => findings.push(finding),
        }
    }
    ids
}
