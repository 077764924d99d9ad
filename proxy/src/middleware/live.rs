//! What outlives plans: buckets and connections by middleware, verified credentials
//! and nonces of all.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use postern_config::model::{id::MiddlewareId, middleware::rate_limit};

use super::{basic_auth::Verified, digest_auth::Nonces, rate_limit::Buckets, tcp::Connections};

/// Live state of all middlewares of this node, found by id; shared by all workers.
#[derive(Debug, Default)]
pub struct Live {
    buckets: Mutex<HashMap<MiddlewareId, Held>>,
    connections: Mutex<HashMap<MiddlewareId, Weak<Connections>>>,
    pub(super) verified: Arc<Verified>,
    pub(super) nonces: Arc<Nonces>,
}

/// Buckets belong to the plans that use them; here they are only found again.
#[derive(Debug)]
struct Held {
    spec: rate_limit::RateLimit,
    buckets: Weak<Buckets>,
}

impl Live {
    /// The buckets of a middleware: those in use, unless its limit or its sources have changed.
    pub(super) fn buckets(
        &self,
        id: &MiddlewareId,
        spec: &rate_limit::RateLimit,
        limit: rate_limit::Limit,
    ) -> Arc<Buckets> {
        let mut all = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = all.get(id).filter(|held| held.spec == *spec).and_then(|held| held.buckets.upgrade()) {
            return found;
        }
        let buckets = Arc::new(Buckets::new(limit));
        all.retain(|_, held| held.buckets.strong_count() > 0);
        all.insert(id.clone(), Held { spec: spec.clone(), buckets: Arc::downgrade(&buckets) });
        buckets
    }

    /// The connections of a middleware: those counted already, whatever its limit was.
    pub(super) fn connections(&self, id: &MiddlewareId) -> Arc<Connections> {
        let mut all = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = all.get(id).and_then(Weak::upgrade) {
            return found;
        }
        let connections = Arc::default();
        all.retain(|_, held| held.strong_count() > 0);
        all.insert(id.clone(), Arc::downgrade(&connections));
        connections
    }
}
