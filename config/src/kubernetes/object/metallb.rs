//! MetalLB's objects that say which addresses there are and who announces them (v0.16).

use std::sync::Arc;

use serde::Deserialize;

use super::{
    field::{Unused, or_default},
    selector::LabelSelector,
};

/// Addresses to give out.
#[derive(Debug, PartialEq, Deserialize)]
pub struct IpAddressPool {
    /// Everything.
    pub spec: IpAddressPoolSpec,
}

/// `spec` of an IPAddressPool.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IpAddressPoolSpec {
    /// CIDR prefixes, and ranges `a-b`.
    pub addresses: Vec<Arc<str>>,
    /// Whether it is used for who asks for nothing; yes when left out.
    pub auto_assign: Option<bool>,
    /// Whether IPv4 addresses that end in 0 or 255 stay unused.
    #[serde(default, rename = "avoidBuggyIPs", deserialize_with = "or_default")]
    pub avoid_buggy_ips: bool,
    /// Whom it is kept for; everybody when left out.
    pub service_allocation: Option<ServiceAllocation>,
}

/// `spec.serviceAllocation` of an IPAddressPool.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ServiceAllocation {
    /// The least is tried first; 0 last.
    #[serde(deserialize_with = "or_default")]
    pub priority: i64,
    /// Namespaces by name.
    #[serde(deserialize_with = "or_default")]
    pub namespaces: Vec<Arc<str>>,
    /// Namespaces by their labels; any of these.
    #[serde(deserialize_with = "or_default")]
    pub namespace_selectors: Vec<LabelSelector>,
    /// Services by their labels; any of these.
    #[serde(deserialize_with = "or_default")]
    pub service_selectors: Vec<LabelSelector>,
}

/// Who announces the addresses of pools, and where.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct L2Advertisement {
    /// Everything; without it, all nodes announce all pools everywhere.
    #[serde(deserialize_with = "or_default")]
    pub spec: L2AdvertisementSpec,
    status: Unused,
}

/// `spec` of an L2Advertisement.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct L2AdvertisementSpec {
    /// Pools by name. With no selector either: all.
    #[serde(rename = "ipAddressPools", deserialize_with = "or_default")]
    pub ip_address_pools: Vec<Arc<str>>,
    /// Pools by their labels; any of these.
    #[serde(rename = "ipAddressPoolSelectors", deserialize_with = "or_default")]
    pub ip_address_pool_selectors: Vec<LabelSelector>,
    /// Nodes that may announce, by their labels; any of these; none: all.
    #[serde(deserialize_with = "or_default")]
    pub node_selectors: Vec<LabelSelector>,
    /// Names of interfaces; none: all.
    #[serde(deserialize_with = "or_default")]
    pub interfaces: Vec<Arc<str>>,
    /// Services that it is for, by their labels; any of these; none: all.
    #[serde(deserialize_with = "or_default")]
    pub service_selectors: Vec<LabelSelector>,
    /// Nodes that should rather announce than others.
    #[serde(deserialize_with = "or_default")]
    pub preferred_node_selectors: Vec<PreferredNodeSelector>,
}

/// `spec.preferredNodeSelectors[]` of an L2Advertisement.
#[derive(Debug, PartialEq, Deserialize)]
pub struct PreferredNodeSelector {
    /// What speaks for the nodes, 1 to 100; weights of selectors that match one node are added up.
    pub weight: u8,
    /// Which nodes.
    pub preference: LabelSelector,
}
