//! Decides what a client sees when something failed: the only place that makes up answers.
//!
//! What the client reads and what is logged are two messages: the reason goes to the access log, the client gets the
//! status and its name. gRPC requests get the status mapped into `grpc-status` (gRPC over HTTP2, "Responses").

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use crate::exchange::Body;

/// Why Postern answers itself. A closed set: each has one status.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The request breaks the protocol; the text says how.
    #[error("bad request: {0}")]
    BadRequest(&'static str),
    /// No rule fits.
    #[error("no route")]
    NoRoute,
    /// No rule fits, and not all of them are known: a kind of routes could not be listed.
    #[error("no route is known yet: a kind of routes could not be listed")]
    Incomplete,
    /// The connection was made for another host.
    #[error("misdirected request")]
    Misdirected,
    /// The route is closed because something it asks for cannot be honoured.
    #[error("route closed: {reason}")]
    Closed {
        /// Status to answer with.
        status: StatusCode,
        /// What is missing.
        reason: Arc<str>,
    },
    /// The backend reference does not resolve.
    #[error("backend unresolved: {reason}")]
    Unresolved {
        /// Status to answer with: 500 for the Gateway API, 503 else.
        status: StatusCode,
        /// Why.
        reason: Arc<str>,
    },
    /// The cluster has no endpoint.
    #[error("no endpoint")]
    NoEndpoints,
    /// No endpoint could be reached; the text names the last error.
    #[error("backend unreachable: {0}")]
    Unreachable(String),
    /// The backend broke the protocol, or off, before its answer was complete.
    #[error("backend failed: {0}")]
    BackendBroke(String),
    /// The backend, or the whole exchange, took too long.
    #[error("timed out: {0}")]
    TimedOut(&'static str),
    /// The client went away.
    #[error("client went away")]
    ClientGone,
    /// A limit of this node.
    #[error("overloaded: {0}")]
    Overloaded(&'static str),
    /// The body is larger than allowed.
    #[error("body too large")]
    BodyTooLarge,
    /// A middleware refused; the text says which and why.
    #[error("refused: {reason}")]
    Refused {
        /// Status to answer with.
        status: StatusCode,
        /// Which middleware, and why.
        reason: String,
    },
}

impl Failure {
    /// The status that a client sees (traefik.md 1.13, Gateway API).
    pub fn status(&self) -> StatusCode {
        match self {
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::NoRoute => StatusCode::NOT_FOUND,
            Self::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Self::Closed { status, .. } | Self::Unresolved { status, .. } | Self::Refused { status, .. } => *status,
            Self::Incomplete | Self::NoEndpoints | Self::Overloaded(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Unreachable(_) | Self::BackendBroke(_) => StatusCode::BAD_GATEWAY,
            Self::TimedOut(_) => StatusCode::GATEWAY_TIMEOUT,
            Self::ClientGone => StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        }
    }

    /// A short, stable name: a metric label and an access-log field.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::BadRequest(_) => "bad-request",
            Self::NoRoute => "no-route",
            Self::Incomplete => "incomplete",
            Self::Misdirected => "misdirected",
            Self::Closed { .. } => "route-closed",
            Self::Unresolved { .. } => "backend-unresolved",
            Self::NoEndpoints => "no-endpoints",
            Self::Unreachable(_) => "unreachable",
            Self::BackendBroke(_) => "backend-broke",
            Self::TimedOut(_) => "timed-out",
            Self::ClientGone => "client-gone",
            Self::Overloaded(_) => "overloaded",
            Self::BodyTooLarge => "body-too-large",
            Self::Refused { .. } => "refused",
        }
    }
}

/// The answer to a request with `headers` that failed with `failure`.
pub fn answer(failure: &Failure, headers: &HeaderMap) -> Response<Body> {
    answer_as(failure, is_grpc(headers))
}

/// The answer to a request of which it is known whether it speaks gRPC.
pub fn answer_as(failure: &Failure, grpc_request: bool) -> Response<Body> {
    if grpc_request { grpc(failure) } else { plain(failure.status()) }
}

/// A text answer that holds the status' name.
pub fn plain(status: StatusCode) -> Response<Body> {
    let text = match status {
        StatusCode::NOT_FOUND => "404 page not found\n",
        StatusCode::SERVICE_UNAVAILABLE => "no available server\n",
        _ => status.canonical_reason().unwrap_or("error"),
    };
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Whether a request speaks gRPC (`application/grpc` and its subtypes).
pub fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// A gRPC answer is always 200; the failure is a trailers-only `grpc-status`.
fn grpc(failure: &Failure) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert("grpc-status", HeaderValue::from_static(grpc_status(failure.status())));
    headers.insert("grpc-message", HeaderValue::from_static(failure.reason()));
    response
}

/// gRPC "HTTP to gRPC Status Code Mapping", and DEADLINE_EXCEEDED for our own time-outs.
fn grpc_status(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 => "13",
        401 => "16",
        403 => "7",
        404 => "12",
        413 => "8",
        429 | 502 | 503 => "14",
        504 => "4",
        499 => "1",
        _ => "2",
    }
}
