//! Chooses a live endpoint and gets an answer from it.
//!
//! [`forward`] is the whole of it for HTTP, [`connect`] for bytes. Pools and balancing cursors belong to a worker
//! ([`WorkerState`]); health, retry budgets and in-flight counts are shared per node ([`Live`]) and found by cluster
//! and endpoint, so that they survive every change of the plan.

use std::{rc::Rc, sync::Arc};

use http::Response;
use postern_config::model::{cluster::ClusterSlot, id::ClusterId, route::Forward};

use crate::{
    exchange::{Body, Exchange},
    respond::Failure,
    worker::Worker,
};

/// The running counterpart of a cluster slot.
#[derive(Debug)]
pub struct Cluster {}

/// What is shared per node.
#[derive(Debug, Default)]
pub struct Live {}

/// What belongs to one worker.
#[derive(Debug, Default)]
pub struct WorkerState {}

impl Cluster {
    /// Builds what runs for `slot`, taking over live state by id and endpoint.
    pub fn build(_id: &ClusterId, _slot: &Arc<ClusterSlot>, _live: &Live) -> Self {
        Self {}
    }
}

/// Forwards `exchange` as `forward` says and returns the backend's answer, hop-by-hop fields removed. A request that
/// may be repeated is, while another endpoint lives. Upgrades are wired up here: when the backend answers 101, the
/// two connections are joined.
pub async fn forward(
    _exchange: &mut Exchange,
    _forward: &Forward,
    _worker: &Rc<Worker>,
) -> Result<Response<Body>, Failure> {
    Err(Failure::NoEndpoints)
}

/// A byte stream to an endpoint that `forward` chooses, for TLS passthrough.
pub async fn connect(
    _plan: &crate::plan::Plan,
    _forward: &Forward,
    _worker: &Rc<Worker>,
) -> Result<tokio::net::TcpStream, Failure> {
    Err(Failure::NoEndpoints)
}
