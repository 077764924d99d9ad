//! What outlives plans: buckets, counts, circuits and connections by middleware, verified credentials and nonces of all.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use postern_config::model::{
    id::MiddlewareId,
    middleware::{circuit_breaker, rate_limit, source::SourceCriterion},
};

use super::{
    basic_auth::Verified, circuit_breaker::Circuits, digest_auth::Nonces, in_flight_req::Counts, rate_limit::Buckets,
    tcp::Connections,
};

/// Live state of all middlewares of this node, found by id; shared by all workers.
#[derive(Debug, Default)]
pub struct Live {
    /// Those in use, unless the limit or the sources have changed.
    pub(super) buckets: Kept<rate_limit::RateLimit, Buckets>,
    /// Those in use, unless the sources have changed: who is under way counts under a new limit too.
    pub(super) counts: Kept<SourceCriterion, Counts>,
    /// Those in use, unless their options have changed.
    pub(super) circuits: Kept<circuit_breaker::CircuitBreaker, Circuits>,
    /// Those counted already, whatever the limit was.
    pub(super) connections: Kept<(), Connections>,
    pub(super) verified: Arc<Verified>,
    pub(super) nonces: Arc<Nonces>,
}

/// State belongs to the plans that use it; here it is only found again, where it was made for the same `S`.
#[derive(Debug)]
pub(super) struct Kept<S, T>(Mutex<HashMap<MiddlewareId, (S, Weak<T>)>>);

impl<S, T> Default for Kept<S, T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<S: Clone + PartialEq, T> Kept<S, T> {
    /// The state of a middleware.
    pub(super) fn state(&self, id: &MiddlewareId, made_for: &S, make: impl FnOnce() -> T) -> Arc<T> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = all.get(id).filter(|held| held.0 == *made_for).and_then(|held| held.1.upgrade()) {
            return found;
        }
        let state = Arc::new(make());
        all.retain(|_, held| held.1.strong_count() > 0);
        all.insert(id.clone(), (made_for.clone(), Arc::downgrade(&state)));
        state
    }
}
