//! `GRPCRoute`.

use std::sync::Arc;

use serde::Deserialize;

use super::super::field::or_default;
use super::{BackendRef, DefaultScope, GrpcFilter, NamedMatch, ParentRef, Unused, ValueMatchType};

/// Routes of gRPC requests.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct GrpcRoute {
    /// Everything.
    pub spec: GrpcRouteSpec,
}

/// `spec`.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct GrpcRouteSpec {
    /// What it attaches to, at most 32.
    #[serde(deserialize_with = "or_default")]
    pub parent_refs: Vec<ParentRef>,
    /// Not carried (experimental).
    pub use_default_gateways: Option<DefaultScope>,
    /// Hosts, at most 16; every host of the listener when empty.
    #[serde(deserialize_with = "or_default")]
    pub hostnames: Vec<Arc<str>>,
    /// Rules, at most 16.
    #[serde(deserialize_with = "or_default")]
    pub rules: Vec<GrpcRule>,
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
