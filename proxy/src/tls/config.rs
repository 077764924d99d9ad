//! rustls configurations: one per policy for the process, and per worker one variant for each certificate in use.
//!
//! rustls asks a resolver for the certificate while it goes through the hello, and again after a retry of it; a resolver
//! that always has the one answer that was chosen before needs no look-up and cannot change its mind in between.

use std::{cell::RefCell, collections::HashMap, sync::Arc};

use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    server::{ClientHello, ResolvesServerCert, ServerSessionMemoryCache},
    sign::CertifiedKey,
};

use super::{TlsError, certificate};
use crate::plan::Plan;

/// Sessions of TLS 1.2 clients that do not know tickets.
const STORED_SESSIONS: usize = 4096;
/// Tickets after a full handshake. Each costs an encryption; a resumed connection brings the next one.
const TICKETS: usize = 1;

/// What all workers share.
#[derive(Debug)]
pub struct Tls {
    /// For clients whose host has no certificate.
    default: Arc<CertifiedKey>,
    /// HTTP inside.
    http: ServerConfig,
    /// Bytes inside: no protocol is negotiated.
    bytes: ServerConfig,
}

/// What is inside a TLS connection that ends here. Each has tickets of its own, so that no session resumes across.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Inside {
    Http,
    Bytes,
}

/// One worker's configurations, thrown away whenever the plan changes.
#[derive(Debug, Default)]
pub struct WorkerState {
    variants: RefCell<Variants>,
}

#[derive(Debug, Default)]
struct Variants {
    generation: u64,
    /// By address of the certificate, which the variant keeps alive.
    by_certificate: HashMap<(usize, Inside), Arc<ServerConfig>, foldhash::fast::RandomState>,
}

/// Always the same answer.
#[derive(Debug)]
struct Chosen(Arc<CertifiedKey>);

impl ResolvesServerCert for Chosen {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

impl Tls {
    /// Sets TLS up; once per process.
    pub fn new() -> Result<Self, TlsError> {
        let default = Arc::new(certificate::self_signed()?);
        let http = base(&default, vec![b"h2".to_vec(), b"http/1.1".to_vec()])?;
        let bytes = base(&default, Vec::new())?;
        Ok(Self { default, http, bytes })
    }

    pub(super) fn default_certificate(&self) -> Arc<CertifiedKey> {
        self.default.clone()
    }

    fn base(&self, inside: Inside) -> &ServerConfig {
        match inside {
            Inside::Http => &self.http,
            Inside::Bytes => &self.bytes,
        }
    }
}

fn base(default: &Arc<CertifiedKey>, alpn: Vec<Vec<u8>>) -> Result<ServerConfig, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Chosen(default.clone())));
    config.alpn_protocols = alpn;
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    config.session_storage = ServerSessionMemoryCache::new(STORED_SESSIONS);
    config.send_tls13_tickets = TICKETS;
    Ok(config)
}

impl WorkerState {
    /// The configuration that shows `certificate`.
    pub(super) fn config(
        &self,
        tls: &Tls,
        plan: &Plan,
        certificate: Arc<CertifiedKey>,
        inside: Inside,
    ) -> Arc<ServerConfig> {
        let mut variants = self.variants.borrow_mut();
        if variants.generation != plan.generation {
            variants.generation = plan.generation;
            variants.by_certificate.clear();
        }
        let key = (Arc::as_ptr(&certificate) as usize, inside);
        let made = variants.by_certificate.entry(key).or_insert_with(|| {
            let mut config = tls.base(inside).clone();
            config.cert_resolver = Arc::new(Chosen(certificate));
            Arc::new(config)
        });
        made.clone()
    }
}
