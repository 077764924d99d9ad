//! Asks another server whether a request may pass.

use std::sync::Arc;

use http::{HeaderName, HeaderValue, Uri};

use crate::model::{cluster::UpstreamTls, go_regex::GoRegex};

/// Configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardAuth {
    /// Absolute `http` or `https` URL, without credentials.
    pub address: Uri,
    /// TLS towards it, where `address` is `https` and something was said; `None` takes the roots that ship with Postern.
    pub tls: Option<Arc<UpstreamTls>>,
    /// What becomes of the client's X-Forwarded-*.
    pub trust: TrustForwarded,
    /// Client fields that the auth server sees; empty is all.
    pub request_headers: Vec<HeaderName>,
    /// Fields that the backend sees as the auth server answered them, and never as the client sent them.
    pub response_headers: Vec<HeaderName>,
    /// The same, by name in canonical spelling (`X-Auth-User`); not anchored.
    pub response_headers_regex: Option<GoRegex>,
    /// Cookies of the auth answer that take the place of the backend's.
    pub cookies: Vec<Arc<str>>,
    /// Field of the auth answer that holds the user, for the access log.
    pub user_header: Option<HeaderName>,
    /// Whether the auth server sees the body, and how large it may be.
    pub body: BodyPolicy,
    /// Largest body of an auth answer in bytes; 1 MiB unless said otherwise.
    pub max_response_body: u64,
    /// Whether a relative Location of the auth answer stays relative.
    pub preserve_location: bool,
    /// Whether the auth server sees the client's method in place of GET.
    pub preserve_method: bool,
    /// Where clients are sent whom the auth server answers 401.
    pub signin_url: Option<HeaderValue>,
}

/// What becomes of the client's X-Forwarded-* on their way to the auth server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrustForwarded {
    /// Nothing was said: most are overwritten, the others passed on.
    Unset,
    /// All are removed, then set anew.
    No,
    /// Those that are there are kept.
    Yes,
}

/// Whether the auth server sees the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyPolicy {
    /// It does not.
    Withhold,
    /// It does, if the body is not larger than this many bytes; larger ones are answered 401.
    Forward {
        /// `None` is no limit.
        max: Option<u64>,
    },
}

/// Largest body of an auth answer where nothing is said.
pub const DEFAULT_MAX_RESPONSE_BODY: u64 = 1 << 20;
