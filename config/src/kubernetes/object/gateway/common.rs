//! What several kinds share: references, scopes.

use std::{num::NonZeroU16, sync::Arc};

use serde::Deserialize;

use super::super::field::or_default;

/// A port number, 1 to 65535.
pub type Port = NonZeroU16;

/// `spec` of a route, whose rules are `R`.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase", bound(deserialize = "R: Default + Deserialize<'de>"))]
pub struct RouteSpec<R> {
    /// What it attaches to, at most 32.
    #[serde(deserialize_with = "or_default")]
    pub parent_refs: Vec<ParentRef>,
    /// Not carried (experimental).
    pub use_default_gateways: Option<DefaultScope>,
    /// Hosts, at most 16 (a TLSRoute: 1024); every host of the listener when empty.
    #[serde(deserialize_with = "or_default")]
    pub hostnames: Vec<Arc<str>>,
    /// HTTPRoute: at most 16, one for every path when left out. GRPCRoute: at most 16. TLSRoute: exactly one.
    pub rules: Option<Vec<R>>,
}

/// `parentRefs[]`: what a route wants to attach to.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ParentRef {
    /// API group; `gateway.networking.k8s.io` when left out.
    pub group: Option<Arc<str>>,
    /// Kind; `Gateway` when left out.
    pub kind: Option<Arc<str>>,
    /// Namespace; the route's own when left out.
    pub namespace: Option<Arc<str>>,
    /// Name.
    pub name: Arc<str>,
    /// One listener of the parent.
    pub section_name: Option<Arc<str>>,
    /// Listeners with this port.
    pub port: Option<Port>,
}

/// A reference to an object that a Gateway makes use of (`SecretObjectReference`). What a missing kind stands for
/// depends on the field.
#[derive(Debug, PartialEq, Deserialize)]
pub struct ObjectRef {
    /// API group; empty is the core group.
    pub group: Option<Arc<str>>,
    /// Kind.
    pub kind: Option<Arc<str>>,
    /// Namespace; that of the referring object when left out.
    pub namespace: Option<Arc<str>>,
    /// Name.
    pub name: Arc<str>,
}

/// A reference within the namespace (`LocalObjectReference`).
#[derive(Debug, PartialEq, Deserialize)]
pub struct LocalRef {
    /// API group; empty is the core group.
    pub group: Arc<str>,
    /// Kind.
    pub kind: Arc<str>,
    /// Name.
    pub name: Arc<str>,
}

/// `backendRefs[]`; `F` is the kind of its filters.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(bound(deserialize = "F: Deserialize<'de>"))]
pub struct BackendRef<F> {
    /// API group; empty (the default) is the core group.
    pub group: Option<Arc<str>>,
    /// Kind; `Service` when left out.
    pub kind: Option<Arc<str>>,
    /// Namespace; the route's own when left out.
    pub namespace: Option<Arc<str>>,
    /// Name.
    pub name: Arc<str>,
    /// Port; required for a Service.
    pub port: Option<Port>,
    /// Share, relative to the sum of all weights; 1 when left out.
    pub weight: Option<u32>,
    /// Filters of this backend alone.
    #[serde(default = "Vec::new", deserialize_with = "or_default")]
    pub filters: Vec<F>,
}

/// `useDefaultGateways` of a route and `defaultScope` of a Gateway (experimental).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum DefaultScope {
    /// The default Gateways.
    All,
    /// No Gateway by default.
    None,
}

/// `type` of a value match.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum ValueMatchType {
    /// Byte equality; the default.
    #[default]
    Exact,
    /// A regular expression for the whole value.
    RegularExpression,
}

/// A match on a header or a query parameter.
#[derive(Debug, PartialEq, Deserialize)]
pub struct NamedMatch {
    /// How `value` is meant; `Exact` when left out.
    #[serde(default, rename = "type", deserialize_with = "or_default")]
    pub kind: ValueMatchType,
    /// Name of the header or parameter.
    pub name: Arc<str>,
    /// The value, or an expression for it.
    pub value: Arc<str>,
}
