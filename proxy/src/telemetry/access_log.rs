//! The access log: one record per request, written off the hot path from a bounded queue; drops are counted.

use std::sync::Arc;

/// What is known of one request, in the terms of Traefik's access log.
#[derive(Debug, Default)]
pub struct Record {
    /// User that a middleware authenticated.
    pub user: Option<String>,
    /// Why Postern answered itself (`Failure::reason`).
    pub reason: Option<&'static str>,
    /// The failure in full, never shown to the client.
    pub detail: Option<String>,
    /// Address of the endpoint that answered.
    pub endpoint: Option<std::net::SocketAddr>,
    /// Cluster that answered.
    pub cluster: Option<Arc<str>>,
    /// Tries after the first.
    pub retries: u32,
    /// From the last try's start to the first byte of its answer.
    pub origin_duration: std::time::Duration,
}

/// A worker's end of the queue.
#[derive(Debug, Default)]
pub struct Queue {}
