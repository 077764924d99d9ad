//! The running counterpart of a snapshot, built beside the old one and swapped once.
//!
//! Building costs what has changed: parts of unchanged slots are taken over from the previous plan. Live state is
//! never part of a plan; it is found by id in [`Live`].

use std::sync::Arc;

use postern_config::{
    compile::Changed,
    model::{
        certificate::CertificateSlot,
        id::{CertificateId, ClusterId, MiddlewareId},
    },
    snapshot::{Map, Snapshot},
};

use crate::{middleware, tls, upstream};

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

impl Plan {
    /// The plan for `snapshot`: unchanged parts are shared with `self`.
    #[must_use]
    pub fn next(&self, snapshot: Arc<Snapshot>, changed: &Changed, live: &Live) -> Self {
        let mut plan = Self {
            generation: self.generation + 1,
            clusters: self.clusters.clone(),
            middlewares: self.middlewares.clone(),
            certificates: self.certificates.clone(),
            snapshot,
        };
        for id in &changed.clusters {
            let slot = plan.snapshot.clusters.get(id);
            let cluster = slot.map(|slot| upstream::Cluster::build(id, slot, &live.upstream));
            replace(&mut plan.clusters, id, cluster);
        }
        for id in &changed.middlewares {
            let slot = plan.snapshot.middlewares.get(id);
            let middleware = slot.map(|slot| middleware::Slot::build(id, slot, &live.middleware));
            replace(&mut plan.middlewares, id, middleware);
        }
        for id in &changed.certificates {
            let slot = plan.snapshot.certificates.get(id);
            let certificate = slot.and_then(|slot| certified_key(id, slot));
            replace(&mut plan.certificates, id, certificate);
        }
        plan
    }
}

fn replace<K: Clone + Eq + std::hash::Hash, V>(map: &mut Map<K, Arc<V>>, id: &K, value: Option<V>) {
    match value {
        Some(value) => map.insert(id.clone(), Arc::new(value)),
        None => map.remove(id),
    };
}

/// A certificate as rustls wants it. A key that rustls cannot use leaves the slot empty, as a refused one does: its
/// hosts get the next best certificate.
fn certified_key(id: &CertificateId, slot: &CertificateSlot) -> Option<rustls::sign::CertifiedKey> {
    let CertificateSlot::Ready(certificate) = slot else { return None };
    tls::certified_key(certificate)
        .inspect_err(|error| tracing::error!(certificate = %id, %error, "the certificate's key cannot be used"))
        .ok()
}
