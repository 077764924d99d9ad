//! Public addresses that reach a node under another one, as in clouds that deliver a public address to a private one of
//! the node. Clients and status know the public one, sockets the private one. Whoever translates is somebody else.

use std::{collections::BTreeMap, net::IpAddr, str::FromStr};

/// Public address → private one. Several public ones may lead to one private one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressMap(BTreeMap<IpAddr, IpAddr>);

/// The operator's: entries that cannot be meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MapError {
    /// It is not two addresses.
    #[error("{0:?} is not two addresses; write it as 203.0.113.7=10.0.0.5, the public one first")]
    NotTwo(String),
    /// Nothing can be delivered to such an address, or from it.
    #[error(
        "{0} is no address of one host; write the address that clients use, and the node's own that they arrive at"
    )]
    NoHost(IpAddr),
    /// Addresses are translated within a family.
    #[error("{0} and {1} are of different families; map each family by an entry of its own")]
    Families(IpAddr, IpAddr),
    /// Nothing is translated.
    #[error("{0} is mapped to itself; an address that is on the node needs no entry")]
    Itself(IpAddr),
    /// Two entries for one public address.
    #[error("{public} is mapped to both {one} and {other}; keep one of the two")]
    Twice {
        /// The public address.
        public: IpAddr,
        /// The private one of the first entry.
        one: IpAddr,
        /// That of the second.
        other: IpAddr,
    },
    /// A private address that is a public one too.
    #[error("{0} is public in one entry and private in another; map the public address to the node's own at once")]
    Chain(IpAddr),
}

/// One `public=private`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    public: IpAddr,
    private: IpAddr,
}

impl FromStr for Mapping {
    type Err = MapError;

    fn from_str(text: &str) -> Result<Self, MapError> {
        let address = |text: &str| text.trim().parse::<IpAddr>().ok().map(|address| address.to_canonical());
        let pair = text.split_once('=').and_then(|(public, private)| address(public).zip(address(private)));
        let (public, private) = pair.ok_or_else(|| MapError::NotTwo(text.to_owned()))?;
        if let Some(wrong) = [public, private].into_iter().find(|address| !is_of_one_host(*address)) {
            return Err(MapError::NoHost(wrong));
        }
        match public {
            _ if public.is_ipv4() != private.is_ipv4() => Err(MapError::Families(public, private)),
            _ if public == private => Err(MapError::Itself(public)),
            _ => Ok(Self { public, private }),
        }
    }
}

fn is_of_one_host(address: IpAddr) -> bool {
    let is_broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
    !address.is_unspecified() && !address.is_multicast() && !is_broadcast
}

impl AddressMap {
    /// Of these entries.
    pub fn new(entries: impl IntoIterator<Item = Mapping>) -> Result<Self, MapError> {
        let mut map = BTreeMap::new();
        for Mapping { public, private } in entries {
            match map.insert(public, private) {
                Some(one) if one != private => return Err(MapError::Twice { public, one, other: private }),
                _ => {}
            }
        }
        match map.values().find(|private| map.contains_key(*private)) {
            Some(chained) => Err(MapError::Chain(*chained)),
            None => Ok(Self(map)),
        }
    }

    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The address to bind for what clients reach at `address`.
    pub fn private(&self, address: IpAddr) -> IpAddr {
        self.0.get(&address.to_canonical()).copied().unwrap_or(address)
    }

    /// The addresses at which clients reach what is bound at `address`: itself where none are mapped to it.
    pub fn public(&self, address: IpAddr) -> Vec<IpAddr> {
        let mapped: Vec<_> = self.0.iter().filter(|(_, private)| **private == address).map(|(it, _)| *it).collect();
        if mapped.is_empty() { vec![address] } else { mapped }
    }

    /// All public addresses.
    pub fn publics(&self) -> impl Iterator<Item = IpAddr> {
        self.0.keys().copied()
    }

    /// Whether `address` is a node's by this map, on either side.
    pub fn has(&self, address: IpAddr) -> bool {
        self.0.contains_key(&address) || self.is_private(address)
    }

    /// Whether a public address is mapped to `address`.
    pub fn is_private(&self, address: IpAddr) -> bool {
        self.0.values().any(|private| *private == address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(entries: &[&str]) -> Result<AddressMap, MapError> {
        let entries: Result<Vec<Mapping>, _> = entries.iter().map(|text| text.parse()).collect();
        AddressMap::new(entries?)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn entries_that_cannot_be_meant_are_refused_with_the_way_out() {
        for (entries, says) in [
            (&["203.0.113.7"] as &[&str], "\"203.0.113.7\" is not two addresses; write it as 203.0.113.7=10.0.0.5"),
            (&["edge.example.com=10.0.0.5"], "is not two addresses"),
            (&["203.0.113.7=10.0.0.0/8"], "is not two addresses"),
            (&["203.0.113.7=0.0.0.0"], "0.0.0.0 is no address of one host"),
            (&["224.0.0.1=10.0.0.5"], "224.0.0.1 is no address of one host"),
            (&["203.0.113.7=fd00::5"], "203.0.113.7 and fd00::5 are of different families"),
            (&["10.0.0.5=10.0.0.5"], "10.0.0.5 is mapped to itself"),
            (&["203.0.113.7=10.0.0.5", "203.0.113.7=10.0.0.6"], "mapped to both 10.0.0.5 and 10.0.0.6; keep one"),
            (&["203.0.113.7=10.0.0.5", "10.0.0.5=10.0.0.6"], "10.0.0.5 is public in one entry and private in another"),
        ] {
            let error = map(entries).expect_err("refused").to_string();
            assert!(error.contains(says), "{entries:?}: {error}");
        }
    }

    #[test]
    fn public_addresses_lead_to_private_ones_and_back() {
        let map = map(&["203.0.113.7=10.0.0.5", " 203.0.113.8 = 10.0.0.5", "2001:db8::7=fd00::5"]).expect("good");
        assert_eq!(map.private(ip("203.0.113.8")), ip("10.0.0.5"));
        assert_eq!(map.private(ip("192.0.2.1")), ip("192.0.2.1"));
        assert_eq!(map.public(ip("10.0.0.5")), [ip("203.0.113.7"), ip("203.0.113.8")]);
        assert_eq!(map.public(ip("192.0.2.1")), [ip("192.0.2.1")]);
        assert!(map.has(ip("fd00::5")) && map.has(ip("2001:db8::7")) && !map.has(ip("192.0.2.1")));
    }
}
