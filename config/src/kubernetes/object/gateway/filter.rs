//! Filters of HTTPRoute and GRPCRoute.

use std::sync::Arc;

use serde::Deserialize;

use super::super::field::or_default;
use super::{LocalRef, Port, Unused};

/// `filters[]` of an HTTPRoute: the field that `type` names must be there, and no other.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpFilter {
    /// Which one.
    #[serde(rename = "type")]
    pub kind: HttpFilterType,
    /// With `RequestHeaderModifier`.
    pub request_header_modifier: Option<HeaderModifier>,
    /// With `ResponseHeaderModifier`.
    pub response_header_modifier: Option<HeaderModifier>,
    /// With `RequestMirror`. Not carried.
    pub request_mirror: Option<Unused>,
    /// With `RequestRedirect`.
    pub request_redirect: Option<RequestRedirect>,
    /// With `URLRewrite`.
    pub url_rewrite: Option<UrlRewrite>,
    /// With `ExtensionRef`.
    pub extension_ref: Option<LocalRef>,
    /// With `CORS`. Not carried.
    pub cors: Option<Unused>,
    /// With `ExternalAuth` (experimental). Not carried.
    pub external_auth: Option<Unused>,
}

/// `type` of an HTTPRoute's filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub enum HttpFilterType {
    /// Changes header fields of the request.
    RequestHeaderModifier,
    /// Changes header fields of the answer.
    ResponseHeaderModifier,
    /// Sends a copy elsewhere.
    RequestMirror,
    /// Answers with a redirect.
    RequestRedirect,
    /// Changes host or path of the request.
    #[serde(rename = "URLRewrite")]
    UrlRewrite,
    /// An object of another group.
    ExtensionRef,
    /// Cross-origin resource sharing.
    #[serde(rename = "CORS")]
    Cors,
    /// Asks another service.
    ExternalAuth,
}

/// `filters[]` of a GRPCRoute: the field that `type` names must be there, and no other.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GrpcFilter {
    /// Which one.
    #[serde(rename = "type")]
    pub kind: GrpcFilterType,
    /// With `RequestHeaderModifier`.
    pub request_header_modifier: Option<HeaderModifier>,
    /// With `ResponseHeaderModifier`.
    pub response_header_modifier: Option<HeaderModifier>,
    /// With `RequestMirror`. Not carried.
    pub request_mirror: Option<Unused>,
    /// With `ExtensionRef`.
    pub extension_ref: Option<LocalRef>,
}

/// `type` of a GRPCRoute's filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub enum GrpcFilterType {
    /// Changes header fields of the request.
    RequestHeaderModifier,
    /// Changes header fields of the answer.
    ResponseHeaderModifier,
    /// Sends a copy elsewhere.
    RequestMirror,
    /// An object of another group.
    ExtensionRef,
}

/// Header fields to set, add and remove.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct HeaderModifier {
    /// Replaces all values of the name.
    #[serde(deserialize_with = "or_default")]
    pub set: Vec<HeaderField>,
    /// Appends a value.
    #[serde(deserialize_with = "or_default")]
    pub add: Vec<HeaderField>,
    /// Removes all values of the name.
    #[serde(deserialize_with = "or_default")]
    pub remove: Vec<Arc<str>>,
}

/// One header field.
#[derive(Debug, PartialEq, Deserialize)]
pub struct HeaderField {
    /// Name.
    pub name: Arc<str>,
    /// Value.
    pub value: Arc<str>,
}

/// `requestRedirect`.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct RequestRedirect {
    /// That of the request when left out.
    pub scheme: Option<RedirectScheme>,
    /// That of the request when left out.
    pub hostname: Option<Arc<str>>,
    /// That of the request when left out.
    pub path: Option<PathModifier>,
    /// See `model::filter::Redirect::port` when left out.
    pub port: Option<Port>,
    /// 302 when left out; 301, 302, 303, 307 or 308.
    pub status_code: Option<u16>,
}

/// `requestRedirect.scheme`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RedirectScheme {
    /// `http`.
    Http,
    /// `https`.
    Https,
}

/// `urlRewrite`.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct UrlRewrite {
    /// The Host that the backend sees.
    pub hostname: Option<Arc<str>>,
    /// The path that the backend sees.
    pub path: Option<PathModifier>,
}

/// `path` of a redirect or a rewrite.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PathModifier {
    /// Which of the two.
    #[serde(rename = "type")]
    pub kind: PathModifierType,
    /// With `ReplaceFullPath`.
    pub replace_full_path: Option<Arc<str>>,
    /// With `ReplacePrefixMatch`.
    pub replace_prefix_match: Option<Arc<str>>,
}

/// What of the path is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum PathModifierType {
    /// All of it.
    ReplaceFullPath,
    /// What the match's prefix took.
    ReplacePrefixMatch,
}
