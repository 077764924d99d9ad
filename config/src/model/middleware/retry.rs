//! Sends requests again that a backend did not answer, or answered with some status.

use std::{num::NonZeroU32, time::Duration};

use super::status::Statuses;

/// Configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Tries, the first included.
    pub attempts: NonZeroU32,
    /// About how long the first pause is; the last is about twice as long. Zero is no pause.
    pub initial_interval: Duration,
    /// How long after the first try others may begin; `None` is no limit.
    pub timeout: Option<Duration>,
    /// Largest body in bytes that is kept so that it can be sent again for a status; `None` is no limit.
    pub max_request_body: Option<u64>,
    /// Statuses that are tried again.
    pub statuses: Statuses,
    /// Whether requests are that did not reach a backend.
    pub on_network_error: bool,
    /// Whether POST, PATCH and LOCK are sent again for a status.
    pub non_idempotent: bool,
}

/// Largest body that is kept where nothing is said.
pub const DEFAULT_MAX_REQUEST_BODY: u64 = 2 << 20;
