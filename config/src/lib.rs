//! What should run: objects in, one immutable [`snapshot::Snapshot`] and one [`report::Report`] out.
//!
//! ```text
//! provider ──> kubernetes (parse, store) ──> kubernetes::convert ──> compile ──> Snapshot + Report
//! ```
//!
//! `provider` does the I/O, and `publish` is the loop that drives it all; everything between them is a pure function of
//! the objects at hand (and of the time, which is an argument). `model` names what a user can ask for and knows no file format and no cluster.
//! This crate deliberately knows nothing of sockets, connections or live state: that is `postern-proxy`.
#![forbid(unsafe_code)]

pub mod allocation;
pub mod compile;
pub mod kubernetes;
pub mod model;
pub mod provider;
pub mod publish;
pub mod report;
pub mod snapshot;
