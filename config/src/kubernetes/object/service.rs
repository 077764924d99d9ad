//! `Service`: where it leads, and what it asks for where it is reached from outside.

use std::{collections::BTreeMap, sync::Arc};

use serde::Deserialize;

use super::{
    core::Protocol,
    discovery::AddressType,
    field::{Unused, or_default},
};

/// A Service.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Service {
    /// What is asked for.
    #[serde(deserialize_with = "or_default")]
    pub spec: ServiceSpec,
    /// Which addresses it was given: the record of who gives them.
    #[serde(deserialize_with = "or_default")]
    pub status: ServiceStatus,
}

/// `spec` of a Service. Endpoints come from EndpointSlices, so what the API server and kube-proxy alone act on
/// (node ports, traffic policies inside the cluster) has no use here.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(from = "RawServiceSpec")]
pub struct ServiceSpec {
    /// How it is exposed.
    pub kind: ServiceType,
    /// Ports.
    pub ports: Vec<ServicePort>,
    /// Name outside the cluster that an `ExternalName` Service stands for.
    pub external_name: Option<Arc<str>>,
    /// Whether a client stays with one endpoint.
    pub session_affinity: SessionAffinity,
    /// Address families, the preferred one first.
    pub ip_families: Vec<AddressType>,
    /// Which pods it has.
    pub selector: BTreeMap<Arc<str>, Arc<str>>,
    /// What matters only to who gives it addresses and announces them.
    pub exposure: Exposure,
}

/// What matters only to who gives a Service addresses and announces them.
#[derive(Debug, Default, PartialEq)]
pub struct Exposure {
    /// The address that it wants (deprecated by Kubernetes, and still read).
    pub load_balancer_ip: Option<Arc<str>>,
    /// Who is to give it addresses.
    pub load_balancer_class: Option<Arc<str>>,
    /// Its addresses inside the cluster: they say which families it has.
    pub cluster_ips: Vec<Arc<str>>,
    /// Whether one family or both.
    pub ip_family_policy: IpFamilyPolicy,
    /// Where traffic from outside goes.
    pub external_traffic_policy: ExternalTrafficPolicy,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawServiceSpec {
    #[serde(rename = "type", deserialize_with = "or_default")]
    kind: ServiceType,
    #[serde(deserialize_with = "or_default")]
    ports: Vec<ServicePort>,
    external_name: Option<Arc<str>>,
    #[serde(deserialize_with = "or_default")]
    session_affinity: SessionAffinity,
    #[serde(deserialize_with = "or_default")]
    ip_families: Vec<AddressType>,
    #[serde(deserialize_with = "or_default")]
    selector: BTreeMap<Arc<str>, Arc<str>>,
    #[serde(rename = "clusterIP")]
    cluster_ip: Option<Arc<str>>,
    #[serde(rename = "clusterIPs", deserialize_with = "or_default")]
    cluster_ips: Vec<Arc<str>>,
    #[serde(rename = "loadBalancerIP")]
    load_balancer_ip: Option<Arc<str>>,
    load_balancer_class: Option<Arc<str>>,
    #[serde(deserialize_with = "or_default")]
    ip_family_policy: IpFamilyPolicy,
    #[serde(deserialize_with = "or_default")]
    external_traffic_policy: ExternalTrafficPolicy,
    #[serde(rename = "externalIPs")]
    _external_ips: Unused,
    #[serde(rename = "loadBalancerSourceRanges")]
    _load_balancer_source_ranges: Unused,
    #[serde(rename = "allocateLoadBalancerNodePorts")]
    _allocate_load_balancer_node_ports: Unused,
    #[serde(rename = "internalTrafficPolicy")]
    _internal_traffic_policy: Unused,
    #[serde(rename = "trafficDistribution")]
    _traffic_distribution: Unused,
    #[serde(rename = "healthCheckNodePort")]
    _health_check_node_port: Unused,
    #[serde(rename = "publishNotReadyAddresses")]
    _publish_not_ready_addresses: Unused,
    #[serde(rename = "sessionAffinityConfig")]
    _session_affinity_config: Unused,
}

impl From<RawServiceSpec> for ServiceSpec {
    fn from(raw: RawServiceSpec) -> Self {
        let set = |text: Option<Arc<str>>| text.filter(|text| !text.is_empty());
        let cluster_ips =
            if raw.cluster_ips.is_empty() { set(raw.cluster_ip).into_iter().collect() } else { raw.cluster_ips };
        Self {
            kind: raw.kind,
            ports: raw.ports,
            external_name: raw.external_name,
            session_affinity: raw.session_affinity,
            ip_families: raw.ip_families,
            selector: raw.selector,
            exposure: Exposure {
                load_balancer_ip: set(raw.load_balancer_ip),
                load_balancer_class: set(raw.load_balancer_class),
                cluster_ips,
                ip_family_policy: raw.ip_family_policy,
                external_traffic_policy: raw.external_traffic_policy,
            },
        }
    }
}

impl Service {
    /// Whether both lead to the same for who sends requests there, wherever they are reached from outside.
    pub fn leads_as(&self, other: &Self) -> bool {
        let Self { spec: ours, status: _ } = self;
        let Self { spec: theirs, status: _ } = other;
        ours.kind == theirs.kind
            && ours.ports == theirs.ports
            && ours.external_name == theirs.external_name
            && ours.session_affinity == theirs.session_affinity
            && ours.ip_families == theirs.ip_families
            && ours.selector == theirs.selector
    }
}

/// `spec.ipFamilyPolicy` of a Service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum IpFamilyPolicy {
    /// One.
    #[default]
    SingleStack,
    /// Both where the cluster has both.
    PreferDualStack,
    /// Both.
    RequireDualStack,
}

/// `spec.externalTrafficPolicy` of a Service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum ExternalTrafficPolicy {
    /// From every node to every endpoint.
    #[default]
    Cluster,
    /// From a node to its own endpoints.
    Local,
}

/// `status` of a Service.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ServiceStatus {
    /// Where it is reached from outside.
    #[serde(deserialize_with = "or_default")]
    pub load_balancer: LoadBalancerStatus,
}

/// `status.loadBalancer`.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct LoadBalancerStatus {
    /// Its addresses.
    #[serde(deserialize_with = "or_default")]
    pub ingress: Vec<LoadBalancerIngress>,
}

/// `status.loadBalancer.ingress[]`.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct LoadBalancerIngress {
    /// The address.
    pub ip: Option<Arc<str>>,
    hostname: Unused,
    ip_mode: Unused,
    ports: Unused,
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
