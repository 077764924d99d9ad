//! Changes and checks header fields: own fields, CORS, and the fixed set that browsers are told for safety.

use std::sync::Arc;

use http::{HeaderName, HeaderValue};

use crate::model::go_regex::GoRegex;

/// Configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    /// Changes of the request; `None` removes the field.
    pub request: Vec<(HeaderName, Option<HeaderValue>)>,
    /// Host that the backend sees.
    pub request_host: Option<HeaderValue>,
    /// Changes of the answer; `None` removes the field.
    pub response: Vec<(HeaderName, Option<HeaderValue>)>,
    /// Cross-origin requests.
    pub cors: Option<Cors>,
    /// Fixed fields of every answer, set before `response`.
    pub secure: Vec<(HeaderName, HeaderValue)>,
    /// The same, of answers to clients that use TLS (Strict-Transport-Security unless forced).
    pub secure_on_tls: Vec<(HeaderName, HeaderValue)>,
    /// Hosts that are served, lower-case; empty is all.
    pub allowed_hosts: Vec<Arc<str>>,
    /// Fields that hold the host, looked at before Host.
    pub host_headers: Vec<HeaderName>,
    /// Fields whose value says that the client used TLS.
    pub tls_headers: Vec<(HeaderName, HeaderValue)>,
}

/// Cross-origin requests (Fetch standard, "CORS protocol").
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cors {
    /// `Access-Control-Allow-Credentials: true`.
    pub credentials: bool,
    /// Origins that are allowed; a `*` among them allows all.
    pub origins: Vec<Arc<str>>,
    /// Origins that are allowed, by expression; not anchored.
    pub origin_expressions: Vec<GoRegex>,
    /// Access-Control-Allow-Headers.
    pub headers: Option<Allowed>,
    /// Access-Control-Allow-Methods.
    pub methods: Option<Allowed>,
    /// Access-Control-Expose-Headers.
    pub expose: Option<HeaderValue>,
    /// Access-Control-Max-Age in seconds.
    pub max_age: Option<HeaderValue>,
    /// Whether `Origin` is appended to Vary.
    pub vary: bool,
}

/// A list that a preflight is answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// The names joined by comma.
    pub value: HeaderValue,
    /// The list is `*`: with credentials the request's own list is echoed, as browsers take `*` literally then.
    pub any: bool,
}
