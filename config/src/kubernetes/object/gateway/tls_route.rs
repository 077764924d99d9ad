//! `TLSRoute`.

use std::sync::Arc;

use serde::Deserialize;

use super::super::field::or_default;
use super::{BackendRef, RouteSpec, Unused};

/// Routes of TLS connections by SNI.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct TlsRoute {
    /// Everything.
    pub spec: RouteSpec<TlsRule>,
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
