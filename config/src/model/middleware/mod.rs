//! Middlewares: what users may put between a route and its backend, one file each, named as in `postern-proxy`.
//!
//! Values are valid by construction: expressions are compiled, names and values of header fields checked, numbers in
//! range. Secrets do not show in `Debug`.

pub mod add_prefix;
pub mod basic_auth;
pub mod buffering;
pub mod chain;
pub mod circuit_breaker;
pub mod compress;
pub mod content_type;
pub mod digest_auth;
pub mod encoded_characters;
pub mod errors;
pub mod forward_auth;
pub mod grpc_web;
pub mod headers;
pub mod in_flight_req;
pub mod ip_allow_list;
pub mod pass_tls_client_cert;
pub mod rate_limit;
pub mod redirect_regex;
pub mod redirect_scheme;
pub mod replace_path;
pub mod replace_path_regex;
pub mod retry;
pub mod source;
pub mod status;
pub mod strip_prefix;
pub mod strip_prefix_regex;
pub mod tcp;

use std::sync::Arc;

/// What a middleware slot holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MiddlewareSlot {
    /// Usable.
    Ready(Arc<Spec>),
    /// Cannot be honoured: every route that uses it answers 503.
    Refused {
        /// For log, `explain` and the admin API.
        reason: Arc<str>,
    },
}

/// A middleware's configuration, valid by construction. A closed set: the compiler lists the places to touch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spec {
    /// Puts text in front of the path.
    AddPrefix(add_prefix::AddPrefix),
    /// Asks for a name and a password.
    BasicAuth(basic_auth::BasicAuth),
    /// Reads requests and answers whole.
    Buffering(buffering::Buffering),
    /// Several middlewares under one name.
    Chain(chain::Chain),
    /// Stops asking a backend that fails, for a while.
    CircuitBreaker(circuit_breaker::CircuitBreaker),
    /// Compresses answers.
    Compress(compress::Compress),
    /// Tells clients the media type of answers whose backend did not.
    ContentType(content_type::ContentType),
    /// Asks for a name and a password that never crosses the wire.
    DigestAuth(digest_auth::DigestAuth),
    /// Refuses paths with certain encoded characters.
    EncodedCharacters(encoded_characters::EncodedCharacters),
    /// Answers with a page of another Service.
    Errors(Box<errors::Errors>),
    /// Asks another server whether a request may pass.
    ForwardAuth(Box<forward_auth::ForwardAuth>),
    /// Lets browsers speak to gRPC backends.
    GrpcWeb(grpc_web::GrpcWeb),
    /// Changes and checks header fields.
    Headers(Box<headers::Headers>),
    /// Limits requests that are under way, per source.
    InFlightReq(in_flight_req::InFlightReq),
    /// Lets only some addresses pass.
    IpAllowList(ip_allow_list::IpAllowList),
    /// Tells the backend the client's certificate.
    PassTlsClientCert(pass_tls_client_cert::PassTlsClientCert),
    /// Limits requests per source and time.
    RateLimit(rate_limit::RateLimit),
    /// Redirects by a regular expression.
    RedirectRegex(redirect_regex::RedirectRegex),
    /// Redirects to another scheme or port.
    RedirectScheme(redirect_scheme::RedirectScheme),
    /// Replaces the path.
    ReplacePath(replace_path::ReplacePath),
    /// Replaces parts of the path by a regular expression.
    ReplacePathRegex(replace_path_regex::ReplacePathRegex),
    /// Sends requests again.
    Retry(retry::Retry),
    /// Takes text off the front of the path.
    StripPrefix(strip_prefix::StripPrefix),
    /// Takes off the front of the path what an expression matches.
    StripPrefixRegex(strip_prefix_regex::StripPrefixRegex),
    /// Judges TCP connections; no route of HTTP requests can use it.
    Tcp(tcp::Tcp),
}

impl Spec {
    /// The type as metrics, `explain` and Traefik's objects spell it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::AddPrefix(_) => "addPrefix",
            Self::BasicAuth(_) => "basicAuth",
            Self::Buffering(_) => "buffering",
            Self::Chain(_) => "chain",
            Self::CircuitBreaker(_) => "circuitBreaker",
            Self::Compress(_) => "compress",
            Self::ContentType(_) => "contentType",
            Self::DigestAuth(_) => "digestAuth",
            Self::EncodedCharacters(_) => "encodedCharacters",
            Self::Errors(_) => "errors",
            Self::ForwardAuth(_) => "forwardAuth",
            Self::GrpcWeb(_) => "grpcWeb",
            Self::Headers(_) => "headers",
            Self::InFlightReq(_) => "inFlightReq",
            Self::IpAllowList(_) => "ipAllowList",
            Self::PassTlsClientCert(_) => "passTLSClientCert",
            Self::RateLimit(_) => "rateLimit",
            Self::RedirectRegex(_) => "redirectRegex",
            Self::RedirectScheme(_) => "redirectScheme",
            Self::ReplacePath(_) => "replacePath",
            Self::ReplacePathRegex(_) => "replacePathRegex",
            Self::Retry(_) => "retry",
            Self::StripPrefix(_) => "stripPrefix",
            Self::StripPrefixRegex(_) => "stripPrefixRegex",
            Self::Tcp(spec) => spec.kind(),
        }
    }
}
