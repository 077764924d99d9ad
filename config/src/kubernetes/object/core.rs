//! The core group: Namespace, Service, Secret, ConfigMap.

use std::{collections::BTreeMap, sync::Arc};

use serde::Deserialize;

use super::field::{Bytes, Derived, Unused, merge, or_default};
use crate::{kubernetes::convert::secret::CertificateProblem, model::certificate::Certificate};

/// A Namespace: only its labels (in the metadata) matter.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Namespace {
    spec: Unused,
}

/// A Service.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Service {
    /// What is asked for.
    #[serde(deserialize_with = "or_default")]
    pub spec: ServiceSpec,
}

/// `spec` of a Service. Endpoints come from EndpointSlices, so what the API server and kube-proxy alone act on
/// (cluster addresses, node ports, traffic policies, selectors) has no use here.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ServiceSpec {
    /// How it is exposed; `ExternalName` is the one that matters.
    #[serde(rename = "type", deserialize_with = "or_default")]
    pub kind: ServiceType,
    /// Ports.
    #[serde(deserialize_with = "or_default")]
    pub ports: Vec<ServicePort>,
    /// Name outside the cluster that an `ExternalName` Service stands for.
    pub external_name: Option<Arc<str>>,
    /// Whether a client stays with one endpoint.
    #[serde(deserialize_with = "or_default")]
    pub session_affinity: SessionAffinity,
    /// Address families, the preferred one first.
    #[serde(deserialize_with = "or_default")]
    pub ip_families: Vec<super::discovery::AddressType>,
    /// Which pods it has; only whether there is one matters (without it, endpoints are written by hand).
    #[serde(deserialize_with = "or_default")]
    pub selector: BTreeMap<Arc<str>, Arc<str>>,
    #[serde(rename = "clusterIP")]
    cluster_ip: Unused,
    #[serde(rename = "clusterIPs")]
    cluster_ips: Unused,
    #[serde(rename = "externalIPs")]
    external_ips: Unused,
    #[serde(rename = "loadBalancerIP")]
    load_balancer_ip: Unused,
    load_balancer_source_ranges: Unused,
    load_balancer_class: Unused,
    allocate_load_balancer_node_ports: Unused,
    external_traffic_policy: Unused,
    internal_traffic_policy: Unused,
    traffic_distribution: Unused,
    health_check_node_port: Unused,
    publish_not_ready_addresses: Unused,
    session_affinity_config: Unused,
    ip_family_policy: Unused,
}

/// `spec.type` of a Service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum ServiceType {
    /// An address inside the cluster, or none (headless).
    #[default]
    ClusterIP,
    /// The same, and a port on every node.
    NodePort,
    /// The same, and an address outside.
    LoadBalancer,
    /// An alias of a DNS name.
    ExternalName,
}

/// `spec.sessionAffinity` of a Service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum SessionAffinity {
    /// None.
    #[default]
    None,
    /// By the client's address.
    ClientIP,
}

/// A port of a Service.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServicePort {
    /// Name; empty where there is one port only. EndpointSlices refer to the port by it.
    #[serde(default, deserialize_with = "or_default")]
    pub name: Arc<str>,
    /// Number.
    pub port: u16,
    /// Transport.
    #[serde(default, deserialize_with = "or_default")]
    pub protocol: Protocol,
    /// What is spoken, for example `kubernetes.io/h2c`.
    #[serde(default)]
    pub app_protocol: Option<Arc<str>>,
    #[serde(default)]
    target_port: Unused,
    #[serde(default)]
    node_port: Unused,
}

/// Transport of a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Protocol {
    /// TCP.
    #[default]
    #[serde(rename = "TCP")]
    Tcp,
    /// UDP.
    #[serde(rename = "UDP")]
    Udp,
    /// SCTP.
    #[serde(rename = "SCTP")]
    Sctp,
}

/// A Secret.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(from = "RawSecret")]
pub struct Secret {
    /// For example `kubernetes.io/tls`; `Opaque` where the document leaves it out.
    pub kind: Arc<str>,
    /// Decoded `data`, and `stringData`, which wins. Never printed.
    pub data: BTreeMap<Arc<str>, Bytes>,
    /// The certificate in it; ask `convert::secret::certificate_of`.
    pub(in crate::kubernetes) certificate: Derived<Result<Arc<Certificate>, CertificateProblem>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawSecret {
    #[serde(rename = "type")]
    kind: Option<Arc<str>>,
    #[serde(deserialize_with = "or_default")]
    data: BTreeMap<Arc<str>, Bytes>,
    #[serde(deserialize_with = "or_default")]
    string_data: BTreeMap<Arc<str>, Arc<str>>,
    #[serde(rename = "immutable")]
    _immutable: Unused,
}

impl From<RawSecret> for Secret {
    fn from(raw: RawSecret) -> Self {
        Self {
            kind: raw.kind.unwrap_or_else(|| "Opaque".into()),
            data: merge(raw.data, raw.string_data),
            certificate: Derived::default(),
        }
    }
}

/// A ConfigMap.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(from = "RawConfigMap")]
pub struct ConfigMap {
    /// `data` and decoded `binaryData`.
    pub data: BTreeMap<Arc<str>, Bytes>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawConfigMap {
    #[serde(deserialize_with = "or_default")]
    data: BTreeMap<Arc<str>, Arc<str>>,
    #[serde(deserialize_with = "or_default")]
    binary_data: BTreeMap<Arc<str>, Bytes>,
    #[serde(rename = "immutable")]
    _immutable: Unused,
}

impl From<RawConfigMap> for ConfigMap {
    fn from(raw: RawConfigMap) -> Self {
        Self { data: merge(raw.binary_data, raw.data) }
    }
}
