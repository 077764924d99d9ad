//! Limits how many requests of a source may be under way at a time.

use super::source::SourceCriterion;

/// Configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InFlightReq {
    /// Requests of one source at a time; 0 lets nobody pass.
    pub amount: u64,
    /// What a source is; the Host unless said otherwise.
    pub source: SourceCriterion,
}
