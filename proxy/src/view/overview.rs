//! The node on one page.

use std::collections::BTreeMap;

use postern_config::{report::Report, snapshot::Snapshot};
use serde::Serialize;

use super::rule;
use crate::listener::Status;

/// The node on one page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Overview {
    /// Version of the program.
    pub version: &'static str,
    /// When it was started.
    pub started: String,
    /// Whether it is ready.
    pub ready: bool,
    /// Whether it is on its way out.
    pub draining: bool,
    /// Counts plans since start.
    pub generation: u64,
    /// When a change last took effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_change: Option<String>,
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
    pub fn count(report: &Report, snapshot: &Snapshot, status: &Status) -> Self {
        let mut objects =
            BTreeMap::from([("accepted", 0), ("ignored", 0), ("note", 0), ("refused", 0), ("warning", 0)]);
        for verdict in report.objects.values() {
            *objects.entry(verdict.worst().map_or("accepted", |severity| severity.as_str())).or_default() += 1;
        }
        Self {
            version: env!("CARGO_PKG_VERSION"),
            started: String::new(),
            ready: false,
            draining: false,
            generation: 0,
            last_change: None,
            objects,
            input_problems: report.input.len(),
            listeners: Listeners { bound: status.bound.len(), failed: status.problems.len() },
            rules: snapshot.listeners.values().map(|listener| rule::rules(listener).len()).sum(),
            clusters: snapshot.clusters.len(),
            middlewares: snapshot.middlewares.len(),
            certificates: snapshot.certificates.len(),
        }
    }
}
