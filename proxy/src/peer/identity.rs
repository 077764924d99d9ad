//! The cluster key → who may speak: TLS 1.3 in both directions with raw public keys (RFC 7250), pinned.
//!
//! HKDF-SHA256 (RFC 5869) makes of the key an Ed25519 seed (RFC 8032) that all nodes have alike. Whoever can sign with
//! it holds the key; who cannot gets no further than the handshake. While two keys are valid, the name that a client asks
//! for (SNI) says which of them it knows. Nothing is resumed: a key that is no longer valid opens nothing.

use std::sync::Arc;

use aws_lc_rs::{hkdf, signature::Ed25519KeyPair};
use postern_config::model::cluster_key::{ClusterKey, ClusterKeys};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme,
    client::{
        AlwaysResolvesClientRawPublicKeys, Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs as provider, verify_tls13_signature_with_raw_key},
    server::{
        ClientHello, NoServerSessionStorage, ResolvesServerCert,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    sign::CertifiedKey,
    version::TLS13,
};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};

/// Tells this protocol from any other that TLS carries.
const ALPN: &[u8] = b"postern-peer";
const SALT: &[u8] = b"postern peer link";

/// The system's: the crypto library refuses.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// No key pair comes of the cluster key.
    #[error("no key pair can be made of the cluster key")]
    KeyPair,
    /// TLS.
    #[error("TLS between peers: {0}")]
    Tls(#[from] Error),
}

/// What one cluster key makes of its holder.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    /// What a client asks for that knows this key. Says nothing about the key.
    name: String,
    certified: Arc<CertifiedKey>,
}

/// The identities that are valid, the one to speak with first.
#[derive(Clone, Debug)]
pub(super) struct Identities {
    current: Identity,
    previous: Option<Identity>,
}

impl Identities {
    /// Of the valid keys.
    pub(super) fn of(keys: &ClusterKeys) -> Result<Self, IdentityError> {
        let previous = keys.previous.as_ref().map(Identity::of).transpose()?;
        Ok(Self { current: Identity::of(&keys.current)?, previous })
    }

    /// Each of them, the one to speak with first.
    fn iter(&self) -> impl Iterator<Item = &Identity> {
        std::iter::once(&self.current).chain(&self.previous)
    }

    /// The one to try at the `attempt`th time: whoever is dialed may know but one of them yet.
    pub(super) fn choose(&self, attempt: usize) -> Identity {
        self.previous.as_ref().filter(|_| attempt % 2 == 1).unwrap_or(&self.current).clone()
    }

    /// Whether somebody who proved to have `public_key` may (still) speak.
    pub(super) fn admit(&self, public_key: &[u8]) -> bool {
        self.iter().any(|identity| identity.public_key() == Some(public_key))
    }

    /// Whether `identity` is (still) one of them.
    pub(super) fn has(&self, identity: &Identity) -> bool {
        identity.public_key().is_some_and(|public_key| self.admit(public_key))
    }

    /// For those that dial us.
    pub(super) fn server(&self) -> Result<Arc<ServerConfig>, IdentityError> {
        let provider = Arc::new(provider::default_provider());
        let verifier = Arc::new(Pinned::new(self.clone(), &provider));
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(self.clone()));
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Arc::new(config))
    }

    /// For dialing as `identity`, one of them.
    pub(super) fn client(&self, identity: &Identity) -> Result<Arc<ClientConfig>, IdentityError> {
        let provider = Arc::new(provider::default_provider());
        let verifier = Arc::new(Pinned::new(self.clone(), &provider));
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(identity.certified.clone())));
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.resumption = Resumption::disabled();
        Ok(Arc::new(config))
    }
}

impl Identity {
    fn of(key: &ClusterKey) -> Result<Self, IdentityError> {
        let seed: [u8; 32] = derive(key, b"ed25519 seed")?;
        let name: [u8; 8] = derive(key, b"name")?;
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| IdentityError::KeyPair)?;
        let document = pair.to_pkcs8v1().map_err(|_| IdentityError::KeyPair)?;
        let signing = provider::sign::any_eddsa_type(&PrivatePkcs8KeyDer::from(document.as_ref()))?;
        let public = signing.public_key().ok_or(IdentityError::KeyPair)?;
        let certified = CertifiedKey::new(vec![CertificateDer::from(public.to_vec())], signing);
        let name = name.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        Ok(Self { name: format!("{name}.postern-peer"), certified: Arc::new(certified) })
    }

    /// What to ask for when dialing as this one.
    pub(super) fn server_name(&self) -> Result<ServerName<'static>, IdentityError> {
        ServerName::try_from(self.name.clone()).map_err(|_| IdentityError::KeyPair)
    }

    /// As it goes over the wire: SubjectPublicKeyInfo.
    fn public_key(&self) -> Option<&[u8]> {
        self.certified.cert.first().map(|key| key.as_ref())
    }
}

/// HKDF-SHA256 with `purpose` as its info.
fn derive<const N: usize>(key: &ClusterKey, purpose: &[u8]) -> Result<[u8; N], IdentityError> {
    let mut derived = [0; N];
    let secret = hkdf::Salt::new(hkdf::HKDF_SHA256, SALT).extract(key.bytes());
    let expanded = secret.expand(std::slice::from_ref(&purpose), Length(N)).map_err(|_| IdentityError::KeyPair);
    expanded?.fill(&mut derived).map_err(|_| IdentityError::KeyPair)?;
    Ok(derived)
}

/// How many bytes are wanted.
struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

impl ResolvesServerCert for Identities {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let asked = hello.server_name();
        let known = self.iter().find(|identity| asked == Some(identity.name.as_str()));
        Some(known.unwrap_or(&self.current).certified.clone())
    }

    fn only_raw_public_keys(&self) -> bool {
        true
    }
}

/// Takes the public keys of valid identities, and signatures that they made.
#[derive(Debug)]
struct Pinned {
    identities: Identities,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Pinned {
    fn new(identities: Identities, provider: &CryptoProvider) -> Self {
        Self { identities, algorithms: provider.signature_verification_algorithms }
    }

    fn check(&self, public_key: &CertificateDer<'_>) -> Result<(), Error> {
        let refused = Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure);
        if self.identities.admit(public_key) { Ok(()) } else { Err(refused) }
    }

    fn check_signature(
        &self,
        message: &[u8],
        public_key: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = SubjectPublicKeyInfoDer::from(public_key.as_ref());
        verify_tls13_signature_with_raw_key(message, &key, signed, &self.algorithms)
    }
}

/// Before TLS 1.3 there is nothing that we would take.
fn too_old() -> Error {
    Error::General("peers speak TLS 1.3".to_owned())
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(end_entity).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(too_old())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check_signature(message, key, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for Pinned {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(end_entity).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(too_old())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check_signature(message, key, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}
