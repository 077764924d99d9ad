//! Middlewares: what users may put between a route and its backend, one file each, named as in `postern-proxy`.

use std::sync::Arc;

/// What a middleware slot holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MiddlewareSlot {
    /// Usable.
    Ready(Arc<Spec>),
    /// Cannot be honoured: every route that uses it answers 503.
    Refused {
        /// For log, `explain` and the admin API.
        reason: Arc<str>,
    },
}

/// A middleware's configuration, valid by construction. A closed set: the compiler lists the places to touch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spec {}
