//! Tells the backend the client's certificate, in Traefik's form.
//!
//! What an untrusted client sends under these names never gets this far; what a trusted one says stays where the
//! connection itself has no certificate.

use std::net::{Ipv4Addr, Ipv6Addr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use postern_config::model::middleware::pass_tls_client_cert::{self as model, Attribute, Field};
use rustls_pki_types::CertificateDer;
use x509_parser::{
    extensions::GeneralName,
    prelude::{FromDer as _, X509Certificate},
    x509::X509Name,
};

use super::remove_spellings;
use crate::exchange::{Exchange, Flow};

const CERTIFICATE: HeaderName = HeaderName::from_static("x-forwarded-tls-client-cert");
const INFO: HeaderName = HeaderName::from_static("x-forwarded-tls-client-cert-info");

/// What Go's `url.QueryEscape` escapes, but for the space.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b' ');

/// Running state.
#[derive(Debug)]
pub(super) struct PassTlsClientCert {
    spec: model::PassTlsClientCert,
}

impl PassTlsClientCert {
    pub(super) fn build(spec: &model::PassTlsClientCert) -> Self {
        Self { spec: spec.clone() }
    }

    pub(super) fn on_request(&self, exchange: &mut Exchange) -> Flow {
        let connection = exchange.connection.clone();
        let chain = connection.tls.as_ref().map_or(&[][..], |tls| &tls.client_certificates);
        if chain.is_empty() {
            return Flow::Continue;
        }
        if self.spec.pem {
            tell(exchange, &CERTIFICATE, &certificates(chain));
        }
        if let Some(fields) = &self.spec.info {
            tell(exchange, &INFO, &escaped(&info(fields, chain)));
        }
        Flow::Continue
    }
}

fn tell(exchange: &mut Exchange, name: &HeaderName, text: &str) {
    remove_spellings(&mut exchange.parts.headers, name);
    if let Ok(value) = HeaderValue::from_str(text) {
        exchange.parts.headers.insert(name, value);
    }
}

/// PEM without its lines, the client's own certificate first.
fn certificates(chain: &[CertificateDer<'static>]) -> String {
    chain.iter().map(|certificate| STANDARD.encode(certificate)).collect::<Vec<_>>().join(",")
}

fn escaped(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string().replace(' ', "+")
}

/// `Subject="…";Issuer="…"` of each certificate. rustls has read them all; one that cannot be read tells nothing.
fn info(fields: &[Field], chain: &[CertificateDer<'static>]) -> String {
    let of = |certificate: &CertificateDer<'_>| {
        let read = X509Certificate::from_der(certificate);
        let parts = read.map(|(_, read)| fields.iter().filter_map(|field| part(field, &read)).collect::<Vec<_>>());
        parts.unwrap_or_default().join(";")
    };
    chain.iter().map(of).collect::<Vec<_>>().join(",")
}

/// One field; `None` where it is empty.
fn part(field: &Field, certificate: &X509Certificate<'_>) -> Option<String> {
    let (name, value) = match field {
        Field::Subject(attributes) => ("Subject", name(attributes, certificate.subject())),
        Field::Issuer(attributes) => ("Issuer", name(attributes, certificate.issuer())),
        Field::SerialNumber => ("SerialNumber", certificate.tbs_certificate.serial.to_string()),
        Field::NotBefore => ("NB", certificate.validity().not_before.timestamp().to_string()),
        Field::NotAfter => ("NA", certificate.validity().not_after.timestamp().to_string()),
        Field::Sans => ("SAN", sans(certificate)),
    };
    (!value.is_empty()).then(|| format!("{name}=\"{value}\""))
}

/// A quotation mark would end the field for whoever reads it, and begin one of the client's choice.
fn plain(text: &str) -> String {
    text.replace('\\', r"\\").replace('"', "\\\"")
}

fn name(attributes: &[Attribute], name: &X509Name<'_>) -> String {
    let parts = attributes.iter().flat_map(|attribute| values(*attribute, name));
    parts.collect::<Vec<_>>().join(",")
}

/// `CN=…` and the like, empty values left out.
fn values(attribute: Attribute, name: &X509Name<'_>) -> Vec<String> {
    let of = name.iter_attributes().filter(|held| held.attr_type().to_id_string() == oid(attribute));
    let mut values: Vec<&str> = of.filter_map(|held| held.as_str().ok()).collect();
    if attribute.is_single() {
        values = values.pop().into_iter().collect();
    }
    values.retain(|value| !value.is_empty());
    values.into_iter().map(|value| format!("{}={}", attribute.as_str(), plain(value))).collect()
}

/// RFC 5280 appendix A, RFC 4519 for the domain component.
fn oid(attribute: Attribute) -> &'static str {
    match attribute {
        Attribute::DomainComponent => "0.9.2342.19200300.100.1.25",
        Attribute::Country => "2.5.4.6",
        Attribute::Province => "2.5.4.8",
        Attribute::Locality => "2.5.4.7",
        Attribute::Organization => "2.5.4.10",
        Attribute::OrganizationalUnit => "2.5.4.11",
        Attribute::SerialNumber => "2.5.4.5",
        Attribute::CommonName => "2.5.4.3",
    }
}

/// Names, then mail addresses, IP addresses, URIs.
fn sans(certificate: &X509Certificate<'_>) -> String {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return String::new() };
    let mut names: Vec<(u8, String)> = extension.value.general_names.iter().filter_map(san).collect();
    names.sort_by_key(|(rank, _)| *rank);
    names.into_iter().map(|(_, name)| name).collect::<Vec<_>>().join(",")
}

fn san(name: &GeneralName<'_>) -> Option<(u8, String)> {
    match name {
        GeneralName::DNSName(text) => Some((0, plain(text))),
        GeneralName::RFC822Name(text) => Some((1, plain(text))),
        GeneralName::IPAddress(bytes) => address(bytes).map(|text| (2, text)),
        GeneralName::URI(text) => Some((3, plain(text))),
        _ => None,
    }
}

fn address(bytes: &[u8]) -> Option<String> {
    let v4 = <[u8; 4]>::try_from(bytes).map(|octets| Ipv4Addr::from(octets).to_string());
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(|octets| Ipv6Addr::from(octets).to_string())).ok()
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType, SerialNumber};

    use super::*;
    use crate::middleware::testing::{answered, client_certificates, exchange, spec};

    /// A client's certificate and its authority's.
    fn chain(common_name: &str) -> Vec<CertificateDer<'static>> {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.distinguished_name = rcgen::DistinguishedName::new();
        authority.distinguished_name.push(DnType::CountryName, "CH");
        authority.distinguished_name.push(DnType::OrganizationName, "Authority & Sons");
        authority.distinguished_name.push(DnType::CommonName, "Simple Authority");
        let key = KeyPair::generate().expect("a key");
        let authority = CertifiedIssuer::self_signed(authority, key).expect("an authority");
        let mut client = CertificateParams::default();
        client.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, value) in [
            (DnType::CountryName, "FR"),
            (DnType::StateOrProvinceName, "Occitanie"),
            (DnType::LocalityName, "Toulouse"),
            (DnType::OrganizationName, "Example"),
            (DnType::OrganizationalUnitName, "Edge"),
            (DnType::CustomDnType(vec![0, 9, 2342, 19_200_300, 100, 1, 25]), "org"),
            (DnType::CustomDnType(vec![2, 5, 4, 5]), "007"),
            (DnType::CommonName, common_name),
        ] {
            client.distinguished_name.push(kind, value);
        }
        client.serial_number = Some(SerialNumber::from(vec![1, 0, 0]));
        client.not_before = rcgen::date_time_ymd(2018, 12, 6);
        client.not_after = rcgen::date_time_ymd(2020, 12, 5);
        client.subject_alt_names = vec![
            SanType::URI("spiffe://a/b".try_into().expect("a URI")),
            SanType::IpAddress([10, 0, 1, 2].into()),
            SanType::Rfc822Name("a@b.example".try_into().expect("an address")),
            SanType::DnsName("a.example".try_into().expect("a name")),
        ];
        let key = KeyPair::generate().expect("a key");
        vec![client.signed_by(&key, &authority).expect("signed").der().clone(), authority.der().clone()]
    }

    async fn told(options: &str, chain: Vec<CertificateDer<'static>>, name: &str) -> Option<String> {
        let mut exchange = exchange("GET", "https://a/").build();
        client_certificates(&mut exchange, chain);
        assert!(answered(&spec(&format!("passTLSClientCert: {options}")), &mut exchange).await.is_none());
        let value = exchange.parts.headers.get(name)?;
        Some(value.to_str().expect("text").to_owned())
    }

    const ALL: &str = "{info: {notAfter: true, notBefore: true, sans: true, serialNumber: true, subject: {country: true, \
                       province: true, locality: true, organization: true, organizationalUnit: true, commonName: true, \
                       serialNumber: true, domainComponent: true}, issuer: {country: true, organization: true, \
                       commonName: true, locality: true}}}";

    #[tokio::test]
    async fn what_is_asked_for_is_told_in_traefiks_order() {
        let got = told(ALL, chain("Jane Doe").drain(..1).collect(), INFO.as_str()).await.expect("the field");
        let plain = percent_encoding::percent_decode_str(&got.replace('+', " ")).decode_utf8_lossy().into_owned();
        assert_eq!(
            plain,
            "Subject=\"DC=org,C=FR,ST=Occitanie,L=Toulouse,O=Example,OU=Edge,SN=007,CN=Jane Doe\";\
             Issuer=\"C=CH,O=Authority & Sons,CN=Simple Authority\";SerialNumber=\"65536\";NB=\"1544054400\";\
             NA=\"1607126400\";SAN=\"a.example,a@b.example,10.0.1.2,spiffe://a/b\""
        );
        assert!(got.starts_with("Subject%3D%22DC%3Dorg%2CC%3DFR"), "{got}");
        assert!(got.contains("CN%3DJane+Doe%22%3BIssuer") && got.contains("Authority+%26+Sons"), "{got}");
    }

    #[tokio::test]
    async fn each_certificate_of_the_chain_is_told() {
        let both = chain("x");
        let pem = told("{pem: true}", both.clone(), CERTIFICATE.as_str()).await.expect("the field");
        let decoded: Vec<_> = pem.split(',').map(|text| STANDARD.decode(text).expect("base64")).collect();
        assert_eq!(decoded, both.iter().map(|der| der.to_vec()).collect::<Vec<_>>());
        let names = told("{info: {subject: {commonName: true}}}", both, INFO.as_str()).await.expect("the field");
        assert_eq!(names, "Subject%3D%22CN%3Dx%22%2CSubject%3D%22CN%3DSimple+Authority%22");
    }

    #[tokio::test]
    async fn only_what_is_asked_for_is_told() {
        assert_eq!(told("{pem: true}", chain("x"), INFO.as_str()).await, None);
        assert_eq!(told("{info: {sans: true}}", chain("x"), CERTIFICATE.as_str()).await, None);
        assert_eq!(told("{}", chain("x"), INFO.as_str()).await, None);
        assert_eq!(told(ALL, Vec::new(), INFO.as_str()).await, None);
    }

    #[tokio::test]
    async fn a_name_cannot_make_up_a_field() {
        let evil = chain("x\";SAN=\"admin.example").drain(..1).collect();
        let got = told("{info: {subject: {commonName: true}}}", evil, INFO.as_str()).await.expect("the field");
        let plain = percent_encoding::percent_decode_str(&got).decode_utf8_lossy();
        assert_eq!(plain, "Subject=\"CN=x\\\";SAN=\\\"admin.example\"");
    }

    #[tokio::test]
    async fn what_was_said_before_is_replaced_in_every_spelling() {
        let mut exchange = exchange("GET", "https://a/")
            .header("X-Forwarded-Tls-Client-Cert", "forged")
            .header("X_Forwarded_Tls_Client_Cert", "forged")
            .build();
        client_certificates(&mut exchange, chain("x"));
        assert!(answered(&spec("passTLSClientCert: {pem: true}"), &mut exchange).await.is_none());
        let values: Vec<_> = exchange.parts.headers.values().collect();
        assert_eq!(values.len(), 1);
        assert!(values[0] != "forged");
    }
}
