//! Which address of a request a middleware judges or counts: pure functions of the client's address and of
//! X-Forwarded-For as it stands after untrusted peers' values were removed.

use std::net::{IpAddr, Ipv6Addr};

use http::HeaderMap;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use postern_config::model::middleware::source::AddressSource;
use prefix_trie::PrefixSet;

use crate::exchange::forwarded::FORWARDED_FOR;

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found<'h> {
    /// An address, IPv4-mapped ones as IPv4.
    Address(IpAddr),
    /// Text that is no address.
    Text(&'h str),
    /// Nothing.
    Nothing,
}

/// A set of addresses.
#[derive(Debug, Default)]
pub struct Networks {
    v4: PrefixSet<Ipv4Net>,
    v6: PrefixSet<Ipv6Net>,
}

impl Networks {
    /// The addresses of all `ranges`.
    pub fn new(ranges: &[IpNet]) -> Self {
        let mut networks = Self::default();
        for range in ranges {
            match range {
                IpNet::V4(net) => networks.v4.insert(*net),
                IpNet::V6(net) => networks.v6.insert(*net),
            };
        }
        networks
    }

    /// Whether `address` is among them; an IPv4-mapped address counts as IPv4, and as what it is where a range of
    /// IPv6 holds it.
    pub fn contains(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(v4) => self.v4.get_lpm(&Ipv4Net::from(v4)).is_some() || self.holds_v6(v4.to_ipv6_mapped()),
            IpAddr::V6(v6) => self.holds_v6(v6),
        }
    }

    /// Ranges that hold all IPv4-mapped addresses are `::/0` and the like; most lists have none of IPv6 at all.
    fn holds_v6(&self, address: Ipv6Addr) -> bool {
        !self.v6.is_empty() && self.v6.get_lpm(&Ipv6Net::from(address)).is_some()
    }
}

/// An [`AddressSource`], ready for use.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "built once per configuration and only borrowed; a box would cost each request a hop"
)]
pub enum Source {
    /// The client's own.
    Client(Option<u8>),
    /// The n-th from the right of X-Forwarded-For.
    Depth(usize, Option<u8>),
    /// The first from the right of X-Forwarded-For that is not among these.
    Excluding(Networks),
}

impl Source {
    /// From the specification.
    pub fn new(spec: &AddressSource) -> Self {
        match spec {
            AddressSource::Client { ipv6_bits } => Self::Client(*ipv6_bits),
            AddressSource::Depth { depth, ipv6_bits } => Self::Depth(depth.get(), *ipv6_bits),
            AddressSource::Excluding(ranges) => Self::Excluding(Networks::new(ranges)),
        }
    }

    /// What it finds in a request.
    pub fn find<'h>(&self, client: IpAddr, headers: &'h HeaderMap) -> Found<'h> {
        match self {
            Self::Client(bits) => Found::Address(cut(client.to_canonical(), *bits)),
            Self::Depth(depth, bits) => match nth_from_right(forwarded_for(headers), *depth) {
                Found::Address(address) => Found::Address(cut(address, *bits)),
                other => other,
            },
            Self::Excluding(networks) => first_outside(forwarded_for(headers), networks),
        }
    }
}

/// The first line; several were merged when the request was received.
fn forwarded_for(headers: &HeaderMap) -> &str {
    headers.get(FORWARDED_FOR).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// The `depth`-th token from the right, 1 being the last.
pub fn nth_from_right(list: &str, depth: usize) -> Found<'_> {
    match depth.checked_sub(1).and_then(|skip| list.rsplit(',').nth(skip)) {
        Some(token) => token_as_address(token.trim()),
        None => Found::Nothing,
    }
}

/// The first token from the right that is not blank and not among `networks`. What is no address is not among them.
pub fn first_outside<'l>(list: &'l str, networks: &Networks) -> Found<'l> {
    let mut tokens = list.rsplit(',').map(str::trim).filter(|token| !token.is_empty()).map(token_as_address);
    tokens
        .find(|found| !matches!(found, Found::Address(address) if networks.contains(*address)))
        .unwrap_or(Found::Nothing)
}

/// A token of X-Forwarded-For: an address, perhaps with port or zone.
fn token_as_address(token: &str) -> Found<'_> {
    if token.is_empty() {
        return Found::Nothing;
    }
    let bare = without_zone(without_port(token));
    bare.parse::<IpAddr>().map_or(Found::Text(token), |address| Found::Address(address.to_canonical()))
}

/// `1.2.3.4:80` and `[::1]:80` without their port, `[::1]` without brackets.
fn without_port(token: &str) -> &str {
    if let Some(rest) = token.strip_prefix('[') {
        return rest.split_once(']').map_or(token, |(address, _)| address);
    }
    match token.split_once(':') {
        Some((address, port)) if !port.contains(':') => address,
        _ => token,
    }
}

fn without_zone(token: &str) -> &str {
    match token.split_once('%') {
        Some((address, _)) if address.contains(':') => address,
        _ => token,
    }
}

/// An IPv6 address with all but the first `bits` cleared.
fn cut(address: IpAddr, bits: Option<u8>) -> IpAddr {
    match (address, bits) {
        (IpAddr::V6(v6), Some(bits)) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits.min(128))).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask))
        }
        _ => address,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn address(text: &str) -> Found<'static> {
        Found::Address(text.parse().expect("an address"))
    }

    fn networks(ranges: &[&str]) -> Networks {
        Networks::new(&ranges.iter().map(|range| range.parse().expect("a range")).collect::<Vec<_>>())
    }

    #[test]
    fn depth_counts_from_the_right() {
        for (list, depth, want) in [
            ("10.0.0.1, 11.0.0.1, 12.0.0.1", 1, address("12.0.0.1")),
            ("10.0.0.1, 11.0.0.1, 12.0.0.1", 3, address("10.0.0.1")),
            ("10.0.0.1, 11.0.0.1, 12.0.0.1", 4, Found::Nothing),
            ("", 1, Found::Nothing),
            ("10.0.0.1,", 1, Found::Nothing),
            ("10.0.0.1:8080", 1, address("10.0.0.1")),
            ("[2001:db8::1]:443", 1, address("2001:db8::1")),
            ("[2001:db8::1]", 1, address("2001:db8::1")),
            ("fe80::1%eth0", 1, address("fe80::1")),
            ("::ffff:10.0.0.1", 1, address("10.0.0.1")),
            ("unknown, 10.0.0.1", 2, Found::Text("unknown")),
            ("10.0.0.1%eth0", 1, Found::Text("10.0.0.1%eth0")),
        ] {
            assert_eq!(nth_from_right(list, depth), want, "{list} at {depth}");
        }
    }

    #[test]
    fn excluded_addresses_are_passed_over_from_the_right() {
        let excluded = networks(&["10.0.0.0/8", "fd00::/8"]);
        for (list, want) in [
            ("1.1.1.1, 10.0.0.1, 10.0.0.2", address("1.1.1.1")),
            ("1.1.1.1, 2.2.2.2, 10.0.0.2", address("2.2.2.2")),
            ("1.1.1.1, , 10.0.0.2,", address("1.1.1.1")),
            ("1.1.1.1, fd00::5, ::ffff:10.0.0.1", address("1.1.1.1")),
            ("10.0.0.1, 10.0.0.2", Found::Nothing),
            ("", Found::Nothing),
            ("1.1.1.1, nonsense, 10.0.0.2", Found::Text("nonsense")),
        ] {
            assert_eq!(first_outside(list, &excluded), want, "{list}");
        }
    }

    #[test]
    fn a_long_list_is_walked_to_its_end() {
        let mut list = "203.0.113.9".to_owned();
        for _ in 0..400 {
            list.push_str(", 10.0.0.1");
        }
        assert_eq!(first_outside(&list, &networks(&["10.0.0.0/8"])), address("203.0.113.9"));
    }

    #[test]
    fn ipv6_addresses_are_cut_and_others_are_not() {
        let cut = |text: &str, bits| cut(text.parse().expect("an address"), bits).to_string();
        assert_eq!(cut("2001:db8:1:2:3::4", Some(64)), "2001:db8:1:2::");
        assert_eq!(cut("2001:db8::1", Some(128)), "2001:db8::1");
        assert_eq!(cut("2001:db8::1", Some(1)), "::");
        assert_eq!(cut("192.0.2.1", Some(64)), "192.0.2.1");
        assert_eq!(cut("2001:db8::1", None), "2001:db8::1");
    }

    proptest! {
        #[test]
        fn no_list_makes_the_walk_panic(list in ".{0,200}", depth in 0usize..20) {
            let _ = nth_from_right(&list, depth);
            let _ = first_outside(&list, &networks(&["10.0.0.0/8"]));
        }
    }
}
