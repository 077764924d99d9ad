//! The running counterpart of a snapshot, built beside the old one and swapped once.
//!
//! Building costs what has changed: parts of unchanged slots are taken over from the previous plan. Live state is
//! never part of a plan; it is found by id in [`Live`].

use std::sync::Arc;

use postern_config::{
    model::id::{CertificateId, ClusterId, MiddlewareId},
    snapshot::{Map, Snapshot},
};

use crate::{middleware, upstream};

/// Everything a request needs, at one moment.
#[derive(Debug, Default)]
pub struct Plan {
    /// Counts plans since start.
    pub generation: u64,
    /// The tables.
    pub snapshot: Arc<Snapshot>,
    /// Running clusters.
    pub clusters: Map<ClusterId, Arc<upstream::Cluster>>,
    /// Running middlewares.
    pub middlewares: Map<MiddlewareId, Arc<middleware::Slot>>,
    /// Certificates as rustls wants them; slots that are refused are absent.
    pub certificates: Map<CertificateId, Arc<rustls::sign::CertifiedKey>>,
}

/// State that outlives plans, shared by all workers of this node.
#[derive(Debug, Default)]
pub struct Live {
    /// Health, budgets, in-flight counts.
    pub upstream: upstream::Live,
    /// Buckets, caches.
    pub middleware: middleware::Live,
}
