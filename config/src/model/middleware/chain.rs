//! Several middlewares under one name.

use crate::model::id::MiddlewareId;

/// Configuration. Chains of chains are allowed, cycles are not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Members, outermost first; slots, so that their change touches no chain.
    pub members: Vec<MiddlewareId>,
}
