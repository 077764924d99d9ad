//! What the outside sees of the inside: metrics, the access log, the program's own log. None takes a lock on the request path.

pub mod access_log;
pub mod log;
pub mod metrics;
pub mod rarely;
