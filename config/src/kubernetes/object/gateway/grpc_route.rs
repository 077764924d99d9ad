//! `GRPCRoute`.

use std::sync::Arc;

use serde::Deserialize;

use super::super::field::or_default;
use super::{BackendRef, GrpcFilter, NamedMatch, RouteSpec, Unused, ValueMatchType};

/// Routes of gRPC requests.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct GrpcRoute {
    /// Everything.
    pub spec: RouteSpec<GrpcRule>,
}

/// `spec.rules[]`.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct GrpcRule {
    /// Unique in the route.
    pub name: Option<Arc<str>>,
    /// Matches, at most 64, one of which must hold; every call when empty.
    #[serde(deserialize_with = "or_default")]
    pub matches: Vec<GrpcMatch>,
    /// Filters, at most 16.
    #[serde(deserialize_with = "or_default")]
    pub filters: Vec<GrpcFilter>,
    /// Backends, at most 16; `UNAVAILABLE` when empty.
    #[serde(deserialize_with = "or_default")]
    pub backend_refs: Vec<BackendRef<GrpcFilter>>,
    /// Not carried (experimental, deprecated).
    pub session_persistence: Option<Unused>,
}

/// `spec.rules[].matches[]`: all of its parts must hold.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct GrpcMatch {
    /// Every method when left out.
    pub method: Option<GrpcMethodMatch>,
    /// At most 16.
    #[serde(deserialize_with = "or_default")]
    pub headers: Vec<NamedMatch>,
}

/// `method` of a match: service, method or both.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct GrpcMethodMatch {
    /// How both texts are meant; `Exact` when left out.
    #[serde(rename = "type", deserialize_with = "or_default")]
    pub kind: ValueMatchType,
    /// Full name of the service.
    pub service: Option<Arc<str>>,
    /// Name of the method.
    pub method: Option<Arc<str>>,
}
