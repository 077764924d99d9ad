//! Middlewares: change, refuse or answer a request before it is forwarded. One file each, named as its
//! specification in `postern_config::model::middleware`.
//!
//! The contract: a middleware is built once per configuration change from its specification and its live state
//! (found by id in [`Live`], so that counts and buckets survive unrelated changes), and sees each request once, in
//! [`Middleware::on_request`]. What it wants to do to the answer it pushes onto `Exchange::response_steps`. The few that
//! must see what becomes of a request stand around the rest of its way instead ([`Part::Around`]).

mod add_prefix;
mod basic_auth;
mod buffering;
mod chain;
mod circuit_breaker;
mod compress;
mod content_type;
mod criterion;
mod digest_auth;
mod encoded_characters;
mod errors;
mod first_data;
mod forward_auth;
mod grpc_web;
mod headers;
mod identity;
mod in_flight_req;
mod ip_allow_list;
mod keep;
mod live;
mod pass_tls_client_cert;
mod rate_limit;
mod redirect;
mod redirect_regex;
mod redirect_scheme;
mod replace_path;
mod replace_path_regex;
mod retry;
mod rewrite;
pub mod source;
mod strip_prefix;
mod strip_prefix_regex;
pub mod tcp;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tunnels;
#[cfg(test)]
mod world;

use std::{pin::Pin, rc::Rc, sync::Arc};

pub use digest_auth::Credentials as DigestCredentials;
pub use grpc_web::{BadText as BadGrpcWebText, Decoder as GrpcWebText};
use http::{HeaderMap, HeaderName, Response, StatusCode};
pub use in_flight_req::Permit;
pub use live::Live;
use postern_config::model::{
    id::MiddlewareId,
    middleware::{MiddlewareSlot, Spec},
};

use crate::{
    exchange::{Body, Exchange, Flow, Rest},
    respond::{self, Failure},
    telemetry::metrics::Limit,
    worker::Worker,
};

/// A running middleware.
#[derive(Debug)]
pub struct Middleware(Kind);

#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "built once per configuration and only borrowed; a box would cost each request a hop"
)]
enum Kind {
    AddPrefix(add_prefix::AddPrefix),
    BasicAuth(basic_auth::BasicAuth),
    Buffering(buffering::Buffering),
    Chain(chain::Chain),
    CircuitBreaker(circuit_breaker::CircuitBreaker),
    Compress(Arc<compress::Compress>),
    ContentType(content_type::ContentType),
    DigestAuth(digest_auth::DigestAuth),
    EncodedCharacters(encoded_characters::EncodedCharacters),
    Errors(Box<errors::Errors>),
    ForwardAuth(Box<forward_auth::ForwardAuth>),
    GrpcWeb(grpc_web::GrpcWeb),
    Headers(Arc<headers::Headers>),
    InFlightReq(in_flight_req::InFlightReq),
    IpAllowList(ip_allow_list::IpAllowList),
    PassTlsClientCert(pass_tls_client_cert::PassTlsClientCert),
    RateLimit(rate_limit::RateLimit),
    RedirectRegex(redirect_regex::RedirectRegex),
    RedirectScheme(redirect_scheme::RedirectScheme),
    ReplacePath(replace_path::ReplacePath),
    ReplacePathRegex(replace_path_regex::ReplacePathRegex),
    Retry(retry::Retry),
    StripPrefix(strip_prefix::StripPrefix),
    StripPrefixRegex(strip_prefix_regex::StripPrefixRegex),
    Tcp(tcp::Tcp),
}

/// What a slot runs as.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "built once per configuration and only borrowed; a box would cost each request a hop"
)]
pub enum Slot {
    /// Usable.
    Ready(Middleware),
    /// Cannot be honoured: the route answers 503.
    Closed {
        /// For the log, never for the client.
        reason: Arc<str>,
    },
}

/// How a middleware takes part in a request.
pub(crate) enum Part<'m> {
    /// It sees the request and lets it on, or answers it.
    Gate,
    /// It is several others.
    Group(&'m [MiddlewareId]),
    /// It runs what comes after it.
    Around(Around<'m>),
}

/// A middleware that runs what comes after it.
pub(crate) struct Around<'m>(&'m Kind);

impl Around<'_> {
    /// Runs `rest` as the middleware sees fit. Boxed: few requests meet one, and it may run what runs it.
    pub(crate) fn run<'a>(
        self,
        mut rest: Rest,
        exchange: &'a mut Exchange,
        worker: &'a Rc<Worker>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Body>, Failure>> + 'a>>
    where
        Self: 'a,
    {
        match self.0 {
            Kind::Buffering(middleware) => Box::pin(middleware.run(rest, exchange, worker)),
            Kind::CircuitBreaker(middleware) => Box::pin(middleware.run(rest, exchange, worker)),
            Kind::Errors(middleware) => Box::pin(middleware.run(rest, exchange, worker)),
            Kind::Retry(middleware) => Box::pin(middleware.run(rest, exchange, worker)),
            // No other is handed the rest.
            _ => Box::pin(async move { rest.run(exchange, worker).await }),
        }
    }
}

/// What a middleware does to the answer.
#[derive(Debug)]
pub struct AnswerStep(Step);

#[derive(Debug)]
enum Step {
    Headers(headers::AnswerStep),
    Compress(compress::AnswerStep),
    ContentType(content_type::AnswerStep),
    GrpcWeb(grpc_web::AnswerStep),
    Cookies(Box<forward_auth::Cookies>),
}

impl AnswerStep {
    /// Changes the answer. What waits is boxed, for the same reason as in [`Middleware::on_request`].
    pub async fn run(self, response: &mut Response<Body>, _worker: &Worker) {
        match self.0 {
            Step::Headers(step) => step.run(response),
            Step::Compress(step) => step.run(response),
            Step::GrpcWeb(step) => step.run(response),
            Step::ContentType(_) if !content_type::AnswerStep::concerns(response) => {}
            Step::ContentType(_) => Box::pin(content_type::AnswerStep::run(response)).await,
            Step::Cookies(cookies) => cookies.run(response),
        }
    }
}

impl Slot {
    /// Builds what runs for `slot`, taking over live state by `id`.
    pub fn build(id: &MiddlewareId, slot: &MiddlewareSlot, live: &Live) -> Self {
        match slot {
            MiddlewareSlot::Ready(spec) => Self::Ready(Middleware(Kind::build(id, spec, live))),
            MiddlewareSlot::Refused { reason } => Self::Closed { reason: reason.clone() },
        }
    }
}

impl Kind {
    fn build(id: &MiddlewareId, spec: &Spec, live: &Live) -> Self {
        match spec {
            Spec::AddPrefix(spec) => Self::AddPrefix(add_prefix::AddPrefix::build(spec)),
            Spec::BasicAuth(spec) => Self::BasicAuth(basic_auth::BasicAuth::build(id, spec, live)),
            Spec::Buffering(spec) => Self::Buffering(buffering::Buffering::build(id, spec)),
            Spec::Chain(spec) => Self::Chain(chain::Chain::build(spec)),
            Spec::CircuitBreaker(spec) => Self::CircuitBreaker(circuit_breaker::CircuitBreaker::build(id, spec, live)),
            Spec::Compress(spec) => Self::Compress(Arc::new(compress::Compress::build(spec))),
            Spec::ContentType(spec) => Self::ContentType(content_type::ContentType::build(spec)),
            Spec::DigestAuth(spec) => Self::DigestAuth(digest_auth::DigestAuth::build(id, spec, live)),
            Spec::EncodedCharacters(spec) => {
                Self::EncodedCharacters(encoded_characters::EncodedCharacters::build(id, spec))
            }
            Spec::Errors(spec) => Self::Errors(Box::new(errors::Errors::build(id, spec))),
            Spec::ForwardAuth(spec) => Self::ForwardAuth(Box::new(forward_auth::ForwardAuth::build(id, spec))),
            Spec::GrpcWeb(spec) => Self::GrpcWeb(grpc_web::GrpcWeb::build(spec)),
            Spec::Headers(spec) => Self::Headers(Arc::new(headers::Headers::build(spec))),
            Spec::InFlightReq(spec) => Self::InFlightReq(in_flight_req::InFlightReq::build(id, spec, live)),
            Spec::IpAllowList(spec) => Self::IpAllowList(ip_allow_list::IpAllowList::build(id, spec)),
            Spec::PassTlsClientCert(spec) => {
                Self::PassTlsClientCert(pass_tls_client_cert::PassTlsClientCert::build(spec))
            }
            Spec::RateLimit(spec) => Self::RateLimit(rate_limit::RateLimit::build(id, spec, live)),
            Spec::RedirectRegex(spec) => Self::RedirectRegex(redirect_regex::RedirectRegex::build(spec)),
            Spec::RedirectScheme(spec) => Self::RedirectScheme(redirect_scheme::RedirectScheme::build(spec)),
            Spec::ReplacePath(spec) => Self::ReplacePath(replace_path::ReplacePath::build(spec)),
            Spec::ReplacePathRegex(spec) => Self::ReplacePathRegex(replace_path_regex::ReplacePathRegex::build(spec)),
            Spec::Retry(spec) => Self::Retry(retry::Retry::build(id, spec)),
            Spec::StripPrefix(spec) => Self::StripPrefix(strip_prefix::StripPrefix::build(spec)),
            Spec::StripPrefixRegex(spec) => Self::StripPrefixRegex(strip_prefix_regex::StripPrefixRegex::build(spec)),
            Spec::Tcp(spec) => Self::Tcp(tcp::Tcp::build(id, spec, live)),
        }
    }
}

impl Middleware {
    /// How it takes part in a request.
    pub(crate) fn part(&self) -> Part<'_> {
        match &self.0 {
            Kind::Chain(chain) => Part::Group(&chain.members),
            Kind::Buffering(_) | Kind::CircuitBreaker(_) | Kind::Errors(_) | Kind::Retry(_) => {
                Part::Around(Around(&self.0))
            }
            _ => Part::Gate,
        }
    }

    /// Sees a request once. What waits is boxed, so that the future that every request holds stays small.
    pub async fn on_request(&self, exchange: &mut Exchange, worker: &Rc<Worker>) -> Flow {
        let flow = match &self.0 {
            Kind::AddPrefix(middleware) => middleware.on_request(exchange),
            Kind::BasicAuth(middleware) => match middleware.judge_at_once(exchange) {
                basic_auth::Judged::Settled(flow) => flow,
                basic_auth::Judged::Open(check) => Box::pin(middleware.judge(check, exchange, worker)).await,
            },
            Kind::Compress(middleware) => middleware.on_request(exchange),
            Kind::ContentType(middleware) => middleware.on_request(exchange),
            Kind::DigestAuth(middleware) => middleware.on_request(exchange),
            Kind::EncodedCharacters(middleware) => middleware.on_request(exchange),
            Kind::ForwardAuth(middleware) => Box::pin(middleware.on_request(exchange, worker)).await,
            Kind::GrpcWeb(middleware) => middleware.on_request(exchange),
            Kind::Headers(middleware) => middleware.on_request(exchange),
            Kind::InFlightReq(middleware) => middleware.on_request(exchange, worker),
            Kind::IpAllowList(middleware) => middleware.on_request(exchange),
            Kind::PassTlsClientCert(middleware) => middleware.on_request(exchange),
            Kind::RateLimit(middleware) => match middleware.take(exchange) {
                rate_limit::Taken::Now(flow) => flow,
                rate_limit::Taken::Never(flow) => {
                    worker.metrics().limited(Limit::Rate);
                    flow
                }
                rate_limit::Taken::Later(wait) => {
                    Box::pin(tokio::time::sleep(wait)).await;
                    Flow::Continue
                }
            },
            Kind::RedirectRegex(middleware) => middleware.on_request(exchange),
            Kind::RedirectScheme(middleware) => middleware.on_request(exchange),
            Kind::ReplacePath(middleware) => middleware.on_request(exchange),
            Kind::ReplacePathRegex(middleware) => middleware.on_request(exchange),
            Kind::StripPrefix(middleware) => middleware.on_request(exchange),
            Kind::StripPrefixRegex(middleware) => middleware.on_request(exchange),
            // No route of requests can name one; if one could, it would stay closed.
            Kind::Tcp(_) => closed(exchange, "a middleware for connections judges no request"),
            // Taken apart, or run, before they get here.
            Kind::Buffering(_) | Kind::Chain(_) | Kind::CircuitBreaker(_) | Kind::Errors(_) | Kind::Retry(_) => {
                Flow::Continue
            }
        };
        count(&flow, exchange, worker);
        flow
    }
}

/// Counts an answer that is a refusal.
fn count(flow: &Flow, exchange: &Exchange, worker: &Worker) {
    if let (Flow::Answer(_), Some(reason)) = (flow, exchange.record.reason) {
        worker.metrics().failed_for(reason);
    }
}

/// Answers with `status`; `reason` (which middleware, and why) goes to the log alone.
fn refuse(exchange: &mut Exchange, status: StatusCode, reason: String) -> Flow {
    fail(exchange, &Failure::Refused { status, reason })
}

/// Answers 503: what was asked for cannot be honoured.
fn closed(exchange: &mut Exchange, reason: &str) -> Flow {
    fail(exchange, &Failure::Closed { status: StatusCode::SERVICE_UNAVAILABLE, reason: reason.into() })
}

/// Answers with `failure`.
fn fail(exchange: &mut Exchange, failure: &Failure) -> Flow {
    exchange.record.reason = Some(failure.reason());
    exchange.record.detail = Some(failure.to_string());
    Flow::Answer(respond::answer(failure, &exchange.parts.headers))
}

/// Removes a field that only Postern may set, also in spellings that backends fold into it (`X_Auth_User`).
fn remove_spellings(headers: &mut HeaderMap, name: &HeaderName) {
    headers.remove(name);
    let dashed = |b: u8| if b == b'_' { b'-' } else { b };
    let same = |other: &HeaderName| {
        let (a, b) = (name.as_str().as_bytes(), other.as_str().as_bytes());
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| dashed(*a) == dashed(*b))
    };
    while let Some(other) = headers.keys().find(|other| same(other)).cloned() {
        headers.remove(other);
    }
}
