//! Serving: the data plane. The life of a request, one module per step:
//!
//! ```text
//! listener ─> tls ─> protocol ─> exchange (normalise, match) ─> middleware ─> upstream ─> exchange ─> telemetry
//! ```
//!
//! Thread per core: each [`worker`] is a current-thread runtime with its own sockets, pools and metric shard, and
//! reads one [`plan`] per request. `plan` turns a `postern_config` snapshot into running parts, reusing live state.
//! [`respond`] is the only place that decides what a client sees when something failed. [`app`] wires everything.
#![forbid(unsafe_code)]

pub mod admin;
pub mod announce;
pub mod app;
pub mod args;
pub mod demo;
pub mod doctor;
pub mod exchange;
pub mod explain;
pub mod handover;
pub mod lifecycle;
pub mod listener;
pub mod middleware;
pub mod peer;
pub mod plan;
pub mod protocol;
pub mod respond;
pub mod settings;
pub mod socket;
pub mod telemetry;
pub mod tls;
pub mod upstream;
pub mod view;
pub mod worker;
