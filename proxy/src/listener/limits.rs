//! How many connections there may be: of this node, and of one client address.
//!
//! Counts are exact, because they decide: an estimate would refuse the innocent. One lock of a shard is taken when a
//! connection opens and when it closes, none in between.

use std::{
    collections::HashMap,
    hash::BuildHasher,
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use crate::telemetry::metrics::Limit;

const SHARDS: usize = 64;

/// Counts of connections.
#[derive(Debug)]
pub struct Occupancy {
    most: usize,
    most_per_address: usize,
    open: AtomicUsize,
    hasher: foldhash::fast::RandomState,
    shards: Vec<Mutex<HashMap<IpAddr, usize, foldhash::fast::RandomState>>>,
}

/// One connection's place; given back when dropped.
#[derive(Debug)]
pub struct Place {
    occupancy: Arc<Occupancy>,
    address: IpAddr,
}

impl Occupancy {
    /// No connections yet; at most `most`, and `most_per_address` of one IPv4 address or IPv6 /64.
    pub fn new(most: usize, most_per_address: usize) -> Self {
        let shards = std::iter::repeat_with(Mutex::default).take(SHARDS).collect();
        Self { most, most_per_address, open: AtomicUsize::new(0), hasher: Default::default(), shards }
    }

    /// Connections at the moment.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// A place for a connection from `address`, or the limit that has none left.
    pub fn enter(self: &Arc<Self>, address: IpAddr) -> Result<Place, Limit> {
        if self.open.fetch_add(1, Ordering::Relaxed) >= self.most {
            self.open.fetch_sub(1, Ordering::Relaxed);
            return Err(Limit::Connections);
        }
        let address = counted_as(address);
        if !self.count(address) {
            self.open.fetch_sub(1, Ordering::Relaxed);
            return Err(Limit::ConnectionsPerAddress);
        }
        Ok(Place { occupancy: self.clone(), address })
    }

    fn count(&self, address: IpAddr) -> bool {
        self.with_shard(address, |shard| {
            let count = shard.entry(address).or_insert(0);
            let room = *count < self.most_per_address;
            *count += usize::from(room);
            room
        })
    }

    fn leave(&self, address: IpAddr) {
        self.open.fetch_sub(1, Ordering::Relaxed);
        self.with_shard(address, |shard| {
            if let Some(count) = shard.get_mut(&address) {
                *count -= 1;
                if *count == 0 {
                    shard.remove(&address);
                }
            }
        });
    }

    fn with_shard<T>(
        &self,
        address: IpAddr,
        run: impl FnOnce(&mut HashMap<IpAddr, usize, foldhash::fast::RandomState>) -> T,
    ) -> T {
        let at = usize::try_from(self.hasher.hash_one(address) % SHARDS as u64).unwrap_or(0);
        let shard = self.shards.get(at).expect("the remainder is below the number of shards");
        run(&mut shard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Who owns an IPv6 address owns its /64.
pub(crate) fn counted_as(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let network = u128::from(v6) & !u128::from(u64::MAX);
            IpAddr::V6(network.into())
        }
        v4 => v4,
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.occupancy.leave(self.address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn an_address_gets_no_more_than_its_share_and_gets_it_back() {
        let occupancy = Arc::new(Occupancy::new(10, 2));
        let first = occupancy.enter(address("192.0.2.1")).expect("room");
        let _second = occupancy.enter(address("::ffff:192.0.2.1")).expect("room");
        assert_eq!(occupancy.enter(address("192.0.2.1")).err(), Some(Limit::ConnectionsPerAddress));
        assert!(occupancy.enter(address("192.0.2.2")).is_ok());
        drop(first);
        assert!(occupancy.enter(address("192.0.2.1")).is_ok());
        assert_eq!(occupancy.open(), 1);
    }

    #[test]
    fn an_ipv6_network_of_64_bits_is_one_address() {
        let occupancy = Arc::new(Occupancy::new(10, 1));
        let _first = occupancy.enter(address("2001:db8::1")).expect("room");
        assert!(occupancy.enter(address("2001:db8::ffff")).is_err());
        assert!(occupancy.enter(address("2001:db8:0:1::1")).is_ok());
    }

    #[test]
    fn the_node_gets_no_more_than_its_share() {
        let occupancy = Arc::new(Occupancy::new(1, 10));
        let _first = occupancy.enter(address("192.0.2.1")).expect("room");
        assert_eq!(occupancy.enter(address("192.0.2.2")).err(), Some(Limit::Connections));
    }
}
