//! `HTTPRoute`.

use std::sync::Arc;

use serde::Deserialize;

use super::super::field::or_default;
use super::{BackendRef, HttpFilter, NamedMatch, RouteSpec, Unused};

/// Routes of HTTP requests.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct HttpRoute {
    /// Everything.
    pub spec: RouteSpec<HttpRule>,
}

/// `spec.rules[]`.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct HttpRule {
    /// Unique in the route.
    pub name: Option<Arc<str>>,
    /// Matches, at most 64, one of which must hold; every path when empty.
    #[serde(deserialize_with = "or_default")]
    pub matches: Vec<HttpMatch>,
    /// Filters, at most 16.
    #[serde(deserialize_with = "or_default")]
    pub filters: Vec<HttpFilter>,
    /// Backends, at most 16; 500 when empty.
    #[serde(deserialize_with = "or_default")]
    pub backend_refs: Vec<BackendRef<HttpFilter>>,
    /// Limits in time.
    pub timeouts: Option<HttpTimeouts>,
    /// What may be tried again.
    pub retry: Option<HttpRetry>,
    /// Not carried (experimental, deprecated).
    pub session_persistence: Option<Unused>,
}

/// `spec.rules[].matches[]`: all of its parts must hold.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct HttpMatch {
    /// Every path when left out.
    pub path: Option<HttpPathMatch>,
    /// At most 16.
    #[serde(deserialize_with = "or_default")]
    pub headers: Vec<NamedMatch>,
    /// At most 16.
    #[serde(deserialize_with = "or_default")]
    pub query_params: Vec<NamedMatch>,
    /// Every method when left out.
    pub method: Option<HttpMethod>,
}

/// `path` of a match.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct HttpPathMatch {
    /// `PathPrefix` when left out.
    #[serde(rename = "type", deserialize_with = "or_default")]
    pub kind: PathMatchType,
    /// `/` when left out.
    pub value: Option<Arc<str>>,
}

/// `type` of a path match.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum PathMatchType {
    /// The whole path.
    Exact,
    /// The path and what is below it, element by element.
    #[default]
    PathPrefix,
    /// A regular expression for the whole path.
    RegularExpression,
}

/// `method` of a match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs, reason = "HTTP methods by their names")]
pub enum HttpMethod {
    Get,
    Head,
    Post,
    Put,
    Delete,
    Connect,
    Options,
    Trace,
    Patch,
}

/// `spec.rules[].timeouts`; durations as GEP-2257 writes them.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct HttpTimeouts {
    /// For the whole request.
    pub request: Option<Arc<str>>,
    /// For one try; not longer than `request`.
    pub backend_request: Option<Arc<str>>,
}

/// `spec.rules[].retry`.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct HttpRetry {
    /// Statuses, 400 to 599.
    #[serde(deserialize_with = "or_default")]
    pub codes: Vec<u16>,
    /// Tries after the first; 1 when left out.
    pub attempts: Option<i64>,
    /// Least pause, as GEP-2257 writes durations.
    pub backoff: Option<Arc<str>>,
}
