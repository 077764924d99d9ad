//! The node on one page.

use std::collections::BTreeMap;

use postern_config::{model::certificate::CertificateSlot, report::Report, snapshot::Snapshot};
use serde::Serialize;

use super::{rule, vip::Tally};
use crate::{listener::Status, telemetry::metrics::Traffic};

/// The node on one page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Overview {
    /// Version of the program.
    pub version: &'static str,
    /// How the process is.
    #[serde(flatten)]
    pub node: Node,
    /// Objects by verdict.
    pub objects: BTreeMap<&'static str, usize>,
    /// Files and documents that could not be read.
    pub input_problems: usize,
    /// Listeners that are bound, and those that are not.
    pub listeners: Listeners,
    /// Rules on all listeners.
    pub rules: usize,
    /// Cluster slots.
    pub clusters: usize,
    /// Middleware slots.
    pub middlewares: usize,
    /// Certificate slots.
    pub certificates: usize,
    /// When the first of them ends, or has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_expiry: Option<String>,
    /// Endpoints by state.
    pub endpoints: BTreeMap<String, u64>,
    /// Virtual addresses.
    pub addresses: Tally,
    /// Counts since start.
    pub traffic: Vec<Traffic>,
}

/// How the process is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Node {
    /// This host.
    #[serde(rename = "node")]
    pub name: String,
    /// When it was started.
    pub started: String,
    /// Whether it is ready.
    pub ready: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_ready_because: Option<String>,
    /// Whether it is on its way out.
    pub draining: bool,
    /// Whether it merely says what it would do, since another edge runs.
    pub observing: bool,
    /// Counts plans since start.
    pub generation: u64,
    /// When a change last took effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_change: Option<String>,
}

/// Listeners that are bound, and those that are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Listeners {
    /// Addresses that are bound.
    pub bound: usize,
    /// Addresses that could not be.
    pub failed: usize,
}

impl Overview {
    /// What can be counted from the tables; the rest is the caller's.
    pub fn count(node: Node, report: &Report, snapshot: &Snapshot, status: &Status) -> Self {
        let mut objects =
            BTreeMap::from([("accepted", 0), ("ignored", 0), ("note", 0), ("refused", 0), ("warning", 0)]);
        for verdict in report.objects.values() {
            *objects.entry(verdict.worst().map_or("accepted", |severity| severity.as_str())).or_default() += 1;
        }
        Self {
            version: env!("CARGO_PKG_VERSION"),
            node,
            objects,
            input_problems: report.input.len(),
            listeners: Listeners { bound: status.bound.len(), failed: status.problems.len() },
            rules: snapshot.listeners.values().map(|listener| rule::count(listener)).sum(),
            clusters: snapshot.clusters.len(),
            middlewares: snapshot.middlewares.len(),
            certificates: snapshot.certificates.len(),
            next_expiry: next_expiry(snapshot),
            endpoints: BTreeMap::new(),
            addresses: Tally::default(),
            traffic: Vec::new(),
        }
    }
}

fn next_expiry(snapshot: &Snapshot) -> Option<String> {
    let ends = snapshot.certificates.values().filter_map(|slot| match &**slot {
        CertificateSlot::Ready(certificate) => Some(certificate.not_after),
        CertificateSlot::Refused { .. } => None,
    });
    ends.min().map(|end| end.to_string())
}
