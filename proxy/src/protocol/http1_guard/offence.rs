//! What a client can do wrong in HTTP/1 framing: a closed set, because each is a metric label.

use crate::telemetry::metrics::Limit;

/// Why a message is not forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Offence {
    /// A control byte, NUL included.
    #[error("control byte in the message head")]
    ControlByte,
    /// A line that ends in LF alone.
    #[error("line ends in LF without CR")]
    BareLf,
    /// CR that is not followed by LF.
    #[error("CR without LF")]
    BareCr,
    /// More than one empty line, or anything else that is no request, before the request line.
    #[error("empty lines before the request line")]
    LeadingGarbage,
    /// Not `method SP target SP version`.
    #[error("malformed request line")]
    RequestLine,
    /// The method is no token.
    #[error("malformed method")]
    Method,
    /// CONNECT is for forward proxies.
    #[error("CONNECT is not served")]
    Connect,
    /// The target is in no form that the method allows, or holds a fragment or a backslash.
    #[error("malformed request target")]
    Target,
    /// Neither HTTP/1.0 nor HTTP/1.1.
    #[error("version is neither HTTP/1.0 nor HTTP/1.1")]
    Version,
    /// A line that begins with white space (RFC 9112 section 5.2).
    #[error("folded header line")]
    Folded,
    /// The field name is empty, no token, or has space before its colon (RFC 9112 section 5.1).
    #[error("malformed field name")]
    FieldName,
    /// Two Host fields.
    #[error("more than one Host")]
    SecondHost,
    /// HTTP/1.1 without Host.
    #[error("no Host")]
    NoHost,
    /// The Host is no host and port.
    #[error("malformed Host")]
    Host,
    /// The authority of an absolute target is another than the Host.
    #[error("Host differs from the request target")]
    HostDiffers,
    /// Not 1*DIGIT, or beyond 2^63.
    #[error("malformed Content-Length")]
    ContentLength,
    /// Two Content-Length fields, equal or not.
    #[error("more than one Content-Length")]
    SecondContentLength,
    /// Anything but exactly `chunked`, once, in HTTP/1.1.
    #[error("Transfer-Encoding is not exactly chunked")]
    TransferEncoding,
    /// Both framings at once.
    #[error("both Content-Length and Transfer-Encoding")]
    BothLengths,
    /// Not 1*HEXDIG, or beyond 2^60.
    #[error("malformed chunk size")]
    ChunkSize,
    /// Control bytes in a chunk extension, or one beyond 256 bytes.
    #[error("malformed chunk extension")]
    ChunkExtension,
    /// A chunk that is not followed by CRLF.
    #[error("chunk does not end in CRLF")]
    ChunkEnd,
    /// A trailer field that would change framing or routing.
    #[error("forbidden trailer field")]
    Trailer,
    /// The head is longer than allowed.
    #[error("head too long")]
    HeadTooLong,
    /// The head has more fields than allowed.
    #[error("too many header fields")]
    TooManyFields,
    /// The trailer section is longer than a head may be.
    #[error("trailer section too long")]
    TrailersTooLong,
}

impl Offence {
    /// The limit that was broken, when it was one.
    pub fn limit(self) -> Option<Limit> {
        match self {
            Self::HeadTooLong | Self::TrailersTooLong => Some(Limit::HeaderBytes),
            Self::TooManyFields => Some(Limit::HeaderCount),
            _ => None,
        }
    }

    /// Whether the answer is 431 rather than 400.
    pub fn is_too_large(self) -> bool {
        matches!(self, Self::HeadTooLong | Self::TooManyFields)
    }
}
