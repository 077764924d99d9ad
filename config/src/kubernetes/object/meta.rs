//! `metadata`, as far as it is used.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use serde::Deserialize;

use super::field::{Unused, or_default};

/// Object metadata. The namespace is filled in (`default`) by the parser where a namespaced document leaves it out.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Meta {
    /// Name.
    pub name: Arc<str>,
    /// Namespace; empty for cluster-scoped kinds.
    #[serde(deserialize_with = "or_default")]
    pub namespace: Arc<str>,
    /// Labels.
    #[serde(deserialize_with = "or_default")]
    pub labels: BTreeMap<Arc<str>, Arc<str>>,
    /// Annotations.
    #[serde(deserialize_with = "or_default")]
    pub annotations: BTreeMap<Arc<str>, Arc<str>>,
    /// When the API server first saw it; usually absent in files.
    pub creation_timestamp: Option<Timestamp>,
    /// Counts changes of `spec`; 0 in files.
    #[serde(deserialize_with = "or_default")]
    pub generation: i64,
    uid: Unused,
    resource_version: Unused,
    self_link: Unused,
    generate_name: Unused,
    deletion_timestamp: Unused,
    deletion_grace_period_seconds: Unused,
    owner_references: Unused,
    finalizers: Unused,
    managed_fields: Unused,
}
