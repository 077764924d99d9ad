//! `Gateway`.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use serde::Deserialize;

use super::super::{field::or_default, selector::LabelSelector};
use super::{DefaultScope, ObjectRef, Port, Unused};

/// Listeners of a class.
#[derive(Debug, PartialEq, Deserialize)]
pub struct Gateway {
    /// Everything else.
    pub spec: GatewaySpec,
    /// The addresses that it was given, where they are its own.
    #[serde(default, deserialize_with = "or_default")]
    pub status: GatewayStatus,
}

/// `status`, of a Gateway whose addresses are on record there; nothing of any other's.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct GatewayStatus {
    /// Where it is reached.
    #[serde(deserialize_with = "or_default")]
    pub addresses: Vec<GatewayStatusAddress>,
    conditions: Unused,
}

/// `status.addresses[]`.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct GatewayStatusAddress {
    /// Always `IPAddress` where it is on record.
    #[serde(rename = "type")]
    pub kind: Option<Arc<str>>,
    /// The address.
    pub value: Option<Arc<str>>,
}

impl Gateway {
    /// The condition that says that the addresses of the status are the Gateway's own, and not those that everything
    /// is reached at.
    pub const ALLOCATED: &str = "postern.dev/AddressAllocated";

    /// The addresses on record.
    pub fn recorded(&self) -> impl Iterator<Item = IpAddr> {
        let values = self.status.addresses.iter().filter_map(|address| address.value.as_ref()?.parse::<IpAddr>().ok());
        values.map(|address| address.to_canonical())
    }
}

/// `spec`.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewaySpec {
    /// The class.
    pub gateway_class_name: Arc<str>,
    /// The listeners, 1 to 64.
    #[serde(default, deserialize_with = "or_default")]
    pub listeners: Vec<Listener>,
    /// Where they listen; the default addresses when empty.
    #[serde(default, deserialize_with = "or_default")]
    pub addresses: Vec<GatewayAddress>,
    /// What it asks of what is made for it; of that, its addresses.
    pub infrastructure: Option<Infrastructure>,
    /// Not carried.
    pub allowed_listeners: Option<AllowedListeners>,
    /// TLS towards backends, and how clients are authenticated.
    pub tls: Option<GatewayTls>,
    /// Not carried (experimental).
    pub default_scope: Option<DefaultScope>,
}

/// `spec.addresses[]`.
#[derive(Debug, PartialEq, Deserialize)]
pub struct GatewayAddress {
    /// `IPAddress` when left out; `Hostname`, `NamedAddress` or a domain-prefixed type.
    #[serde(rename = "type")]
    pub kind: Option<Arc<str>>,
    /// The address; the installation chooses when empty or left out.
    pub value: Option<Arc<str>>,
    /// Not carried (experimental).
    pub routability: Option<Unused>,
}

/// `spec.infrastructure`.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Infrastructure {
    /// Not carried.
    pub labels: Option<Unused>,
    /// Those of MetalLB's that ask for addresses.
    #[serde(default, deserialize_with = "or_default")]
    pub annotations: BTreeMap<Arc<str>, Arc<str>>,
    /// Not carried.
    pub parameters_ref: Option<Unused>,
}

/// `spec.allowedListeners`.
#[derive(Debug, PartialEq, Deserialize)]
pub struct AllowedListeners {
    /// From where ListenerSets may be attached.
    pub namespaces: Option<ListenerNamespaces>,
}

/// `spec.allowedListeners.namespaces`.
#[derive(Debug, PartialEq, Deserialize)]
pub struct ListenerNamespaces {
    /// `None` when left out.
    pub from: Option<FromNamespaces>,
    /// With `Selector`.
    pub selector: Option<Unused>,
}

/// `spec.tls`.
#[derive(Debug, PartialEq, Deserialize)]
pub struct GatewayTls {
    /// What is presented to backends.
    pub backend: Option<BackendTls>,
    /// How clients are authenticated. Not carried.
    pub frontend: Option<FrontendTls>,
}

/// `spec.tls.backend`.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendTls {
    /// A Secret; only backends that are spoken to over TLS see the certificate.
    pub client_certificate_ref: Option<ObjectRef>,
}

/// `spec.tls.frontend`.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FrontendTls {
    /// For every port that `per_port` does not name.
    pub default: FrontendValidation,
    /// For single ports.
    #[serde(default, deserialize_with = "or_default")]
    pub per_port: Vec<FrontendPort>,
}

/// `spec.tls.frontend.perPort[]`.
#[derive(Debug, PartialEq, Deserialize)]
pub struct FrontendPort {
    /// The port.
    pub port: Port,
    /// How clients of it are authenticated.
    pub tls: FrontendValidation,
}

/// How clients are authenticated.
#[derive(Debug, PartialEq, Deserialize)]
pub struct FrontendValidation {
    /// Not at all when left out.
    pub validation: Option<Unused>,
}

/// `spec.listeners[]`.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Listener {
    /// Unique in the Gateway.
    pub name: Arc<str>,
    /// The port, before any port mapping.
    pub port: Port,
    /// `HTTP`, `HTTPS`, `TLS`, `TCP`, `UDP` or a domain-prefixed name.
    pub protocol: Arc<str>,
    /// The hosts; every host when left out.
    pub hostname: Option<Arc<str>>,
    /// TLS, for `HTTPS` and `TLS`.
    pub tls: Option<ListenerTls>,
    /// Which routes may attach; those of the Gateway's namespace when left out.
    pub allowed_routes: Option<AllowedRoutes>,
    /// Not carried (experimental).
    pub filters: Option<Unused>,
}

/// `spec.listeners[].tls`.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListenerTls {
    /// `Terminate` when left out.
    pub mode: Option<TlsMode>,
    /// Secrets with certificates.
    #[serde(default, deserialize_with = "or_default")]
    pub certificate_refs: Vec<ObjectRef>,
    /// Not carried.
    pub options: Option<Unused>,
}

/// Who ends TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum TlsMode {
    /// The Gateway.
    Terminate,
    /// The backend.
    Passthrough,
}

/// `spec.listeners[].allowedRoutes`.
#[derive(Debug, PartialEq, Deserialize)]
pub struct AllowedRoutes {
    /// From where.
    pub namespaces: Option<RouteNamespaces>,
    /// Of which kinds; every kind that fits the protocol when empty.
    #[serde(default, deserialize_with = "or_default")]
    pub kinds: Vec<RouteGroupKind>,
}

/// `spec.listeners[].allowedRoutes.namespaces`.
#[derive(Debug, PartialEq, Deserialize)]
pub struct RouteNamespaces {
    /// `Same` when left out.
    pub from: Option<FromNamespaces>,
    /// With `Selector`.
    pub selector: Option<LabelSelector>,
}

/// From which namespaces something may attach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum FromNamespaces {
    /// All.
    All,
    /// Those that a selector picks by their labels.
    Selector,
    /// That of the Gateway.
    Same,
    /// None.
    None,
}

/// `spec.listeners[].allowedRoutes.kinds[]`.
#[derive(Debug, PartialEq, Deserialize)]
pub struct RouteGroupKind {
    /// `gateway.networking.k8s.io` when left out.
    pub group: Option<Arc<str>>,
    /// Kind.
    pub kind: Arc<str>,
}
