//! What the outside sees of the inside: metrics and the access log. Neither takes a lock on the request path.

pub mod access_log;
pub mod metrics;
