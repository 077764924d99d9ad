//! Middlewares: change, refuse or answer a request before it is forwarded. One file each, named as its
//! specification in `postern_config::model::middleware`.
//!
//! The contract: a middleware is built once per configuration change from its specification and its live state
//! (found by id in [`Live`], so that counts and buckets survive unrelated changes), and sees each request once, in
//! [`Middleware::on_request`]. What it wants to do to the answer it pushes onto `Exchange::response_steps`.

use std::sync::Arc;

use http::Response;
use postern_config::model::{
    id::MiddlewareId,
    middleware::{MiddlewareSlot, Spec},
};

use crate::{
    exchange::{Body, Exchange, Flow},
    worker::Worker,
};

/// A running middleware.
#[derive(Debug)]
pub enum Middleware {}

/// What a slot runs as.
#[derive(Debug)]
pub enum Slot {
    /// Usable.
    Ready(Middleware),
    /// Cannot be honoured: the route answers 503.
    Closed {
        /// For the log, never for the client.
        reason: Arc<str>,
    },
}

/// What a middleware does to the answer.
#[derive(Debug)]
pub enum AnswerStep {}

impl AnswerStep {
    /// Changes the answer.
    pub fn run(self, _response: &mut Response<Body>, _worker: &Worker) {
        match self {}
    }
}

/// Live state of all middlewares of this node, found by id; shared by all workers.
#[derive(Debug, Default)]
pub struct Live {}

impl Slot {
    /// Builds what runs for `slot`, taking over live state by `id`.
    pub fn build(_id: &MiddlewareId, slot: &MiddlewareSlot, _live: &Live) -> Self {
        match slot {
            MiddlewareSlot::Ready(spec) => Middleware::build(spec).map_or_else(
                || Self::Closed { reason: format!("{} is not carried yet", spec.kind()).into() },
                Self::Ready,
            ),
            MiddlewareSlot::Refused { reason } => Self::Closed { reason: reason.clone() },
        }
    }
}

impl Middleware {
    fn build(_spec: &Spec) -> Option<Self> {
        None
    }

    /// Sees a request once.
    pub async fn on_request(&self, _exchange: &mut Exchange, _worker: &Worker) -> Flow {
        match *self {}
    }
}
