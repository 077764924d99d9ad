//! Serves HTTP on one connection until it ends.
//!
//! `serve` finds out what is spoken (ALPN has said it, or the HTTP/2 preface does), applies the limits, and ends
//! gracefully when its drain ticket says so. Each request goes to the service, which always has an answer.

mod activity;
mod closing;
mod early;
mod executor;
mod h1;
mod h2;

use std::{future::Future, rc::Rc};

use hyper::body::Incoming;
use tokio::io::{AsyncRead, AsyncWrite};

pub use executor::LocalExecutor;

use crate::{
    exchange::{Body, Connection},
    lifecycle::drain::Ticket,
    worker::Worker,
};

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoken {
    /// HTTP/1, as ALPN has settled or by its absence.
    Http1,
    /// HTTP/2, as ALPN has settled.
    Http2,
    /// Plaintext: HTTP/2 when it begins with the preface (RFC 9113 section 3.3), else HTTP/1.
    Unknown,
}

/// A connection that is ready for HTTP.
pub struct Accepted<S> {
    /// The bytes.
    pub stream: S,
    /// What is spoken.
    pub spoken: Spoken,
    /// What is known of it.
    pub connection: Rc<Connection>,
    /// Says when to finish.
    pub ticket: Ticket,
}

/// Serves `accepted` until it ends: each request goes to `service`, which always has an answer. Failures of the
/// connection are the client's business: they are logged, not returned.
pub async fn serve<S, F, R>(mut accepted: Accepted<S>, worker: Rc<Worker>, service: F)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Fn(http::Request<Incoming>, Rc<Connection>, Rc<Worker>) -> R + Clone + 'static,
    R: Future<Output = http::Response<Body>> + 'static,
{
    let deadline = worker.shared.settings.limits.idle;
    let Accepted { stream, spoken, ticket, .. } = &mut accepted;
    let found = tokio::select! {
        biased;
        found = early::find_out(stream, *spoken, deadline) => found,
        () = closing::first_request_overdue(ticket) => None,
    };
    let Some((spoken, early)) = found else { return };
    match spoken {
        Spoken::Http2 => Box::pin(h2::serve(accepted, early, worker, service)).await,
        _ => h1::serve(accepted, early, worker, service).await,
    }
}
