//! Changes to a request or its answer that need no state: executed straight from the snapshot.

use std::sync::Arc;

use http::{HeaderName, HeaderValue, StatusCode};

/// One stateless change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Changes header fields of the request before it is forwarded.
    RequestHeaders(HeaderChange),
    /// Changes header fields of the answer.
    ResponseHeaders(HeaderChange),
    /// Answers with a redirect; nothing is forwarded.
    Redirect(Redirect),
    /// Changes host or path of the request before it is forwarded.
    Rewrite(Rewrite),
}

/// Set, then add, then remove (Gateway API `HTTPHeaderFilter`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderChange {
    /// Replaces all values of the name.
    pub set: Vec<(HeaderName, HeaderValue)>,
    /// Appends a value.
    pub add: Vec<(HeaderName, HeaderValue)>,
    /// Removes all values of the name.
    pub remove: Vec<HeaderName>,
}

/// Gateway API `HTTPRequestRedirectFilter`; what is `None` is taken from the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// `http` or `https`.
    pub scheme: Option<Scheme>,
    /// Host of the Location.
    pub host: Option<Arc<str>>,
    /// Port of the Location. When `None`: the well-known port of `scheme` if that is set, else the listener's port;
    /// a well-known port is not written.
    pub port: Option<u16>,
    /// Path of the Location.
    pub path: Option<PathChange>,
    /// 301, 302, 303, 307 or 308.
    pub status: StatusCode,
}

/// A URL scheme that a redirect may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Port 80 unless said otherwise.
    Http,
    /// Port 443 unless said otherwise.
    Https,
}

impl Scheme {
    /// The scheme as written in a URL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The port that a URL of this scheme need not name.
    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// Gateway API `HTTPURLRewriteFilter`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rewrite {
    /// Replaces the Host that the backend sees.
    pub host: Option<Arc<str>>,
    /// Replaces the path that the backend sees.
    pub path: Option<PathChange>,
}

/// Gateway API `HTTPPathModifier`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathChange {
    /// The whole path becomes this.
    Full(Arc<str>),
    /// What the rule's prefix matched becomes this; the rest stays.
    Prefix(Arc<str>),
}
