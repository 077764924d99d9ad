//! Secrets and ConfigMaps → certificates with their keys, and authorities.
//!
//! A certificate is usable when its chain is PEM, its key is PEM and unencrypted, and the key fits the leaf. Validity
//! in time is reported, not enforced: an expired certificate is served rather than none.

use std::sync::Arc;

use jiff::Timestamp;
use rustls::{crypto::aws_lc_rs::sign::any_supported_type, sign::CertifiedKey};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use super::{Contribution, Filled, Settings, SniClaim, SniRank, certificate_object, object_id, slot};
use crate::{
    kubernetes::{
        object::{
            Item,
            core::{ConfigMap, Secret},
        },
        view::View,
    },
    model::{
        certificate::{Certificate, CertificateSlot},
        host::{HostPattern, WildcardDepth},
        id::CertificateId,
    },
    report::Finding,
    snapshot::{OwnerId, SniAction, Transport},
};

const TLS_TYPE: &str = "kubernetes.io/tls";
const CHAIN: &str = "tls.crt";
const KEY: &str = "tls.key";

/// Why a Secret is no certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateProblem {
    /// A Secret of another purpose.
    #[error("is of type {0}; {TLS_TYPE} is wanted")]
    WrongType(Arc<str>),
    /// The field is missing or empty.
    #[error("{0} is missing or empty")]
    Empty(&'static str),
    /// The field holds no PEM block of the right kind.
    #[error("{0} holds no PEM block of {1}")]
    NoPem(&'static str, &'static str),
    /// The key needs a password.
    #[error("{KEY} is encrypted; a key without a password is wanted")]
    EncryptedKey,
    /// A certificate of the chain is not X.509.
    #[error("certificate {0} of {CHAIN} is not valid X.509")]
    NotX509(usize),
    /// The key's algorithm or encoding is not supported.
    #[error(
        "{KEY} is of a kind that is not supported; RSA of at least 2048 bits, ECDSA (P-256, P-384, P-521) and Ed25519 are"
    )]
    UnsupportedKey,
    /// Key and certificate are not of one pair.
    #[error("{KEY} does not fit the first certificate of {CHAIN}")]
    KeyMismatch,
}

impl CertificateProblem {
    /// Machine-readable reason.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::WrongType(_) => "WrongSecretType",
            Self::Empty(_) => "MissingSecretData",
            Self::NoPem(..) | Self::NotX509(_) => "InvalidCertificate",
            Self::EncryptedKey => "EncryptedKey",
            Self::UnsupportedKey => "UnsupportedKey",
            Self::KeyMismatch => "KeyMismatch",
        }
    }

    /// The field of the Secret.
    fn field(&self) -> String {
        match self {
            Self::WrongType(_) => "type".to_owned(),
            Self::Empty(name) | Self::NoPem(name, _) => format!("data[{name}]"),
            Self::NotX509(_) => format!("data[{CHAIN}]"),
            Self::EncryptedKey | Self::UnsupportedKey | Self::KeyMismatch => format!("data[{KEY}]"),
        }
    }
}

/// The certificate that a Secret holds; computed once for each version of the Secret.
pub fn certificate_of(item: &Item<Secret>) -> &Result<Arc<Certificate>, CertificateProblem> {
    item.body.certificate.get_or_init(|| read(&item.body).map(Arc::new))
}

/// What is wrong with a Secret by itself: only those that are meant to be certificates are judged.
pub fn object(item: &Item<Secret>, view: &View<'_>, settings: &Settings) -> Contribution {
    let meant = *item.body.kind == *TLS_TYPE || (has(&item.body, CHAIN) && has(&item.body, KEY));
    let findings = match certificate_of(item) {
        _ if !meant => Vec::new(),
        Ok(certificate) => validity(certificate, view.now(settings)).into_iter().collect(),
        Err(problem) => vec![Finding::refused(problem.field(), problem.reason(), problem.to_string())],
    };
    Contribution { findings, ..Contribution::default() }
}

/// Fills a certificate slot.
pub fn certificate(id: &CertificateId, view: &View<'_>) -> Filled<CertificateSlot> {
    let found = slot::split(id.as_str()).and_then(|(namespace, name)| view.get::<Secret>(namespace, name));
    let Some(item) = found else {
        return Filled::new(CertificateSlot::Refused { reason: format!("Secret {id} does not exist").into() });
    };
    Filled::new(match certificate_of(item) {
        Ok(certificate) => CertificateSlot::Ready(Arc::clone(certificate)),
        Err(problem) => CertificateSlot::Refused { reason: format!("Secret {id}: {problem}").into() },
    })
}

/// Claims for a certificate's own names on every TLS entry point.
pub fn own_names(id: &CertificateId, view: &View<'_>, settings: &Settings) -> Contribution {
    let found = slot::split(id.as_str()).and_then(|(namespace, name)| view.get::<Secret>(namespace, name));
    let Some(item) = found else { return Contribution::default() };
    let Ok(certificate) = certificate_of(item) else { return Contribution::default() };
    let owner = OwnerId { object: object_id(&**item), section: Arc::default() };
    let candidates: Arc<[CertificateId]> = [id.clone()].into();
    let field: Arc<str> = format!("data[{CHAIN}]").into();
    let entry_points = settings.entry_points.iter().filter(|entry| entry.transport == Transport::Tls);
    let claims = entry_points.flat_map(|entry| {
        let (owner, candidates, field) = (&owner, &candidates, &field);
        certificate.names.iter().map(move |name| SniClaim {
            socket: entry.socket,
            pattern: name.clone(),
            asked: name.clone(),
            rank: SniRank::FromCertificate,
            owner: owner.clone(),
            created: item.meta.creation_timestamp,
            action: SniAction::Terminate(candidates.clone()),
            certificate: Some(certificate.clone()),
            field: field.clone(),
        })
    });
    Contribution { sni: claims.collect(), ..Contribution::default() }
}

/// Whose an SNI entry is that ends TLS with this certificate: connections may be shared by the hosts of one
/// certificate.
pub fn owner(id: &CertificateId) -> OwnerId {
    OwnerId { object: certificate_object(id), section: Arc::default() }
}

/// Authorities from PEM; at least one.
pub fn authorities(pem: &[u8]) -> Result<Arc<[CertificateDer<'static>]>, String> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let certificates = certificates.map_err(|_| "holds broken PEM".to_owned())?;
    if certificates.is_empty() {
        return Err("holds no PEM block of a certificate".to_owned());
    }
    for (at, der) in certificates.iter().enumerate() {
        X509Certificate::from_der(der).map_err(|_| format!("certificate {} is not valid X.509", at + 1))?;
    }
    Ok(certificates.into())
}

/// Authorities in `ca.crt` of a ConfigMap, where the Gateway API and most tools put them.
pub fn authorities_of_config_map(item: &Item<ConfigMap>) -> Result<Arc<[CertificateDer<'static>]>, String> {
    let pem = item.body.data.get("ca.crt").ok_or_else(|| "has no key ca.crt".to_owned())?;
    authorities(pem).map_err(|why| format!("ca.crt {why}"))
}

/// Authorities in `ca.crt` of a Secret, or in `tls.ca`, as Traefik also reads.
pub fn authorities_of_secret(item: &Item<Secret>) -> Result<Arc<[CertificateDer<'static>]>, String> {
    let found = ["ca.crt", "tls.ca"].into_iter().find_map(|key| Some((key, item.body.data.get(key)?)));
    let (key, pem) = found.ok_or_else(|| "has no key ca.crt".to_owned())?;
    authorities(pem).map_err(|why| format!("{key} {why}"))
}

fn has(secret: &Secret, key: &str) -> bool {
    secret.data.get(key).is_some_and(|bytes| !bytes.is_empty())
}

fn read(secret: &Secret) -> Result<Certificate, CertificateProblem> {
    if *secret.kind != *TLS_TYPE && *secret.kind != *"Opaque" {
        return Err(CertificateProblem::WrongType(secret.kind.clone()));
    }
    let bytes = |key| {
        let found = secret.data.get(key).filter(|bytes| !bytes.is_empty());
        found.ok_or(CertificateProblem::Empty(key))
    };
    let chain = read_chain(bytes(CHAIN)?)?;
    let key = read_key(bytes(KEY)?)?;
    check_fit(&chain, &key)?;
    let leaf = chain.first().ok_or(CertificateProblem::Empty(CHAIN))?;
    let (_, parsed) = X509Certificate::from_der(leaf).map_err(|_| CertificateProblem::NotX509(1))?;
    let time = |asn1: x509_parser::time::ASN1Time| Timestamp::from_second(asn1.timestamp()).unwrap_or(Timestamp::MAX);
    let (not_before, not_after) = (time(parsed.validity().not_before), time(parsed.validity().not_after));
    let names = names(&parsed);
    Ok(Certificate { chain, key, names, not_before, not_after })
}

fn read_chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, CertificateProblem> {
    let no_pem = || CertificateProblem::NoPem(CHAIN, "a certificate");
    let chain: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|_| no_pem())?;
    for (at, der) in chain.iter().enumerate() {
        X509Certificate::from_der(der).map_err(|_| CertificateProblem::NotX509(at + 1))?;
    }
    if chain.is_empty() { Err(no_pem()) } else { Ok(chain) }
}

fn read_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, CertificateProblem> {
    // PKCS#8 says so in the label, the older format in a header of the block (RFC 7468, section 11; RFC 1421).
    if memmem(pem, b"BEGIN ENCRYPTED PRIVATE KEY") || memmem(pem, b"4,ENCRYPTED") {
        return Err(CertificateProblem::EncryptedKey);
    }
    PrivateKeyDer::from_pem_slice(pem).map_err(|_| CertificateProblem::NoPem(KEY, "a private key"))
}

fn memmem(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

fn check_fit(chain: &[CertificateDer<'static>], key: &PrivateKeyDer<'static>) -> Result<(), CertificateProblem> {
    let signing = any_supported_type(key).map_err(|_| CertificateProblem::UnsupportedKey)?;
    CertifiedKey::new(chain.to_vec(), signing).keys_match().map_err(|_| CertificateProblem::KeyMismatch)
}

/// The DNS names of a certificate; without any, its common name, as Traefik has it.
fn names(certificate: &X509Certificate<'_>) -> Vec<HostPattern> {
    let alternative = certificate.subject_alternative_name().ok().flatten();
    let dns = alternative.iter().flat_map(|extension| &extension.value.general_names).filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(*name),
        _ => None,
    });
    let mut texts: Vec<&str> = dns.collect();
    if texts.is_empty() {
        texts.extend(certificate.subject().iter_common_name().filter_map(|name| name.as_str().ok()));
    }
    let parse = |text: &str| HostPattern::parse(text, WildcardDepth::One).ok();
    let named = |pattern: &HostPattern| *pattern != HostPattern::Any;
    let mut names: Vec<_> = texts.into_iter().filter_map(parse).filter(named).collect();
    names.sort();
    names.dedup();
    names
}

fn validity(certificate: &Certificate, now: Timestamp) -> Option<Finding> {
    let field = format!("data[{CHAIN}]");
    if certificate.not_after < now {
        let message = format!(
            "the certificate expired on {}; it is served all the same where there is no other",
            certificate.not_after
        );
        Some(Finding::warning(field, "Expired", message).remedy("renew it"))
    } else if certificate.not_before > now {
        let message = format!("the certificate is valid from {} on only", certificate.not_before);
        Some(Finding::warning(field, "NotYetValid", message).remedy("check the clocks of this host and of the issuer"))
    } else {
        None
    }
}
