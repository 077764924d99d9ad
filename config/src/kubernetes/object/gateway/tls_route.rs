//! `TLSRoute`.

use std::sync::Arc;

use serde::Deserialize;

use super::super::field::or_default;
use super::{BackendRef, DefaultScope, ParentRef, Unused};

/// Routes of TLS connections by SNI.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct TlsRoute {
    /// Everything.
    pub spec: TlsRouteSpec,
}

/// `spec`.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TlsRouteSpec {
    /// What it attaches to, at most 32.
    #[serde(deserialize_with = "or_default")]
    pub parent_refs: Vec<ParentRef>,
    /// Not carried (experimental).
    pub use_default_gateways: Option<DefaultScope>,
    /// Names, 1 to 1024 (older versions: every name of the listener when empty).
    #[serde(deserialize_with = "or_default")]
    pub hostnames: Vec<Arc<str>>,
    /// Exactly one.
    #[serde(deserialize_with = "or_default")]
    pub rules: Vec<TlsRule>,
}

/// `spec.rules[]`.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TlsRule {
    /// For readers.
    pub name: Option<Arc<str>>,
    /// Backends, 1 to 16. They have no filters.
    #[serde(deserialize_with = "or_default")]
    pub backend_refs: Vec<BackendRef<Unused>>,
}
