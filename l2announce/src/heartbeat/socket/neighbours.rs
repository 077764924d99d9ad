//! From where each peer spoke last on a link, for speaking to it alone.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use crate::{Moment, NodeName};

/// One that was silent for longer is found by multicast again.
const SILENT: Duration = Duration::from_secs(60);
/// Most that are spoken to one by one.
const MOST: usize = 128;

/// The peers of a link; each by both families, if it speaks both.
#[derive(Debug, Default)]
pub(super) struct Neighbours(BTreeMap<(NodeName, bool), (SocketAddr, Moment)>);

impl Neighbours {
    pub(super) fn meet(&mut self, now: Moment, node: &NodeName, address: SocketAddr) {
        let key = (node.clone(), address.is_ipv4());
        if self.0.len() < MOST || self.0.contains_key(&key) {
            self.0.insert(key, (address, now));
        }
    }

    /// Where `node` is, by IPv4 if it speaks that.
    pub(super) fn of(&self, now: Moment, node: &NodeName) -> Option<SocketAddr> {
        let find = |is_v4| self.0.get(&(node.clone(), is_v4)).filter(|(_, met)| now.since(*met) < SILENT);
        find(true).or_else(|| find(false)).map(|(address, _)| *address)
    }

    pub(super) fn all(&mut self, now: Moment) -> impl Iterator<Item = SocketAddr> {
        self.0.retain(|_, (_, met)| now.since(*met) < SILENT);
        self.0.values().map(|(address, _)| *address)
    }
}
