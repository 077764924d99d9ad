//! Listeners: what is wanted, where it is bound, and why not.

use postern_config::snapshot::{Listener, Snapshot, Transport};
use serde::Serialize;

use crate::listener::Status;

/// One listener.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListenerView {
    /// Entry point, or port.
    pub name: String,
    /// As objects name it: `*:80`.
    pub socket: String,
    /// `plain` or `tls`.
    pub transport: &'static str,
    /// Addresses that it is bound to.
    pub bound: Vec<String>,
    /// Why it is not bound (everywhere).
    pub problems: Vec<String>,
    /// Host patterns that have routes on it.
    pub hosts: usize,
}

/// Every listener in order.
pub fn listeners(snapshot: &Snapshot, status: &Status) -> Vec<ListenerView> {
    snapshot.listeners.values().map(|listener| view(listener, status)).collect()
}

fn view(listener: &Listener, status: &Status) -> ListenerView {
    let bound = status.bound.iter().filter(|(key, _)| *key == listener.key);
    let problems = status.problems.iter().filter(|problem| problem.key == listener.key);
    ListenerView {
        name: listener.name.to_string(),
        socket: listener.key.to_string(),
        transport: transport(listener.transport),
        bound: bound.map(|(_, address)| address.to_string()).collect(),
        problems: problems.map(ToString::to_string).collect(),
        hosts: listener.hosts.len(),
    }
}

/// `plain` or `tls`.
pub fn transport(transport: Transport) -> &'static str {
    match transport {
        Transport::Plain => "plain",
        Transport::Tls => "tls",
    }
}
