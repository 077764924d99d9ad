//! Clusters and what is known of their endpoints.

use std::collections::{BTreeMap, HashMap};

use postern_config::{
    model::{
        cluster::{Balance, ClusterSlot, Endpoint, EndpointAddress, Protocol},
        id::ClusterId,
    },
    snapshot::Snapshot,
};
use serde::{Deserialize, Serialize};

use crate::upstream;

/// One cluster.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterView {
    /// Its slot.
    pub id: String,
    /// Why requests to it fail; absent when it is usable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// `http`, `http2` or `tcp`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<&'static str>,
    /// Whether TLS is spoken to it.
    pub tls: bool,
    /// `round-robin`, `power-of-two` or `consistent-hash`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub balance: Option<&'static str>,
    /// Whether it is probed.
    pub probed: bool,
    /// Members.
    pub endpoints: Vec<EndpointView>,
}

/// One endpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointView {
    /// `10.0.0.1:80`, or `name:80`.
    pub address: String,
    /// Share, relative to the others.
    pub weight: u32,
    /// `ready`, `draining`, `unhealthy` (probes fail) or `aside` (requests failed).
    pub state: String,
    /// Requests under way.
    pub in_flight: u32,
    /// Requests sent since it appeared.
    pub requests: u64,
}

/// Live state of endpoints, read once per answer.
#[derive(Debug, Default)]
pub struct Health(HashMap<(ClusterId, EndpointAddress), Seen>);

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    unhealthy: bool,
    aside: bool,
    in_flight: u32,
    requests: u64,
}

impl Health {
    /// What `live` knows now.
    pub fn look(live: &upstream::Live) -> Self {
        let mut all = HashMap::new();
        live.for_each_endpoint(|id, address, state| {
            let seen = Seen {
                unhealthy: state.is_unhealthy(),
                aside: live.is_aside(state),
                in_flight: state.in_flight(),
                requests: state.requests(),
            };
            all.insert((id.clone(), address.clone()), seen);
        });
        Self(all)
    }

    /// `endpoint` of cluster `id`.
    pub fn endpoint(&self, id: &ClusterId, endpoint: &Endpoint) -> EndpointView {
        let seen = self.0.get(&(id.clone(), endpoint.address.clone())).copied().unwrap_or_default();
        let state = match (endpoint.draining, seen.unhealthy, seen.aside) {
            (_, true, _) => "unhealthy",
            (_, _, true) => "aside",
            (true, ..) => "draining",
            _ => "ready",
        };
        let address = match &endpoint.address {
            EndpointAddress::Socket(address) => address.to_string(),
            EndpointAddress::Name(name, port) => format!("{name}:{port}"),
        };
        EndpointView {
            address,
            weight: endpoint.weight,
            state: state.to_owned(),
            in_flight: seen.in_flight,
            requests: seen.requests,
        }
    }
}

/// Endpoints by cluster and state; every usable cluster has at least `ready`.
pub fn count(snapshot: &Snapshot, health: &Health) -> BTreeMap<(String, String), u64> {
    let mut counts = BTreeMap::new();
    for (id, slot) in &snapshot.clusters {
        let ClusterSlot::Ready(cluster) = &**slot else { continue };
        counts.entry((id.to_string(), "ready".to_owned())).or_insert(0);
        for endpoint in &cluster.endpoints {
            *counts.entry((id.to_string(), health.endpoint(id, endpoint).state)).or_insert(0) += 1;
        }
    }
    counts
}

/// Endpoints of all clusters by state, each state present.
pub fn by_state(snapshot: &Snapshot, health: &Health) -> BTreeMap<String, u64> {
    let zero = ["aside", "draining", "ready", "unhealthy"].map(|state| (state.to_owned(), 0));
    let mut counts = BTreeMap::from(zero);
    for ((_, state), count) in count(snapshot, health) {
        *counts.entry(state).or_insert(0) += count;
    }
    counts
}

/// Every cluster, ordered by id.
pub fn clusters(snapshot: &Snapshot, health: &Health) -> Vec<ClusterView> {
    let mut all: Vec<_> = snapshot.clusters.iter().map(|(id, slot)| cluster(id, slot, health)).collect();
    all.sort_by(|a, b| a.id.cmp(&b.id));
    all
}

fn cluster(id: &ClusterId, slot: &ClusterSlot, health: &Health) -> ClusterView {
    let bare = ClusterView {
        id: id.to_string(),
        refused: None,
        protocol: None,
        tls: false,
        balance: None,
        probed: false,
        endpoints: Vec::new(),
    };
    match slot {
        ClusterSlot::Refused { reason } => ClusterView { refused: Some(reason.to_string()), ..bare },
        ClusterSlot::Ready(cluster) => ClusterView {
            protocol: Some(protocol(cluster.protocol)),
            tls: cluster.tls.is_some(),
            balance: Some(balance(&cluster.balance)),
            probed: cluster.health.is_some(),
            endpoints: cluster.endpoints.iter().map(|endpoint| health.endpoint(id, endpoint)).collect(),
            ..bare
        },
    }
}

fn protocol(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Http => "http",
        Protocol::Http1 => "http1",
        Protocol::Http2 => "http2",
        Protocol::Tcp => "tcp",
    }
}

fn balance(balance: &Balance) -> &'static str {
    match balance {
        Balance::RoundRobin => "round-robin",
        Balance::PowerOfTwo => "power-of-two",
        Balance::ConsistentHash(_) => "consistent-hash",
    }
}
