//! Certificates with their keys. Whether a key fits is proven before one of these exists.

use std::{fmt, sync::Arc};

use jiff::Timestamp;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::host::HostPattern;

/// What a certificate slot holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateSlot {
    /// Usable, though perhaps expired: an expired certificate is served rather than none.
    Ready(Arc<Certificate>),
    /// Missing or unusable; its hosts get the next best certificate.
    Refused {
        /// For log, `explain` and the admin API.
        reason: Arc<str>,
    },
}

/// A chain and the key that fits its leaf.
pub struct Certificate {
    /// Leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// Never printed.
    pub key: PrivateKeyDer<'static>,
    /// DNS names of the leaf.
    pub names: Vec<HostPattern>,
    /// Begin of validity.
    pub not_before: Timestamp,
    /// End of validity.
    pub not_after: Timestamp,
}

impl Certificate {
    /// Whether clients with the right time take it at `now`.
    pub fn is_valid_at(&self, now: Timestamp) -> bool {
        self.not_before <= now && now <= self.not_after
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.chain == other.chain && self.key.secret_der() == other.key.secret_der()
    }
}

impl Eq for Certificate {}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("names", &self.names)
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}
