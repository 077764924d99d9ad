//! What tells the sources of requests apart for middlewares that count per source.

use std::net::IpAddr;

use http::{HeaderName, HeaderValue};
use postern_config::model::middleware::source::SourceCriterion;
use sha2::{Digest as _, Sha256};

use super::source::{Found, Source};
use crate::exchange::Exchange;

/// A [`SourceCriterion`], ready for use.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "built once per configuration and only borrowed; a box would cost each request a hop"
)]
pub(super) enum Criterion {
    Address(Source),
    Header(HeaderName),
    Host,
}

/// A source. Kept whole (long text as its digest), so that nobody pays for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// An address.
    Address(IpAddr),
    /// Text of up to 32 bytes.
    Short(u8, [u8; 32]),
    /// SHA-256 of longer text.
    Digest([u8; 32]),
}

impl Criterion {
    pub(super) fn new(spec: &SourceCriterion) -> Self {
        match spec {
            SourceCriterion::Address(source) => Self::Address(Source::new(source)),
            SourceCriterion::Header(name) => Self::Header(name.clone()),
            SourceCriterion::Host => Self::Host,
        }
    }

    /// The source of `exchange`; those without an address or the field share one.
    pub(super) fn key(&self, exchange: &Exchange) -> Key {
        match self {
            Self::Address(source) => match source.find(exchange.client, &exchange.parts.headers) {
                Found::Address(address) => Key::Address(address),
                Found::Text(text) => Key::text(text.as_bytes()),
                Found::Nothing => Key::text(b""),
            },
            Self::Header(name) => {
                Key::text(exchange.parts.headers.get(name).map(HeaderValue::as_bytes).unwrap_or_default())
            }
            Self::Host => Key::text(exchange.authority.as_bytes()),
        }
    }
}

impl Key {
    /// The key of a text.
    pub(super) fn text(text: &[u8]) -> Self {
        let mut bytes = [0; 32];
        match (bytes.get_mut(..text.len()), u8::try_from(text.len())) {
            (Some(place), Ok(len)) => {
                place.copy_from_slice(text);
                Self::Short(len, bytes)
            }
            _ => Self::Digest(Sha256::digest(text).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_have_one_key_each() {
        let long = [b'a'; 33];
        let texts: [&[u8]; 5] = [b"", b"\0", b"a", &long[..32], &long];
        for a in texts {
            for b in texts {
                assert_eq!(Key::text(a) == Key::text(b), a == b);
            }
        }
    }
}
