//! The core group: Namespace, Secret, ConfigMap.

use std::{collections::BTreeMap, sync::Arc};

use serde::Deserialize;

use super::field::{Bytes, Derived, Unused, merge, or_default};
use crate::{kubernetes::convert::secret::CertificateProblem, model::certificate::Certificate};

/// A Namespace: only its labels (in the metadata) matter.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Namespace {
    spec: Unused,
}

/// Transport of a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Protocol {
    /// TCP.
    #[default]
    #[serde(rename = "TCP")]
    Tcp,
    /// UDP.
    #[serde(rename = "UDP")]
    Udp,
    /// SCTP.
    #[serde(rename = "SCTP")]
    Sctp,
}

/// A Secret.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(from = "RawSecret")]
pub struct Secret {
    /// For example `kubernetes.io/tls`; `Opaque` where the document leaves it out.
    pub kind: Arc<str>,
    /// Decoded `data`, and `stringData`, which wins. Never printed.
    pub data: BTreeMap<Arc<str>, Bytes>,
    /// The certificate in it; ask `convert::secret::certificate_of`.
    pub(in crate::kubernetes) certificate: Derived<Result<Arc<Certificate>, CertificateProblem>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawSecret {
    #[serde(rename = "type")]
    kind: Option<Arc<str>>,
    #[serde(deserialize_with = "or_default")]
    data: BTreeMap<Arc<str>, Bytes>,
    #[serde(deserialize_with = "or_default")]
    string_data: BTreeMap<Arc<str>, Arc<str>>,
    #[serde(rename = "immutable")]
    _immutable: Unused,
}

impl From<RawSecret> for Secret {
    fn from(raw: RawSecret) -> Self {
        Self {
            kind: raw.kind.unwrap_or_else(|| "Opaque".into()),
            data: merge(raw.data, raw.string_data),
            certificate: Derived::default(),
        }
    }
}

/// A ConfigMap.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(from = "RawConfigMap")]
pub struct ConfigMap {
    /// `data` and decoded `binaryData`.
    pub data: BTreeMap<Arc<str>, Bytes>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawConfigMap {
    #[serde(deserialize_with = "or_default")]
    data: BTreeMap<Arc<str>, Arc<str>>,
    #[serde(deserialize_with = "or_default")]
    binary_data: BTreeMap<Arc<str>, Bytes>,
    #[serde(rename = "immutable")]
    _immutable: Unused,
}

impl From<RawConfigMap> for ConfigMap {
    fn from(raw: RawConfigMap) -> Self {
        Self { data: merge(raw.binary_data, raw.data) }
    }
}
