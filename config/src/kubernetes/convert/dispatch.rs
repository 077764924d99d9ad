//! Which converter an object or a slot goes to: one arm per kind, one function per kind of slot.

use super::{
    Contribution, Filled, Settings, exposure, gateway, ingress,
    middleware::{self},
    secret, service, slot, traefik,
};
use crate::{
    kubernetes::{
        object::{Kind, Object},
        view::View,
    },
    model::{
        certificate::CertificateSlot,
        cluster::ClusterSlot,
        id::{CertificateId, ClusterId, MiddlewareId, ObjectId},
        middleware::MiddlewareSlot,
        route::Rule,
    },
};

/// What `object` contributes. Kinds that others refer to and that contribute nothing by themselves still pass here,
/// so that what is wrong with them is said even while nobody refers to them.
pub fn object(object: &Object, view: &View<'_>, settings: &Settings) -> Contribution {
    match object {
        Object::Ingress(item) => ingress::convert(item, view, settings),
        Object::IngressRoute(item) => traefik::ingress_route(item, view, settings),
        Object::IngressRouteTcp(item) => traefik::ingress_route_tcp(item, view, settings),
        Object::ServersTransport(item) => traefik::transport::convert(item, view),
        Object::Secret(item) => secret::object(item, view, settings),
        Object::Service(item) => service::object(item, view, settings),
        Object::EndpointSlice(item) => service::slice(item, settings),
        Object::Middleware(item) => {
            Contribution { findings: middleware::convert(item, view, settings).1, ..Contribution::default() }
        }
        Object::MiddlewareTcp(item) => {
            Contribution { findings: middleware::tcp::convert(item, view, settings).1, ..Contribution::default() }
        }
        Object::IpAddressPool(item) => exposure::pool(item, view),
        Object::L2Advertisement(item) => exposure::advertisement(item, view),
        _ => gateway::convert(object, view, settings),
    }
}

/// What a certificate asks for that answers for its own names on every TLS entry point.
pub fn own_names(id: &CertificateId, view: &View<'_>, settings: &Settings) -> Contribution {
    secret::own_names(id, view, settings)
}

/// The object that a certificate slot is made from.
pub fn certificate_object(id: &CertificateId) -> ObjectId {
    let (namespace, name) = slot::split(id.as_str()).unwrap_or(("", id.as_str()));
    ObjectId { kind: Kind::Secret.shared(), namespace: namespace.into(), name: name.into() }
}

/// The field that a rule's match is written in.
pub fn match_field(rule: &Rule) -> String {
    let (of_rule, of_match) = (rule.source.rule_index, rule.match_index);
    match &*rule.source.object.kind {
        "Ingress" if rule.fallback => "spec.defaultBackend".to_owned(),
        "Ingress" => format!("spec.rules[{of_rule}].http.paths[{of_match}]"),
        "IngressRoute" => format!("spec.routes[{of_rule}].match"),
        _ => format!("spec.rules[{of_rule}].matches[{of_match}]"),
    }
}

/// Fills a cluster slot.
pub fn cluster(id: &ClusterId, view: &View<'_>, settings: &Settings) -> Filled<ClusterSlot> {
    service::cluster(id, view, settings)
}

/// Fills a certificate slot.
pub fn certificate(id: &CertificateId, view: &View<'_>) -> Filled<CertificateSlot> {
    secret::certificate(id, view)
}

/// Fills a middleware slot.
pub fn middleware(id: &MiddlewareId, view: &View<'_>, settings: &Settings) -> Filled<MiddlewareSlot> {
    middleware::fill(id, view, settings)
}
