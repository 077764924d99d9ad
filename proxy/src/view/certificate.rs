//! Certificates: names and dates, never keys.

use postern_config::{model::certificate::CertificateSlot, snapshot::Snapshot};
use serde::Serialize;

/// One certificate slot.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CertificateView {
    /// Its slot.
    pub id: String,
    /// Why it is not used; absent when it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// DNS names.
    pub names: Vec<String>,
    /// Begin of validity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<String>,
    /// End of validity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_after: Option<String>,
}

/// Every certificate, ordered by id.
pub fn certificates(snapshot: &Snapshot) -> Vec<CertificateView> {
    let view = |id: String, slot: &CertificateSlot| match slot {
        CertificateSlot::Refused { reason } => CertificateView {
            id,
            refused: Some(reason.to_string()),
            names: Vec::new(),
            not_before: None,
            not_after: None,
        },
        CertificateSlot::Ready(certificate) => CertificateView {
            id,
            refused: None,
            names: certificate.names.iter().map(ToString::to_string).collect(),
            not_before: Some(certificate.not_before.to_string()),
            not_after: Some(certificate.not_after.to_string()),
        },
    };
    let mut all: Vec<_> = snapshot.certificates.iter().map(|(id, slot)| view(id.to_string(), slot)).collect();
    all.sort_by(|a, b| a.id.cmp(&b.id));
    all
}
