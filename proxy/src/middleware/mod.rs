//! Middlewares: change, refuse or answer a request before it is forwarded. One file each, named as its
//! specification in `postern_config::model::middleware`.
//!
//! The contract: a middleware is built once per configuration change from its specification and its live state
//! (found by id in [`Live`], so that counts and buckets survive unrelated changes), and sees each request once, in
//! [`Middleware::on_request`]. What it wants to do to the answer it pushes onto `Exchange::response_steps`.

mod add_prefix;
mod basic_auth;
mod chain;
mod compress;
mod content_type;
mod digest_auth;
mod encoded_characters;
mod first_data;
mod forward_auth;
mod grpc_web;
mod headers;
mod identity;
mod ip_allow_list;
mod live;
mod pass_tls_client_cert;
mod rate_limit;
mod redirect;
mod redirect_regex;
mod redirect_scheme;
mod replace_path;
mod replace_path_regex;
mod rewrite;
pub mod source;
mod strip_prefix;
mod strip_prefix_regex;
pub mod tcp;
#[cfg(test)]
mod testing;

use std::{rc::Rc, sync::Arc};

pub use digest_auth::Credentials as DigestCredentials;
pub use grpc_web::{BadText as BadGrpcWebText, Decoder as GrpcWebText};
use http::{HeaderMap, HeaderName, Response, StatusCode};
pub use live::Live;
use postern_config::model::{
    id::MiddlewareId,
    middleware::{MiddlewareSlot, Spec},
};

use crate::{
    exchange::{Body, Exchange, Flow},
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
    Chain(chain::Chain),
    Compress(Arc<compress::Compress>),
    ContentType(content_type::ContentType),
    DigestAuth(digest_auth::DigestAuth),
    EncodedCharacters(encoded_characters::EncodedCharacters),
    ForwardAuth(Box<forward_auth::ForwardAuth>),
    GrpcWeb(grpc_web::GrpcWeb),
    Headers(Arc<headers::Headers>),
    IpAllowList(ip_allow_list::IpAllowList),
    PassTlsClientCert(pass_tls_client_cert::PassTlsClientCert),
    RateLimit(rate_limit::RateLimit),
    RedirectRegex(redirect_regex::RedirectRegex),
    RedirectScheme(redirect_scheme::RedirectScheme),
    ReplacePath(replace_path::ReplacePath),
    ReplacePathRegex(replace_path_regex::ReplacePathRegex),
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
            Spec::Chain(spec) => Self::Chain(chain::Chain::build(spec)),
            Spec::Compress(spec) => Self::Compress(Arc::new(compress::Compress::build(spec))),
            Spec::ContentType(spec) => Self::ContentType(content_type::ContentType::build(spec)),
            Spec::DigestAuth(spec) => Self::DigestAuth(digest_auth::DigestAuth::build(id, spec, live)),
            Spec::EncodedCharacters(spec) => {
                Self::EncodedCharacters(encoded_characters::EncodedCharacters::build(id, spec))
            }
            Spec::ForwardAuth(spec) => Self::ForwardAuth(Box::new(forward_auth::ForwardAuth::build(id, spec))),
            Spec::GrpcWeb(spec) => Self::GrpcWeb(grpc_web::GrpcWeb::build(spec)),
            Spec::Headers(spec) => Self::Headers(Arc::new(headers::Headers::build(spec))),
            Spec::IpAllowList(spec) => Self::IpAllowList(ip_allow_list::IpAllowList::build(id, spec)),
            Spec::PassTlsClientCert(spec) => {
                Self::PassTlsClientCert(pass_tls_client_cert::PassTlsClientCert::build(spec))
            }
            Spec::RateLimit(spec) => Self::RateLimit(rate_limit::RateLimit::build(id, spec, live)),
            Spec::RedirectRegex(spec) => Self::RedirectRegex(redirect_regex::RedirectRegex::build(spec)),
            Spec::RedirectScheme(spec) => Self::RedirectScheme(redirect_scheme::RedirectScheme::build(spec)),
            Spec::ReplacePath(spec) => Self::ReplacePath(replace_path::ReplacePath::build(spec)),
            Spec::ReplacePathRegex(spec) => Self::ReplacePathRegex(replace_path_regex::ReplacePathRegex::build(spec)),
            Spec::StripPrefix(spec) => Self::StripPrefix(strip_prefix::StripPrefix::build(spec)),
            Spec::StripPrefixRegex(spec) => Self::StripPrefixRegex(strip_prefix_regex::StripPrefixRegex::build(spec)),
            Spec::Tcp(spec) => Self::Tcp(tcp::Tcp::build(id, spec, live)),
        }
    }
}

impl Middleware {
    /// Sees a request once.
    pub async fn on_request(&self, exchange: &mut Exchange, worker: &Rc<Worker>) -> Flow {
        match &self.0 {
            Kind::Chain(chain) => chain.on_request(exchange, worker).await,
            _ => self.on_request_alone(exchange, worker).await,
        }
    }

    /// [`Middleware::on_request`] of what is no chain. What waits is boxed, so that the future that every request
    /// holds stays small.
    async fn on_request_alone(&self, exchange: &mut Exchange, worker: &Rc<Worker>) -> Flow {
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
            // Chains are taken apart before they get here.
            Kind::Chain(_) => Flow::Continue,
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
