//! The discovery group: EndpointSlice.

use std::sync::Arc;

use serde::Deserialize;

use super::{
    core::Protocol,
    field::{Unused, or_default},
};

/// Some endpoints of a Service; the Service is named by the label [`EndpointSlice::SERVICE_LABEL`].
#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointSlice {
    /// What the addresses are.
    pub address_type: AddressType,
    /// Endpoints, each behind every port.
    #[serde(default, deserialize_with = "or_default")]
    pub endpoints: Vec<Endpoint>,
    /// Ports.
    #[serde(default, deserialize_with = "or_default")]
    pub ports: Vec<EndpointPort>,
}

impl EndpointSlice {
    /// The label that names the Service.
    pub const SERVICE_LABEL: &'static str = "kubernetes.io/service-name";
}

/// What the addresses of a slice are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum AddressType {
    /// IPv4 addresses.
    IPv4,
    /// IPv6 addresses.
    IPv6,
    /// DNS names (deprecated by Kubernetes).
    #[serde(rename = "FQDN")]
    Fqdn,
}

/// An endpoint.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// Addresses; consumers use the first (Kubernetes API, `Endpoint.addresses`).
    pub addresses: Vec<Arc<str>>,
    /// State.
    #[serde(default, deserialize_with = "or_default")]
    pub conditions: Conditions,
    /// The pod behind it: tells that two addresses of different families are one endpoint.
    #[serde(default)]
    pub target_ref: Option<TargetRef>,
    #[serde(default)]
    hostname: Unused,
    /// The node that it is on.
    #[serde(default)]
    pub node_name: Option<Arc<str>>,
    #[serde(default)]
    zone: Unused,
    #[serde(default)]
    hints: Unused,
    #[serde(default)]
    deprecated_topology: Unused,
}

/// What is behind an endpoint.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TargetRef {
    /// Name of the pod.
    #[serde(deserialize_with = "or_default")]
    pub name: Arc<str>,
    kind: Unused,
    namespace: Unused,
    uid: Unused,
    api_version: Unused,
    field_path: Unused,
    resource_version: Unused,
}

/// State of an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Conditions {
    /// Serving and not terminating; unknown counts as yes.
    pub ready: Option<bool>,
    /// Answers requests, terminating or not; unknown counts as `ready`.
    pub serving: Option<bool>,
    /// Being deleted; unknown counts as no.
    pub terminating: Option<bool>,
}

/// A port of a slice.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct EndpointPort {
    /// Name of the Service's port.
    #[serde(deserialize_with = "or_default")]
    pub name: Arc<str>,
    /// Transport.
    #[serde(deserialize_with = "or_default")]
    pub protocol: Protocol,
    /// Number; absent means every port (Kubernetes API, `EndpointPort.port`), which has no use here.
    pub port: Option<u16>,
    app_protocol: Unused,
}
