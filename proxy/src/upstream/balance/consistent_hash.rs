//! Consistent hashing: the ring of nginx's `hash … consistent` (ketama), so that a change of members moves only the
//! keys of those that changed.

use std::{
    collections::HashMap,
    net::{Ipv6Addr, SocketAddr},
};

use pingora_ketama::{Bucket, Continuum};
use postern_config::model::cluster::EndpointAddress;

/// Points on the ring are 160 per unit of weight, 8 bytes each: this bounds a ring to 1.3 MB.
const MOST_UNITS: u64 = 1024;

/// A ring over a cluster's members.
pub struct Ring {
    continuum: Continuum,
    members: HashMap<SocketAddr, usize>,
    points: usize,
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ring").field("members", &self.members.len()).finish_non_exhaustive()
    }
}

impl Ring {
    /// A ring over `members`, in the order of the cluster.
    pub fn new<'a>(members: impl Iterator<Item = (&'a EndpointAddress, u32)> + Clone) -> Self {
        let units = units(&members.clone().map(|(_, weight)| weight).collect::<Vec<_>>());
        let nodes: Vec<SocketAddr> = members.map(|(address, _)| node(address)).collect();
        let buckets: Vec<Bucket> = nodes
            .iter()
            .zip(&units)
            .filter(|(_, weight)| **weight > 0)
            .map(|(node, weight)| Bucket::new(*node, *weight))
            .collect();
        let points = units.iter().map(|weight| *weight as usize).sum::<usize>() * 160;
        Self { continuum: Continuum::new(&buckets), members: nodes.into_iter().zip(0..).collect(), points }
    }

    /// The member that `key` belongs to, or the next on the ring for which `eligible` holds.
    pub fn pick(&self, key: &[u8], eligible: impl Fn(usize) -> bool) -> Option<usize> {
        self.continuum
            .node_iter(key)
            .take(self.points)
            .filter_map(|node| self.members.get(node).copied())
            .find(|index| eligible(*index))
    }
}

/// Weights divided by their greatest common divisor, then scaled down to the bound; no weight becomes 0 by that.
fn units(weights: &[u32]) -> Vec<u32> {
    let divisor = weights.iter().copied().filter(|weight| *weight > 0).fold(0, gcd).max(1);
    let total: u64 = weights.iter().map(|weight| u64::from(weight / divisor)).sum();
    let scale = |weight: u32| {
        let weight = u64::from(weight / divisor);
        let scaled = if total > MOST_UNITS { (weight * MOST_UNITS / total).max(weight.min(1)) } else { weight };
        u32::try_from(scaled).unwrap_or(u32::MAX)
    };
    weights.iter().map(|weight| scale(*weight)).collect()
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Ring nodes are socket addresses; a name stands on the ring as an address made of its hash.
fn node(address: &EndpointAddress) -> SocketAddr {
    match address {
        EndpointAddress::Socket(address) => *address,
        EndpointAddress::Name(name, port) => {
            use sha2::Digest;
            let digest = sha2::Sha256::digest(name.as_bytes());
            let mut octets = [0xfd; 16];
            octets.iter_mut().skip(1).zip(digest).for_each(|(octet, byte)| *octet = byte);
            SocketAddr::new(Ipv6Addr::from(octets).into(), *port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(count: u8) -> Vec<EndpointAddress> {
        (1..=count).map(|n| EndpointAddress::Socket(SocketAddr::from(([10, 0, 0, n], 80)))).collect()
    }

    fn ring(members: &[EndpointAddress]) -> Ring {
        Ring::new(members.iter().map(|address| (address, 1)))
    }

    #[test]
    fn only_keys_of_a_member_that_left_move() {
        let (all, fewer) = (members(10), members(9));
        let (before, after) = (ring(&all), ring(&fewer));
        let mut moved = 0;
        for key in 0..10_000u32 {
            let key = key.to_string();
            let was = before.pick(key.as_bytes(), |_| true).expect("there are members");
            let is = after.pick(key.as_bytes(), |_| true).expect("there are members");
            if was == 9 {
                moved += 1;
            } else {
                assert_eq!(all[was], fewer[is], "{key}");
            }
        }
        assert!((700..1300).contains(&moved), "a tenth of the keys: {moved}");
    }

    #[test]
    fn a_key_whose_member_is_away_goes_to_one_other_and_comes_back() {
        let ring = ring(&members(5));
        let home = ring.pick(b"k", |_| true).expect("there are members");
        let other = ring.pick(b"k", |index| index != home).expect("there are others");
        assert_ne!(home, other);
        assert_eq!(ring.pick(b"k", |index| index != home), Some(other));
        assert_eq!(ring.pick(b"k", |_| true), Some(home));
        assert_eq!(ring.pick(b"k", |_| false), None);
    }

    #[test]
    fn weights_are_divided_and_bounded() {
        assert_eq!(units(&[100, 200]), [1, 2]);
        assert_eq!(units(&[7]), [1]);
        let large = units(&[1_000_000, 999_999, 1]);
        assert!(large.iter().sum::<u32>() <= 1025 && large.iter().all(|weight| *weight > 0), "{large:?}");
        assert_eq!(units(&[]), [0u32; 0]);
    }

    #[test]
    fn names_have_a_place_too_and_no_members_have_none() {
        let name = EndpointAddress::Name("backend.example".into(), 443);
        assert_eq!(Ring::new([(&name, 5)].into_iter()).pick(b"k", |_| true), Some(0));
        assert_eq!(Ring::new(std::iter::empty()).pick(b"k", |_| true), None);
    }
}
