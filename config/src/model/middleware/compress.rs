//! Compresses answers.

use std::sync::Arc;

/// Configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compress {
    /// Codings in order of preference; at least one.
    pub encodings: Vec<Encoding>,
    /// Coding for clients that send no Accept-Encoding; `None` leaves their answers as they are.
    pub default_encoding: Option<Encoding>,
    /// Bodies that are known to be smaller stay as they are.
    pub min_bytes: u64,
    /// Which media types are compressed.
    pub types: ContentTypes,
}

/// A content coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// RFC 1952.
    Gzip,
    /// RFC 7932.
    Brotli,
    /// RFC 8878.
    Zstd,
}

/// Which media types are compressed. `application/grpc` never is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContentTypes {
    /// All but these: lower-case `type/subtype`.
    Excluding(Vec<Arc<str>>),
    /// These alone: lower-case `type/subtype`.
    Including(Vec<Arc<str>>),
}

impl Encoding {
    /// All of them, in Traefik's order of preference.
    pub const ALL: [Self; 3] = [Self::Gzip, Self::Brotli, Self::Zstd];

    /// The name in Content-Encoding.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }

    /// The coding of a name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|encoding| encoding.as_str() == name)
    }
}
