//! Who else there is, and whether this node is heard.

use postern_config::provider::kubernetes::peers::MemberView;
use serde::Serialize;
use tokio::time::Instant;

use crate::{
    peer::{Refusal, Status},
    telemetry::metrics::Peers,
};

/// The link between nodes.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PeersView {
    enabled: bool,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    listening: Option<String>,
    /// Whether this Postern holds the Lease; only then it knows the others.
    holds_lease: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    holder: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    holder_address: Option<String>,
    /// Whether there is a stream to the holder.
    connected: bool,
    members: Vec<Member>,
    waiting: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting_seconds: Option<f64>,
    table: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Member {
    name: String,
    node: String,
    counts: bool,
    connected: bool,
    silent: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_heard_seconds: Option<f64>,
    waiting: usize,
    table: String,
}

/// What is shown of `status`, if there is a link.
pub fn peers(status: Option<&Status>) -> PeersView {
    let Some(status) = status else { return PeersView::default() };
    let view = status.view.borrow();
    let holder = status.holder();
    PeersView {
        enabled: true,
        name: status.name.to_string(),
        listening: status.listening.map(|address| address.to_string()),
        holds_lease: status.holds(),
        holder: holder.as_ref().map(|holder| holder.identity.to_string()),
        holder_address: holder.and_then(|holder| holder.address).map(|address| address.to_string()),
        connected: status.is_connected(),
        members: view.members.iter().map(member).collect(),
        waiting: view.waiting,
        waiting_seconds: view.waiting_since.map(seconds_since),
        table: table(view.table),
    }
}

fn member(member: &MemberView) -> Member {
    Member {
        name: member.name.to_string(),
        node: member.node.to_string(),
        counts: member.counts,
        connected: member.connected,
        silent: member.silent,
        version: member.version.as_ref().map(ToString::to_string),
        last_heard_seconds: member.heard.map(seconds_since),
        waiting: member.waiting,
        table: table(member.table),
    }
}

fn seconds_since(at: Instant) -> f64 {
    at.elapsed().as_secs_f64()
}

fn table(hash: u64) -> String {
    format!("{hash:016x}")
}

/// What is counted of the link.
pub fn counts(status: &Status) -> Peers {
    let view = status.view.borrow();
    let count = |is: fn(&MemberView) -> bool| view.members.iter().filter(|member| is(member)).count() as u64;
    Peers {
        members: [
            ("connected", count(|member| member.connected)),
            ("absent", count(|member| !member.connected && !member.silent)),
            ("silent", count(|member| member.silent)),
        ],
        heard: status.holds() || status.is_connected(),
        waiting: view.waiting as u64,
        lag: view.waiting_since.map_or(0.0, seconds_since),
        refused: Refusal::ALL.iter().map(|refusal| (refusal.as_str(), status.refused(*refusal))).collect(),
    }
}
