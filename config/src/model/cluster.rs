//! Clusters: sets of endpoints that serve the same thing, and how to reach and choose them.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use http::{HeaderName, StatusCode};
use rustls_pki_types::CertificateDer;

use super::{certificate::Certificate, id::ClusterId};

/// What a cluster slot holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "nearly all slots are ready; a box would cost each of them a hop")]
pub enum ClusterSlot {
    /// Usable; possibly without endpoints at the moment.
    Ready(Cluster),
    /// The reference does not resolve or must not be followed: requests get the route's `unresolved` status.
    Refused {
        /// For log, `explain` and the admin API.
        reason: Arc<str>,
    },
}

/// A usable cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// Its slot.
    pub id: ClusterId,
    /// Members, sorted, without duplicates.
    pub endpoints: Vec<Endpoint>,
    /// What is spoken to them.
    pub protocol: Protocol,
    /// TLS to them; `None` is plaintext.
    pub tls: Option<Arc<UpstreamTls>>,
    /// How one is chosen.
    pub balance: Balance,
    /// Whether a client stays with the endpoint it first got.
    pub sticky: Option<StickyCookie>,
    /// Probes; `None` is none.
    pub health: Option<ActiveHealth>,
    /// Reaction to failures of real requests.
    pub passive: PassiveHealth,
    /// Whether the backend sees the client's Host (the default) or the endpoint's own name.
    pub pass_host: bool,
    /// How long a connect may take; `None` is the installation's default.
    pub connect_timeout: Option<Duration>,
}

/// A member of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// Where it is.
    pub address: EndpointAddress,
    /// Share, relative to the others; at least 1.
    pub weight: u32,
    /// Serving but terminating: kept for sticky clients and requests under way, not chosen anew while others live.
    pub draining: bool,
}

/// Where an endpoint is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EndpointAddress {
    /// Known now.
    Socket(SocketAddr),
    /// To be resolved by DNS, again when its time to live has passed (an external name).
    Name(Arc<str>, u16),
}

/// What is spoken to the endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1; over TLS also HTTP/2 when the backend chooses it by ALPN.
    Http,
    /// HTTP/1.1, over TLS too.
    Http1,
    /// HTTP/2, on plaintext with prior knowledge.
    Http2,
    /// Bytes.
    Tcp,
}

/// TLS towards endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamTls {
    /// Name sent as SNI, and verified unless `subject_alt_names` says otherwise; `None`: the Host of the request.
    pub server_name: Option<Arc<str>>,
    /// How the backend's certificate is judged.
    pub verify: Verify,
    /// Names of which the certificate must hold at least one, in place of `server_name` (Gateway API BackendTLSPolicy).
    pub subject_alt_names: Vec<SubjectAltName>,
    /// Presented when the backend asks for a client certificate.
    pub client_certificate: Option<Arc<Certificate>>,
}

/// How a backend's certificate is judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verify {
    /// Against the roots that ship with Postern.
    WellKnown,
    /// Against these authorities alone.
    Authorities(Arc<[CertificateDer<'static>]>),
    /// Not at all; the user asked for it.
    Skip,
}

/// A name in a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubjectAltName {
    /// A DNS name.
    Dns(Arc<str>),
    /// A URI, as SPIFFE uses.
    Uri(Arc<str>),
}

/// How an endpoint is chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Balance {
    /// Smooth weighted round robin; the default.
    RoundRobin,
    /// The less busy of two random ones.
    PowerOfTwo,
    /// The same key goes to the same endpoint (ketama).
    ConsistentHash(HashKey),
}

/// What a consistent hash is taken of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashKey {
    /// The client's address.
    ClientAddress,
    /// A request header; requests without it are balanced by round robin.
    Header(HeaderName),
    /// A cookie; requests without it are balanced by round robin.
    Cookie(Arc<str>),
    /// Path and query.
    Uri,
}

/// A cookie that names the endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StickyCookie {
    /// Name of the cookie.
    pub name: Arc<str>,
    /// `Secure` attribute.
    pub secure: bool,
    /// `HttpOnly` attribute.
    pub http_only: bool,
    /// `SameSite` attribute: `none`, `lax` or `strict`.
    pub same_site: Option<Arc<str>>,
    /// `Max-Age` in seconds; `None` is a session cookie.
    pub max_age: Option<i64>,
    /// `Path` attribute.
    pub path: Arc<str>,
    /// `Domain` attribute.
    pub domain: Option<Arc<str>>,
}

/// Probes by HTTP GET.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveHealth {
    /// Path and query.
    pub path: Arc<str>,
    /// Host header; `None` is the endpoint's address.
    pub host: Option<Arc<str>>,
    /// Port in place of the endpoint's own.
    pub port: Option<u16>,
    /// From one probe to the next.
    pub interval: Duration,
    /// How long one may take.
    pub timeout: Duration,
    /// The one status that is healthy; `None` is any 2xx or 3xx.
    pub status: Option<StatusCode>,
    /// Successes in a row that make it healthy again.
    pub healthy_after: u32,
    /// Failures in a row that make it unhealthy.
    pub unhealthy_after: u32,
}

/// Reaction to failures of real requests (connect errors, resets, first-byte timeouts; not statuses).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassiveHealth {
    /// Failures in a row that put the endpoint aside; 0 switches it off.
    pub failures: u32,
    /// How long it stays aside. When all are aside, all are tried.
    pub aside: Duration,
}

impl Default for PassiveHealth {
    /// One failure, ten seconds: what nginx (`max_fails=1 fail_timeout=10s`) and Traefik's passive check default to.
    fn default() -> Self {
        Self { failures: 1, aside: Duration::from_secs(10) }
    }
}
