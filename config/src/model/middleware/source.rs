//! Which address of a request a middleware judges or counts (Traefik's `ipStrategy`), and what else may tell sources
//! apart (`sourceCriterion`).

use std::num::NonZeroUsize;

use http::HeaderName;
use ipnet::IpNet;

/// Which address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressSource {
    /// The client's own, as the listener and its trusted peers tell it.
    Client {
        /// IPv6 addresses are cut to this many bits, 1 to 128.
        ipv6_bits: Option<u8>,
    },
    /// The n-th from the right of X-Forwarded-For.
    Depth {
        /// 1 is the last.
        depth: NonZeroUsize,
        /// IPv6 addresses are cut to this many bits, 1 to 128.
        ipv6_bits: Option<u8>,
    },
    /// The first from the right of X-Forwarded-For that is in none of these ranges.
    Excluding(Vec<IpNet>),
}

/// What the source of a request is, for middlewares that count per source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceCriterion {
    /// An address; requests that have none are of one source.
    Address(AddressSource),
    /// The value of a field; requests without it are of one source.
    Header(HeaderName),
    /// Host as the client wrote it.
    Host,
}
