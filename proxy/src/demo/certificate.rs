//! A certificate authority of the demo's own, and the certificate that it signs for the bundled hosts.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair, KeyUsagePurpose,
};

/// Texts in PEM.
#[derive(Debug)]
pub struct Made {
    /// What a client must trust.
    pub authority: String,
    /// What is shown to clients.
    pub certificate: String,
    /// Its key.
    pub key: String,
}

/// Makes an authority and a certificate for `hosts`. The authority's key is forgotten at once.
pub fn make(hosts: &[&str]) -> Result<Made, rcgen::Error> {
    let mut authority = CertificateParams::default();
    authority.distinguished_name = name("postern demo authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
    let hosts: Vec<_> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let mut leaf = CertificateParams::new(hosts)?;
    leaf.distinguished_name = name("postern demo");
    leaf.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let certificate = leaf.signed_by(&key, &authority)?;
    Ok(Made { authority: authority.pem(), certificate: certificate.pem(), key: key.serialize_pem() })
}

fn name(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}
