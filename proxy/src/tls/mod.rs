//! TLS towards clients: the ClientHello decides what happens, then the handshake ends here or is not ours.
//!
//! Nothing is compiled per connection: there is one configuration per policy ([`Tls`]) and per worker a variant for
//! each certificate in use ([`WorkerState`]). Certificates come from the plan that is current when the hello has come.
//! RSA certificates cost about 1 ms of the worker per full handshake; ECDSA ones a twentieth.

mod certificate;
mod config;
mod handshake;
pub mod hello;

use std::sync::Arc;

pub use certificate::certified_key;
pub use config::{Tls, WorkerState};
pub use handshake::{Outcome, accept};

use crate::{middleware::tcp::Refusal, telemetry::metrics::Handshake};

/// Why TLS cannot be set up at start.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The cryptography library refused; a defect of the build or of the system's source of randomness.
    #[error("cannot set up TLS: {0}")]
    Rustls(#[from] rustls::Error),
    /// The self-signed default certificate could not be made.
    #[error("cannot make the default certificate: {0}")]
    Default(#[from] rcgen::Error),
}

/// Why a handshake failed. All but the outcome is for the log.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The client went away, or its bytes broke the protocol.
    #[error("TLS handshake failed: {0}")]
    Io(#[from] std::io::Error),
    /// No listener entry holds the server name.
    #[error("no certificate or route for server name {}", .0.as_deref().unwrap_or("(none)"))]
    UnknownName(Option<Arc<str>>),
    /// A middleware of connections did not let the client in.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The hello is longer than any client's.
    #[error("ClientHello longer than 64 KiB")]
    TooLong,
    /// The deadline passed.
    #[error("TLS handshake took too long")]
    TimedOut,
}

impl HandshakeError {
    /// The metric's label.
    pub fn outcome(&self) -> Handshake {
        match self {
            Self::Io(error) => of_io(error),
            Self::UnknownName(_) => Handshake::UnknownName,
            Self::Refused(_) => Handshake::Refused,
            Self::TooLong => Handshake::Other,
            Self::TimedOut => Handshake::TimedOut,
        }
    }
}

fn of_io(error: &std::io::Error) -> Handshake {
    use rustls::Error;
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        None => Handshake::ClientGone,
        Some(Error::InvalidMessage(_) | Error::InappropriateMessage { .. }) => Handshake::NotTls,
        Some(Error::PeerIncompatible(_) | Error::NoApplicationProtocol) => Handshake::NoCommonParameters,
        Some(Error::AlertReceived(_)) => Handshake::ClientAlert,
        Some(Error::NoCertificatesPresented | Error::InvalidCertificate(_)) => Handshake::ClientCertificate,
        Some(_) => Handshake::Other,
    }
}
