//! Which certificate a client gets.

use std::sync::Arc;

use jiff::Timestamp;
use postern_config::model::{
    certificate::{Certificate, CertificateSlot},
    id::CertificateId,
};
use rustls::{crypto::aws_lc_rs, sign::CertifiedKey};

use super::TlsError;
use crate::plan::Plan;

/// A certificate as rustls wants it. Fails for a key of a kind that rustls does not sign with.
pub fn certified_key(certificate: &Certificate) -> Result<CertifiedKey, rustls::Error> {
    let key = aws_lc_rs::sign::any_supported_type(&certificate.key)?;
    Ok(CertifiedKey::new(certificate.chain.clone(), key))
}

/// The best of `candidates` for `name`: those that name it first, of these the ones that are valid at `now`, of these
/// the first.
pub(super) fn choose(
    plan: &Plan,
    candidates: &[CertificateId],
    name: Option<&str>,
    now: Timestamp,
) -> Option<Arc<CertifiedKey>> {
    let ready = candidates.iter().filter_map(|id| Some((certificate(plan, id)?, plan.certificates.get(id)?)));
    let best = ready.min_by_key(|(certificate, _)| {
        let names = name.is_some_and(|name| certificate.names.iter().any(|pattern| pattern.matches(name)));
        (!names, !certificate.is_valid_at(now))
    });
    best.map(|(_, key)| key.clone())
}

fn certificate<'p>(plan: &'p Plan, id: &CertificateId) -> Option<&'p Certificate> {
    match &**plan.snapshot.certificates.get(id)? {
        CertificateSlot::Ready(certificate) => Some(certificate),
        CertificateSlot::Refused { .. } => None,
    }
}

/// A self-signed certificate for clients whose host has none: they see a warning that says whose it is.
pub(super) fn self_signed() -> Result<CertifiedKey, TlsError> {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    let mut parameters = rcgen::CertificateParams::new(vec!["default.postern.invalid".to_owned()])?;
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters.distinguished_name.push(rcgen::DnType::CommonName, "postern default");
    let certificate = parameters.self_signed(&key)?;
    let der = rustls_pki_types::PrivatePkcs8KeyDer::from(key.serialize_der());
    let signing = aws_lc_rs::sign::any_supported_type(&der.into())?;
    Ok(CertifiedKey::new(vec![certificate.der().clone()], signing))
}
