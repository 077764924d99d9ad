//! `metadata`, as far as it is used.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use serde::Deserialize;

/// Object metadata. The namespace is filled in (`default`) by the parser where a namespaced document leaves it out.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Meta {
    /// Name.
    pub name: Arc<str>,
    /// Namespace; empty for cluster-scoped kinds.
    pub namespace: Arc<str>,
    /// Labels.
    pub labels: BTreeMap<Arc<str>, Arc<str>>,
    /// Annotations.
    pub annotations: BTreeMap<Arc<str>, Arc<str>>,
    /// When the API server first saw it; usually absent in files.
    pub creation_timestamp: Option<Timestamp>,
    /// Counts changes of `spec`; 0 in files.
    pub generation: i64,
}
