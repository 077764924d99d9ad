//! Middlewares of TCP connections: each lets a connection in or closes it without a word.

use ipnet::IpNet;

/// Configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tcp {
    /// Lets only some addresses in; IPv4-mapped ranges are kept as IPv4. At least one.
    IpAllowList(Vec<IpNet>),
    /// Limits how many connections of one address there are at a time.
    InFlightConn {
        /// Most of one IPv4 address or IPv6 /64, on this node. 0 lets nobody in.
        amount: u64,
    },
}

impl Tcp {
    /// The type as Traefik's objects spell it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::IpAllowList(_) => "ipAllowList",
            Self::InFlightConn { .. } => "inFlightConn",
        }
    }
}
