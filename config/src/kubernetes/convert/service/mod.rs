//! A Service and its EndpointSlices → cluster slots, one per port that somebody refers to.
//!
//! There is no way around the endpoints: a cluster address is never used, so that every choice is ours.

mod endpoint;
mod external;
mod option;
mod port;
mod protocol;
mod transport;
mod variant;

use std::sync::Arc;

use super::{Contribution, Filled, Settings, backend_tls, exposure, object_id, secret, slot};
use crate::{
    kubernetes::{
        object::{
            Item,
            core::Secret,
            discovery::EndpointSlice,
            service::{Service, ServiceType},
        },
        view::View,
    },
    model::{
        certificate::Certificate,
        cluster::{Cluster, ClusterSlot, Endpoint, UpstreamTls},
        id::ClusterId,
    },
    report::Finding,
};

pub(super) use option::cookie_name;
pub use port::{Found, PortProblem, find};
pub use variant::Asked;

/// What is wrong with a Service by itself, and what it wants outside.
pub fn object(item: &Item<Service>, view: &View<'_>, settings: &Settings) -> Contribution {
    let (options, mut findings) = option::read(item);
    findings.extend(transport::problem(item, &options, view, settings));
    findings.extend(protocol::unknown(&item.body));
    let mut contribution = Contribution { findings, ..Contribution::default() };
    exposure::service(item, view, settings, &mut contribution);
    contribution
}

/// What is wrong with an EndpointSlice by itself.
pub fn slice(item: &Item<EndpointSlice>, settings: &Settings) -> Contribution {
    Contribution { findings: endpoint::judge(item, settings), ..Contribution::default() }
}

/// Fills a cluster slot.
pub fn cluster(id: &ClusterId, view: &View<'_>, settings: &Settings) -> Filled<ClusterSlot> {
    match fill(id, view, settings) {
        Ok((cluster, findings)) => Filled { findings, ..Filled::new(ClusterSlot::Ready(cluster)) },
        Err(reason) => {
            let findings = closed_external_name(id, view, &reason).into_iter().collect();
            Filled { findings, ..Filled::new(ClusterSlot::Refused { reason: reason.into() }) }
        }
    }
}

/// Other closed backends are told where they are referred to; an external name only the Service itself can mend.
fn closed_external_name(
    id: &ClusterId,
    view: &View<'_>,
    reason: &str,
) -> Option<(crate::model::id::ObjectId, Finding)> {
    let at = slot::parse_cluster(id)?;
    let service = view.get::<Service>(at.namespace, at.name)?;
    let finding = || {
        Finding::refused(
            "spec.externalName",
            "ExternalNameRefused",
            format!("{reason}; answers 503 (500 from the Gateway API)"),
        )
    };
    (service.body.spec.kind == ServiceType::ExternalName).then(|| (object_id(&**service), finding()))
}

type Findings = Vec<(crate::model::id::ObjectId, Finding)>;

fn fill(id: &ClusterId, view: &View<'_>, settings: &Settings) -> Result<(Cluster, Findings), String> {
    let at = slot::parse_cluster(id).ok_or_else(|| format!("{id} is not a Service's port"))?;
    let Some(service) = view.get::<Service>(at.namespace, at.name) else {
        return Err(format!("Service {}/{} does not exist", at.namespace, at.name));
    };
    let (mut options, _) = option::read(service);
    variant::apply(&mut options, &at.variant);
    if let Some(reason) = options.closed {
        return Err(format!("Service {}/{}: {reason}", at.namespace, at.name));
    }
    let port = port::of_service(&service.body, at.port)
        .map_err(|problem| format!("Service {}/{}: {problem}", at.namespace, at.name))?;
    let mut spoken = protocol::choose(&port, options.scheme, &at.variant)?;
    let mut findings = Findings::new();
    if at.variant.get("protocol") != Some(&"tls") {
        // A policy has the last word on TLS, and one that cannot be honoured closes the backend.
        let policy = backend_tls::upstream(view, at.namespace, at.name, port.name).map_err(|why| why.to_string())?;
        let asked = transport::find(&service.meta, &options, &at.variant, view, settings)?;
        if let Some(asked) = asked.filter(|_| spoken.is_http()) {
            let clear = transport::apply(asked, &mut spoken, &mut options, policy.is_some())?;
            findings.extend(clear.map(|finding| (object_id(&**service), finding)));
        }
        spoken.tls = policy.or(spoken.tls);
    }
    if let (Some(tls), Some(secret)) = (&spoken.tls, at.variant.get(slot::CLIENT_CERTIFICATE)) {
        let client_certificate = Some(client_certificate(secret, view)?);
        spoken.tls = Some(UpstreamTls { client_certificate, ..(**tls).clone() }.into());
    }
    let endpoints = endpoints(view, service, &port, spoken.is_http(), settings)?;
    if endpoints.is_empty() {
        findings.push((object_id(&**service), no_endpoints(service, &port)));
    }
    let cluster = Cluster {
        id: id.clone(),
        endpoints,
        protocol: spoken.protocol,
        tls: spoken.tls,
        balance: options.balance,
        sticky: options.sticky.map(|sticky| sticky.cookie(at.namespace, at.name, at.port)),
        health: options.health,
        passive: options.passive,
        pass_host: options.pass_host,
        connect_timeout: options.connect_timeout,
    };
    Ok((cluster, findings))
}

/// The certificate in Secret `namespace/name`, as a variant names it.
fn client_certificate(secret: &str, view: &View<'_>) -> Result<Arc<Certificate>, String> {
    let closed = |why: &str| format!("the client certificate of the Gateway cannot be used: {why}");
    let (namespace, name) = slot::split(secret).ok_or_else(|| closed("it may not be referred to"))?;
    let item = view.get::<Secret>(namespace, name).ok_or_else(|| closed(&format!("there is no Secret {secret}")))?;
    secret::certificate_of(item).clone().map_err(|problem| closed(&format!("Secret {secret}: {problem}")))
}

fn endpoints(
    view: &View<'_>,
    service: &Item<Service>,
    port: &Found<'_>,
    http: bool,
    settings: &Settings,
) -> Result<Vec<Endpoint>, String> {
    if service.body.spec.kind == ServiceType::ExternalName {
        external::endpoints(view, service, port.number, settings)
    } else {
        Ok(endpoint::of_service(view, service, port.name, http, settings))
    }
}

fn no_endpoints(service: &Item<Service>, port: &Found<'_>) -> Finding {
    let name = if port.name.is_empty() { "without a name".to_owned() } else { format!("named {}", port.name) };
    Finding::warning(
        "spec.ports",
        "NoEndpoints",
        format!("port {} has no endpoint that serves; its routes answer 503", port.number),
    )
    .remedy(format!(
        "an EndpointSlice with the label {}={} and a port {name} is wanted",
        EndpointSlice::SERVICE_LABEL,
        service.meta.name
    ))
}
