//! Traefik's ServersTransport: how a backend of requests is spoken to. What its fields mean is decided by the converter.

use std::sync::Arc;

use serde::Deserialize;

use super::{
    field::{Unused, or_default},
    traefik::IntOrString,
};

/// A ServersTransport.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ServersTransport {
    /// What is asked for.
    #[serde(deserialize_with = "or_default")]
    pub spec: ServersTransportSpec,
}

/// `spec` of a ServersTransport.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ServersTransportSpec {
    /// Sent as SNI, and verified.
    pub server_name: Option<Arc<str>>,
    /// Whether the backend's certificate is not judged at all.
    pub insecure_skip_verify: Option<bool>,
    /// Authorities.
    #[serde(rename = "rootCAs", deserialize_with = "or_default")]
    pub root_cas: Vec<RootCa>,
    /// Secrets with authorities: the older spelling.
    #[serde(rename = "rootCAsSecrets", deserialize_with = "or_default")]
    pub root_cas_secrets: Vec<Arc<str>>,
    /// Secrets with certificates to present.
    #[serde(deserialize_with = "or_default")]
    pub certificates_secrets: Vec<Arc<str>>,
    /// Not carried: TLS 1.2 and 1.3 suites are those of the TLS library.
    #[serde(deserialize_with = "or_default")]
    pub cipher_suites: Vec<Arc<str>>,
    /// `VersionTLS10` to `VersionTLS13`.
    pub min_version: Option<Arc<str>>,
    /// `VersionTLS10` to `VersionTLS13`.
    pub max_version: Option<Arc<str>>,
    /// Not carried: idle connections are capped by the installation.
    pub max_idle_conns_per_host: Option<i64>,
    /// Patience with backends.
    pub forwarding_timeouts: Option<ForwardingTimeouts>,
    /// Whether HTTP/2 is not offered over TLS.
    #[serde(rename = "disableHTTP2")]
    pub disable_http2: Option<bool>,
    /// URI that the certificate must hold.
    #[serde(rename = "peerCertURI")]
    pub peer_cert_uri: Option<Arc<str>>,
    /// Names of which the certificate must hold one (Traefik 3.8). Not carried.
    #[serde(rename = "peerCertSANs")]
    pub peer_cert_sans: Option<Unused>,
    /// Not carried.
    pub spiffe: Option<Unused>,
}

/// One of `rootCAs`; the Secret wins.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct RootCa {
    /// Name of a Secret.
    pub secret: Option<Arc<str>>,
    /// Name of a ConfigMap.
    pub config_map: Option<Arc<str>>,
}

/// `forwardingTimeouts`: Go durations, or seconds.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ForwardingTimeouts {
    /// For a connection to be made.
    pub dial_timeout: Option<IntOrString>,
    /// Not carried: from the end of the request to the head of the answer.
    pub response_header_timeout: Option<IntOrString>,
    /// Not carried: how long idle connections are kept.
    pub idle_conn_timeout: Option<IntOrString>,
    /// Not carried: silence on HTTP/2 after which a ping is sent.
    pub read_idle_timeout: Option<IntOrString>,
    /// Not carried: patience for its answer.
    pub ping_timeout: Option<IntOrString>,
}
