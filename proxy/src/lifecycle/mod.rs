//! Begin and end of the process: signals, draining, readiness. What is drained is known elsewhere.

pub mod drain;
pub mod ready;
pub mod signal;
