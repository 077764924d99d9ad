//! The matchers of TCP connections.

use std::sync::Arc;

use ipnet::IpNet;

use super::{
    Matcher, Read,
    http::{first, host, host_regex, network},
};
use crate::model::{go_regex::GoRegex, host::HostPattern};

/// A condition on a TCP connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Condition {
    /// The server name of the ClientHello; `Any` is also for what is not TLS.
    Sni(HostPattern),
    /// The server name, by an expression that need not match all of it.
    SniRegex(GoRegex),
    /// One of the protocols that the client offers.
    Alpn(Arc<str>),
    /// The other end of the connection is in this network.
    Peer(IpNet),
}

const fn matcher(name: &'static str, read: fn(&[String]) -> Result<Read<Condition>, String>) -> Matcher<Condition> {
    Matcher { name, arity: "one value", values: 1..=1, read }
}

pub(super) const MATCHERS: &[Matcher<Condition>] = &[
    matcher("HostSNI", |values| host(first(values)).map(Condition::Sni).map(Read::Is)),
    matcher("HostSNIRegexp", |values| host_regex(first(values)).map(Condition::SniRegex).map(Read::Is)),
    matcher("ALPN", |values| alpn(first(values)).map(Condition::Alpn).map(Read::Is)),
    matcher("ClientIP", |values| network(first(values)).map(Condition::Peer).map(Read::Is)),
];

fn alpn(text: &str) -> Result<Arc<str>, String> {
    match text {
        "" => Err("names no protocol".to_owned()),
        "acme-tls/1" => Err("acme-tls/1 is for certificates alone".to_owned()),
        protocol => Ok(protocol.into()),
    }
}
