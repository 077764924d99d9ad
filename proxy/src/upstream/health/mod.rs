//! Whether an endpoint may be used: what real requests say (passive), and what probes say (active).
//!
//! The decisions take time as an argument; the state lives in [`super::Live`], shared by all workers.

pub mod active;
pub mod passive;
