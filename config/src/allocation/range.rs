//! Ranges of addresses: `10.0.0.0/24`, `10.0.0.5-10.0.0.9`, and the same for IPv6. A range is its two ends, so its size
//! costs nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::Family;

/// Addresses of one family, from the first to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Range {
    first: IpAddr,
    last: IpAddr,
}

/// Why a text is no range that addresses can be given out of. All are the writer's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RangeProblem {
    /// Neither form.
    #[error("{0:?} is neither a CIDR prefix (192.0.2.0/24) nor a range (192.0.2.10-192.0.2.20)")]
    Malformed(String),
    /// An end of `a-b` is no address.
    #[error("{0:?} is not an IP address")]
    NotAnAddress(String),
    /// The ends are of two families.
    #[error("{0} and {1} are of different families")]
    Mixed(IpAddr, IpAddr),
    /// The ends are swapped.
    #[error("{0} comes after {1}")]
    Reversed(IpAddr, IpAddr),
    /// No client could send anything there.
    #[error("{0} is not the address of a host: {1}")]
    Unusable(IpAddr, &'static str),
}

impl Range {
    /// From `first` to `last`, both included.
    pub fn new(first: IpAddr, last: IpAddr) -> Result<Self, RangeProblem> {
        let (first, last) = (first.to_canonical(), last.to_canonical());
        if first.is_ipv4() != last.is_ipv4() {
            return Err(RangeProblem::Mixed(first, last));
        }
        if first > last {
            return Err(RangeProblem::Reversed(first, last));
        }
        let range = Self { first, last };
        match RESERVED.iter().find(|(prefix, _)| range.meets(prefix)) {
            Some((_, why)) => Err(RangeProblem::Unusable(first, why)),
            None => Ok(range),
        }
    }

    /// One address.
    pub fn of(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self { first: address, last: address }
    }

    /// A prefix, of which bits beyond its length do not count (as MetalLB reads it), or two addresses with `-` between.
    pub fn parse(text: &str) -> Result<Self, RangeProblem> {
        if let Some((first, last)) = text.split_once('-') {
            return Self::new(address(first)?, address(last)?);
        }
        let prefix: IpNet = text.trim().parse().map_err(|_| RangeProblem::Malformed(text.to_owned()))?;
        let prefix = prefix.trunc();
        Self::new(prefix.network(), prefix.broadcast())
    }

    /// Its family.
    pub fn family(&self) -> Family {
        Family::of(self.first)
    }

    /// The lowest address.
    pub fn first(&self) -> IpAddr {
        self.first
    }

    /// The highest address.
    pub fn last(&self) -> IpAddr {
        self.last
    }

    /// Whether `address` is in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.first.is_ipv4() && self.first <= address && address <= self.last
    }

    /// Whether an address is in both.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.family() == other.family() && self.first <= other.last && other.first <= self.last
    }

    /// How many addresses there are; those of all of IPv6 are one too many for the type, and counted as its greatest.
    pub fn count(&self) -> u128 {
        (number(self.last) - number(self.first)).saturating_add(1)
    }

    /// How many of them end in 0 or 255, IPv4 only: see [`is_buggy`].
    pub fn count_buggy(&self) -> u128 {
        if self.family() == Family::V6 {
            return 0;
        }
        // Before and including `end`, of each 256 the first and the last.
        let up_to = |end: u128| (end + 1) / 256 * 2 + u128::from(!(end + 1).is_multiple_of(256));
        let before = number(self.first).checked_sub(1).map_or(0, up_to);
        up_to(number(self.last)) - before
    }

    /// The addresses in order, one after another when they are asked for.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + use<> {
        let (mut next, last) = (Some(self.first), self.last);
        std::iter::from_fn(move || {
            let current = next?;
            next = (current < last).then(|| after(current));
            Some(current)
        })
    }

    fn meets(&self, prefix: &str) -> bool {
        let Ok(reserved) = prefix.parse::<IpNet>() else { return false };
        self.overlaps(&Self { first: reserved.network(), last: reserved.broadcast() })
    }
}

/// What no address of a pool may lie in.
const RESERVED: [(&str, &str); 6] = [
    ("0.0.0.0/8", "0.0.0.0/8 stands for this network"),
    ("127.0.0.0/8", "127.0.0.0/8 is loopback"),
    ("224.0.0.0/3", "224.0.0.0/3 is multicast and reserved"),
    ("::/127", "it is unspecified or loopback"),
    ("fe80::/10", "fe80::/10 is link-local"),
    ("ff00::/8", "ff00::/8 is multicast"),
];

/// Whether routers of a kind that MetalLB knows drop what is sent to `address`: IPv4, ending in 0 or 255.
pub fn is_buggy(address: IpAddr) -> bool {
    matches!(address.to_canonical(), IpAddr::V4(v4) if matches!(v4.octets(), [_, _, _, 0 | 255]))
}

fn address(text: &str) -> Result<IpAddr, RangeProblem> {
    text.trim().parse().map_err(|_| RangeProblem::NotAnAddress(text.trim().to_owned()))
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        IpAddr::V6(v6) => u128::from(v6),
    }
}

/// The next higher address; the highest of all is followed by itself.
fn after(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(v4) => Ipv4Addr::from(u32::from(v4).saturating_add(1)).into(),
        IpAddr::V6(v6) => Ipv6Addr::from(u128::from(v6).saturating_add(1)).into(),
    }
}

impl std::fmt::Display for Range {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.first == self.last { write!(f, "{}", self.first) } else { write!(f, "{}-{}", self.first, self.last) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        Range::parse(text).map_or_else(|problem| format!("problem: {problem}"), |range| range.to_string())
    }

    #[test]
    fn a_range_is_a_prefix_or_two_addresses() {
        for (text, want) in [
            ("192.0.2.0/30", "192.0.2.0-192.0.2.3"),
            ("192.0.2.7/32", "192.0.2.7"),
            ("192.0.2.7/24", "192.0.2.0-192.0.2.255"),
            ("192.0.2.10-192.0.2.20", "192.0.2.10-192.0.2.20"),
            (" 192.0.2.10 - 192.0.2.20 ", "192.0.2.10-192.0.2.20"),
            ("192.0.2.10-192.0.2.10", "192.0.2.10"),
            ("2001:db8::/126", "2001:db8::-2001:db8::3"),
            ("2001:db8::5-2001:db8::9", "2001:db8::5-2001:db8::9"),
            ("::ffff:192.0.2.1-::ffff:192.0.2.2", "192.0.2.1-192.0.2.2"),
        ] {
            assert_eq!(shown(text), want, "{text:?}");
        }
    }

    #[test]
    fn what_is_no_range_is_told_why() {
        for (text, why) in [
            ("", "neither"),
            ("192.0.2.0", "neither"),
            ("192.0.2.0/33", "neither"),
            ("192.0.2.256/32", "neither"),
            ("ä/24", "neither"),
            ("192.0.2.1-", "not an IP address"),
            ("-", "not an IP address"),
            ("192.0.2.1-192.0.2.2-192.0.2.3", "not an IP address"),
            ("192.0.2.1-2001:db8::1", "different families"),
            ("192.0.2.9-192.0.2.1", "comes after"),
            ("127.0.0.0/8", "loopback"),
            ("0.0.0.0/0", "this network"),
            ("239.0.0.1-239.0.0.2", "multicast"),
            ("::/0", "loopback"),
            ("fe80::1-fe80::2", "link-local"),
        ] {
            let told = shown(text);
            assert!(told.starts_with("problem: ") && told.contains(why), "{text:?}: {told}");
        }
    }

    #[test]
    fn the_size_of_a_range_is_counted_without_walking_it() {
        for (text, count, buggy) in [
            ("192.0.2.0/24", 256, 2),
            ("192.0.2.0/32", 1, 1),
            ("192.0.2.255/32", 1, 1),
            ("192.0.2.1-192.0.2.254", 254, 0),
            ("192.0.2.255-192.0.3.0", 2, 2),
            ("10.0.0.0/8", 1 << 24, 1 << 17),
            ("2001:db8::/64", 1 << 64, 0),
        ] {
            let range = Range::parse(text).expect("a range");
            assert_eq!((range.count(), range.count_buggy()), (count, buggy), "{text}");
        }
    }

    #[test]
    fn the_addresses_of_a_range_end_with_its_last() {
        let all: Vec<_> = Range::parse("192.0.2.254-192.0.3.1").expect("a range").addresses().collect();
        let all: Vec<_> = all.iter().map(ToString::to_string).collect();
        assert_eq!(all, ["192.0.2.254", "192.0.2.255", "192.0.3.0", "192.0.3.1"]);
        let huge = Range::parse("2001:db8::/32").expect("a range");
        assert_eq!(huge.addresses().take(2).count(), 2);
    }

    #[test]
    fn ranges_overlap_where_an_address_is_in_both() {
        let overlap = |a: &str, b: &str| {
            let (a, b) = (Range::parse(a).expect("a range"), Range::parse(b).expect("a range"));
            assert_eq!(a.overlaps(&b), b.overlaps(&a));
            a.overlaps(&b)
        };
        assert!(overlap("192.0.2.0/24", "192.0.2.255-192.0.3.9"));
        assert!(overlap("192.0.2.0/24", "192.0.2.7/32"));
        assert!(!overlap("192.0.2.0/24", "192.0.3.0/24"));
        assert!(!overlap("192.0.2.0/24", "2001:db8::/64"));
    }
}
