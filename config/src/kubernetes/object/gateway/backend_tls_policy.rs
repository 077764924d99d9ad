//! `BackendTLSPolicy`.

use std::sync::Arc;

use serde::Deserialize;

use super::super::field::or_default;
use super::{LocalRef, Unused};

/// TLS towards Services.
#[derive(Debug, PartialEq, Deserialize)]
pub struct BackendTlsPolicy {
    /// Everything.
    pub spec: BackendTlsPolicySpec,
}

/// `spec`.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendTlsPolicySpec {
    /// Which backends, 1 to 16.
    #[serde(default, deserialize_with = "or_default")]
    pub target_refs: Vec<PolicyTargetRef>,
    /// How their certificates are judged.
    pub validation: BackendTlsValidation,
    /// Not carried.
    pub options: Option<Unused>,
}

/// `spec.targetRefs[]`: an object of the policy's namespace.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyTargetRef {
    /// API group; empty is the core group.
    pub group: Arc<str>,
    /// Kind.
    pub kind: Arc<str>,
    /// Name.
    pub name: Arc<str>,
    /// Name of a Service's port; every port when left out.
    pub section_name: Option<Arc<str>>,
}

/// `spec.validation`.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendTlsValidation {
    /// Authorities, at most 8. Either these or well-known ones.
    #[serde(default, deserialize_with = "or_default")]
    pub ca_certificate_refs: Vec<LocalRef>,
    /// `System`, or a domain-prefixed name.
    #[serde(rename = "wellKnownCACertificates")]
    pub well_known_ca_certificates: Option<Arc<str>>,
    /// SNI, and the name in the certificate unless `subject_alt_names` are given.
    pub hostname: Arc<str>,
    /// At most 5, one of which must be in the certificate.
    #[serde(default, deserialize_with = "or_default")]
    pub subject_alt_names: Vec<PolicySubjectAltName>,
}

/// `spec.validation.subjectAltNames[]`: the field that `type` names must be there, and no other.
#[derive(Debug, PartialEq, Deserialize)]
pub struct PolicySubjectAltName {
    /// Which of the two.
    #[serde(rename = "type")]
    pub kind: SubjectAltNameType,
    /// With `Hostname`.
    pub hostname: Option<Arc<str>>,
    /// With `URI`.
    pub uri: Option<Arc<str>>,
}

/// `type` of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum SubjectAltNameType {
    /// A DNS name.
    Hostname,
    /// A URI.
    #[serde(rename = "URI")]
    Uri,
}
