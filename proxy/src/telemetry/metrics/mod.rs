//! Counters: plain relaxed atomics in a cache-line-aligned shard per worker, summed when scraped.
//!
//! The request path takes no lock and looks nothing up: labels are closed enums ([`label`]), an entry point's index is
//! found when its listener is bound ([`Metrics::entry_point`]), a cluster's series when its plan is built
//! ([`Clusters::series`]). Only `metrics.routes`, off by default, costs a look-up in a table of the worker's own.
//!
//! To add a metric: a field here, a [`family`], a line in docs/reference/metrics.md.

mod allocator;
pub mod cell;
mod cluster_api;
mod collect;
mod control;
mod exposition;
pub mod family;
pub mod label;
mod process;
mod series;
mod traffic;
mod vip;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::StatusCode;

pub use collect::{Peers, Scrape};
pub use control::Control;
pub use exposition::Format;
pub use label::{CodeClass, FailureReason, HandOver, Handshake, Limit, Protocol, Stage, Wire};
pub use series::{ClusterCell, ClusterSeries, Clusters, Routes};
pub use traffic::Traffic;

use self::{
    cell::{Counter, Histogram},
    series::{add, sum},
};
use crate::respond::Failure;

/// Entry points beyond this many share the series `other`.
pub const MAX_ENTRY_POINTS: usize = 64;

/// All counters of the process.
#[derive(Debug)]
pub struct Metrics {
    shards: Vec<Shard>,
    /// Per-cluster series.
    pub clusters: Clusters,
    /// What the control runtime counts.
    pub control: Control,
    entry_points: Mutex<Vec<Arc<str>>>,
}

/// One worker's counters. One thread writes it.
#[derive(Debug)]
#[repr(align(128))]
pub struct Shard {
    entry_points: Box<[EntryPointCell]>,
    handshakes: [Counter; Handshake::COUNT],
    limits: [Counter; Limit::COUNT],
    failures: [Counter; FailureReason::COUNT],
    /// Per-route counts; used when `metrics.routes` asks for them.
    pub routes: Routes,
    /// Access-log records that found the queue full.
    pub access_log_dropped: Counter,
    /// Access-log records written.
    pub access_log_written: Counter,
}

/// What one worker counts for one entry point.
#[derive(Debug, Default)]
struct EntryPointCell {
    requests: [[Counter; CodeClass::COUNT]; Protocol::COUNT],
    duration: Histogram,
    bytes_in: Counter,
    bytes_out: Counter,
    opened: [Counter; Wire::COUNT],
    closed: [Counter; Wire::COUNT],
}

/// Which entry point: found once by name, then free to use. `Default` is the series `other`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryPointIndex(usize);

impl Default for EntryPointIndex {
    fn default() -> Self {
        Self(MAX_ENTRY_POINTS)
    }
}

impl Metrics {
    /// One shard per worker.
    pub fn new(workers: usize) -> Self {
        let workers = workers.max(1);
        Self {
            shards: std::iter::repeat_with(Shard::default).take(workers).collect(),
            clusters: Clusters::new(workers),
            control: Control::default(),
            entry_points: Mutex::default(),
        }
    }

    /// Worker `index`'s shard.
    pub fn shard(&self, index: usize) -> &Shard {
        let at = index % self.shards.len();
        self.shards.get(at).expect("there is at least one shard")
    }

    /// What `limit` has refused so far.
    pub fn limited(&self, limit: Limit) -> u64 {
        self.shards.iter().filter_map(|shard| shard.limits.get(limit as usize)).map(Counter::value).sum()
    }

    /// How often Postern has answered itself for `reason` so far.
    pub fn failed(&self, reason: FailureReason) -> u64 {
        self.shards.iter().filter_map(|shard| shard.failures.get(reason as usize)).map(Counter::value).sum()
    }

    /// The index of the entry point `name`; called when a listener is bound.
    pub fn entry_point(&self, name: &str) -> EntryPointIndex {
        let mut names = self.entry_points.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = names.iter().position(|known| **known == *name) {
            return EntryPointIndex(at);
        }
        if names.len() == MAX_ENTRY_POINTS {
            return EntryPointIndex::default();
        }
        names.push(name.into());
        EntryPointIndex(names.len() - 1)
    }

    /// Names of the entry points in the order of their indexes, `other` last.
    fn entry_point_names(&self) -> Vec<(EntryPointIndex, Arc<str>)> {
        let names = self.entry_points.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let named = names.into_iter().enumerate().map(|(at, name)| (EntryPointIndex(at), name));
        named.chain([(EntryPointIndex::default(), "other".into())]).collect()
    }
}

impl Default for Shard {
    fn default() -> Self {
        Self {
            entry_points: std::iter::repeat_with(EntryPointCell::default).take(MAX_ENTRY_POINTS + 1).collect(),
            handshakes: Default::default(),
            limits: Default::default(),
            failures: Default::default(),
            routes: Routes::default(),
            access_log_dropped: Counter::default(),
            access_log_written: Counter::default(),
        }
    }
}

impl Shard {
    /// A request was answered to its last byte (or broken off). `duration` is from its first header byte;
    /// `bytes_in` and `bytes_out` are bytes of bodies.
    pub fn request(
        &self,
        entry_point: EntryPointIndex,
        protocol: Protocol,
        status: StatusCode,
        duration: Duration,
        bytes_in: u64,
        bytes_out: u64,
    ) {
        let cell = self.entry_point(entry_point);
        if let Some(classes) = cell.requests.get(protocol as usize) {
            add(classes, CodeClass::of(status) as usize);
        }
        cell.duration.observe(duration);
        cell.bytes_in.add(bytes_in);
        cell.bytes_out.add(bytes_out);
    }

    /// A tunnel of bytes (TLS passthrough) ended.
    pub fn tunnel(&self, entry_point: EntryPointIndex, duration: Duration, bytes_in: u64, bytes_out: u64) {
        let cell = self.entry_point(entry_point);
        if let Some(classes) = cell.requests.get(Protocol::Tcp as usize) {
            add(classes, CodeClass::Other as usize);
        }
        cell.duration.observe(duration);
        cell.bytes_in.add(bytes_in);
        cell.bytes_out.add(bytes_out);
    }

    /// A connection was accepted. Whichever worker closes it counts [`Shard::connection_closed`] into its own shard.
    pub fn connection_opened(&self, entry_point: EntryPointIndex, wire: Wire) {
        add(&self.entry_point(entry_point).opened, wire as usize);
    }

    /// A connection is gone.
    pub fn connection_closed(&self, entry_point: EntryPointIndex, wire: Wire) {
        add(&self.entry_point(entry_point).closed, wire as usize);
    }

    /// A TLS handshake ended.
    pub fn handshake(&self, outcome: Handshake) {
        add(&self.handshakes, outcome as usize);
    }

    /// A limit refused something.
    pub fn limited(&self, limit: Limit) {
        add(&self.limits, limit as usize);
    }

    /// Postern answered itself.
    pub fn failed(&self, failure: &Failure) {
        self.failed_for(failure.reason());
    }

    /// The same, for a `Failure::reason`.
    pub fn failed_for(&self, reason: &str) {
        add(&self.failures, FailureReason::named(reason) as usize);
    }

    fn entry_point(&self, index: EntryPointIndex) -> &EntryPointCell {
        self.entry_points.get(index.0).expect("indexes are made by Metrics::entry_point, below the bound")
    }
}
