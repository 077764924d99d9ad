//! TLS towards backends: one rustls configuration per distinct setting, with its own session cache.
//!
//! Verification is what the user asked for and never less: a setting that cannot be honoured is an error that closes
//! the cluster.

use std::sync::{Arc, Mutex, Weak};

use postern_config::model::cluster::{Protocol, SubjectAltName, UpstreamTls, Verify};
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        ResolvesClientCert,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
    sign::CertifiedKey,
};

use super::live::lock;

/// Why a setting cannot be honoured.
#[derive(Debug, thiserror::Error)]
pub(super) enum TlsError {
    #[error("none of the backend's certificate authorities can be used: {0}")]
    Authorities(rustls::Error),
    #[error("there is no certificate authority to judge the backend by")]
    NoAuthorities,
    #[error("the client certificate's key cannot be used: {0}")]
    ClientKey(rustls::Error),
    #[error("the backend's server name {0:?} is neither a DNS name nor an address")]
    ServerName(Arc<str>),
    #[error("a subject alternative name is empty")]
    EmptyName,
    #[error("TLS versions: {0}")]
    Versions(rustls::Error),
}

/// Makes TLS connections of one setting.
#[derive(Debug)]
pub(super) struct Connector {
    setting: Arc<UpstreamTls>,
    protocol: Protocol,
    any: Arc<ClientConfig>,
    http1: Arc<ClientConfig>,
    server_name: Option<ServerName<'static>>,
}

/// Connectors by setting, so that clusters with equal settings share sessions.
#[derive(Debug, Default)]
pub(super) struct ConnectorTable(Mutex<Vec<Weak<Connector>>>);

impl ConnectorTable {
    /// The connector for `setting`.
    pub(super) fn connector(&self, setting: &Arc<UpstreamTls>, protocol: Protocol) -> Result<Arc<Connector>, TlsError> {
        let mut connectors = lock(&self.0);
        connectors.retain(|connector| connector.strong_count() > 0);
        let fits = |connector: &Arc<Connector>| {
            connector.protocol == protocol
                && (Arc::ptr_eq(&connector.setting, setting) || connector.setting == *setting)
        };
        if let Some(connector) = connectors.iter().filter_map(Weak::upgrade).find(fits) {
            return Ok(connector);
        }
        let connector = Arc::new(Connector::new(setting.clone(), protocol)?);
        connectors.push(Arc::downgrade(&connector));
        Ok(connector)
    }
}

impl Connector {
    fn new(setting: Arc<UpstreamTls>, protocol: Protocol) -> Result<Self, TlsError> {
        let server_name = setting.server_name.as_ref().map(parse_name).transpose()?;
        let mut http1 = configuration(&setting)?;
        let mut any = http1.clone();
        match protocol {
            Protocol::Http => {
                any.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
                http1.alpn_protocols = vec![b"http/1.1".to_vec()];
            }
            Protocol::Http1 => {
                http1.alpn_protocols = vec![b"http/1.1".to_vec()];
                any = http1.clone();
            }
            Protocol::Http2 => any.alpn_protocols = vec![b"h2".to_vec()],
            Protocol::Tcp => {}
        }
        Ok(Self { setting, protocol, any: Arc::new(any), http1: Arc::new(http1), server_name })
    }

    /// What to handshake with; `http1` keeps HTTP/2 from being chosen (upgrades need HTTP/1.1).
    pub(super) fn configuration(&self, http1: bool) -> &Arc<ClientConfig> {
        if http1 { &self.http1 } else { &self.any }
    }

    /// The name that every connection is made for; `None`: it is the request's host, so connections are not shared
    /// between hosts.
    pub(super) fn server_name(&self) -> Option<&ServerName<'static>> {
        self.server_name.as_ref()
    }
}

fn parse_name(name: &Arc<str>) -> Result<ServerName<'static>, TlsError> {
    ServerName::try_from(name.to_string()).map_err(|_| TlsError::ServerName(name.clone()))
}

fn configuration(setting: &UpstreamTls) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Versions)?;
    let roots = match &setting.verify {
        Verify::Skip => None,
        Verify::WellKnown => Some(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }),
        Verify::Authorities(authorities) => Some(root_store(authorities)?),
    };
    let builder = match roots {
        Some(roots) if setting.subject_alt_names.is_empty() => builder.with_root_certificates(roots),
        Some(roots) => {
            let wanted = Some(Wanted { roots, names: wanted_names(&setting.subject_alt_names)? });
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Verifier { provider, wanted }))
        }
        None => builder.dangerous().with_custom_certificate_verifier(Arc::new(Verifier { provider, wanted: None })),
    };
    Ok(match &setting.client_certificate {
        None => builder.with_no_client_auth(),
        Some(certificate) => {
            let key =
                rustls::crypto::aws_lc_rs::sign::any_supported_type(&certificate.key).map_err(TlsError::ClientKey)?;
            let key = CertifiedKey::new(certificate.chain.clone(), key);
            builder.with_client_cert_resolver(Arc::new(Always(Arc::new(key))))
        }
    })
}

/// Authorities that cannot be parsed are passed over as long as one can.
fn root_store(authorities: &[CertificateDer<'static>]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let mut error = None;
    for authority in authorities {
        if let Err(refused) = roots.add(authority.clone()) {
            error = Some(refused);
        }
    }
    match error {
        _ if !roots.is_empty() => Ok(roots),
        Some(error) => Err(TlsError::Authorities(error)),
        None => Err(TlsError::NoAuthorities),
    }
}

/// Presents the one certificate, whatever authorities the backend names.
#[derive(Debug)]
struct Always(Arc<CertifiedKey>);

impl ResolvesClientCert for Always {
    fn resolve(&self, _authorities: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

#[derive(Debug)]
enum WantedName {
    Dns(ServerName<'static>),
    Uri(Arc<str>),
}

fn wanted_names(names: &[SubjectAltName]) -> Result<Vec<WantedName>, TlsError> {
    let wanted = |name: &SubjectAltName| match name {
        SubjectAltName::Dns(name) => parse_name(name).map(WantedName::Dns),
        SubjectAltName::Uri(uri) if uri.is_empty() => Err(TlsError::EmptyName),
        SubjectAltName::Uri(uri) => Ok(WantedName::Uri(uri.clone())),
    };
    names.iter().map(wanted).collect()
}

/// Judges a backend in the two ways that rustls has no verifier for. That the backend holds its certificate's key is
/// checked always.
#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    /// `None`: any certificate will do, because the user asked for it.
    wanted: Option<Wanted>,
}

/// The chain as usual; the name must be one of a list (Gateway API BackendTLSPolicy `subjectAltNames`).
#[derive(Debug)]
struct Wanted {
    roots: RootCertStore,
    names: Vec<WantedName>,
}

impl Wanted {
    fn holds_name(&self, end_entity: &CertificateDer<'_>, parsed: &ParsedCertificate<'_>) -> bool {
        self.names.iter().any(|name| match name {
            WantedName::Dns(name) => rustls::client::verify_server_name(parsed, name).is_ok(),
            WantedName::Uri(uri) => holds_uri(end_entity, uri),
        })
    }
}

fn holds_uri(end_entity: &CertificateDer<'_>, wanted: &str) -> bool {
    let Ok((_, certificate)) = x509_parser::parse_x509_certificate(end_entity) else { return false };
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return false };
    names
        .value
        .general_names
        .iter()
        .any(|name| matches!(name, x509_parser::extensions::GeneralName::URI(uri) if *uri == wanted))
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(wanted) = &self.wanted else { return Ok(ServerCertVerified::assertion()) };
        let parsed = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        rustls::client::verify_server_cert_signed_by_trust_anchor(
            &parsed,
            &wanted.roots,
            intermediates,
            now,
            algorithms,
        )?;
        if wanted.holds_name(end_entity, &parsed) {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(rustls::CertificateError::NotValidForName.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
