//! Limits requests per source and time: a token bucket.

use std::{num::NonZeroU64, time::Duration};

use super::source::SourceCriterion;

/// Configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// The bucket of each source; `None` limits nothing.
    pub limit: Option<Limit>,
    /// What a source is.
    pub source: SourceCriterion,
}

/// A bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Tokens that come back per period; at most 10^9.
    pub average: NonZeroU64,
    /// Not zero, at most one year.
    pub period: Duration,
    /// Tokens that the bucket holds; at most 10^9.
    pub burst: NonZeroU64,
}
