//! `Node`, as far as it says who may announce addresses.

use std::sync::Arc;

use serde::Deserialize;

use super::field::{Unused, or_default};

/// A Node: its labels are in the metadata.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Node {
    spec: Unused,
    /// How it is.
    #[serde(deserialize_with = "or_default")]
    pub status: NodeStatus,
}

/// `status` of a Node.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct NodeStatus {
    /// How it is, one condition per type.
    #[serde(deserialize_with = "or_default")]
    pub conditions: Vec<NodeCondition>,
}

/// `status.conditions[]` of a Node.
#[derive(Debug, PartialEq, Deserialize)]
pub struct NodeCondition {
    /// What it is about.
    #[serde(rename = "type")]
    pub kind: Arc<str>,
    /// `True`, `False` or `Unknown`.
    pub status: Arc<str>,
}

impl Node {
    /// The one condition that is read. (`Ready` is not: nodes tell one another by themselves, and sooner.)
    pub const NETWORK_UNAVAILABLE: &'static str = "NetworkUnavailable";
    /// The label that keeps a node from being reached through addresses of Services (KEP-1143).
    pub const EXCLUDED: &'static str = "node.kubernetes.io/exclude-from-external-load-balancers";

    /// Whether whoever made the network says that the node has none.
    pub fn is_network_unavailable(&self) -> bool {
        let mut conditions = self.status.conditions.iter();
        conditions.any(|condition| &*condition.kind == Self::NETWORK_UNAVAILABLE && &*condition.status == "True")
    }
}
