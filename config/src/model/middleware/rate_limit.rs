//! Limits requests per source and time: a token bucket.

use std::{num::NonZeroU64, time::Duration};

use http::HeaderName;

use super::source::AddressSource;

/// Configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// The bucket of each source; `None` limits nothing.
    pub limit: Option<Limit>,
    /// What a source is.
    pub source: RateSource,
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

/// What a source is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RateSource {
    /// An address; those that have none share a bucket.
    Address(AddressSource),
    /// The value of a field; requests without it share a bucket.
    Header(HeaderName),
    /// Host as the client wrote it.
    Host,
}
