//! `metadata`, as far as it is used.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use serde::{Deserialize, Deserializer};
use sha1::{Digest as _, Sha1};

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
    /// Tells an object from an earlier one of the same name; none in files.
    #[serde(deserialize_with = "or_default")]
    pub uid: Uid,
    resource_version: Unused,
    self_link: Unused,
    generate_name: Unused,
    deletion_timestamp: Unused,
    deletion_grace_period_seconds: Unused,
    owner_references: Unused,
    finalizers: Unused,
    managed_fields: Unused,
}

/// What the API server calls one life of an object, in eight bytes of a hash: enough to tell it from the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Uid(pub u64);

impl<'de> Deserialize<'de> for Uid {
    fn deserialize<D: Deserializer<'de>>(field: D) -> Result<Self, D::Error> {
        // Whatever a file says here is no reason to refuse it.
        let said = serde_json::Value::deserialize(field)?;
        let digest = Sha1::digest(said.as_str().map_or_else(|| said.to_string(), str::to_owned).as_bytes());
        Ok(Self(digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))))
    }
}
