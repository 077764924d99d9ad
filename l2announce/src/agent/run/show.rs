//! What the agent shows of itself, and leaves to the next process.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use super::Loop;
use crate::{
    Moment,
    agent::{Shown, ShownAddress},
};

impl Loop {
    pub(super) fn show(&mut self, now: Moment) {
        (self.is_stale, self.shown) = (false, now);
        let view = self.election.view(now);
        let links = |address: &IpAddr| {
            let places = self.placements.get(address).map(|placement| placement.places.as_slice());
            places.unwrap_or_default().iter().map(|place| place.name.clone()).collect()
        };
        let purpose = |address: &IpAddr| self.wishes.as_ref().and_then(|wishes| Some(wishes.get(address)?.purpose));
        let addresses = view.into_iter().filter_map(|(address, view)| {
            let is_in_subnet = self.placements.get(&address).map(|placement| placement.is_in_subnet);
            Some((address, ShownAddress { purpose: purpose(&address)?, links: links(&address), is_in_subnet, view }))
        });
        let shown = Shown {
            at: now,
            node: self.settings.node.clone(),
            problem: None,
            readiness: self.readiness,
            addresses: addresses.collect(),
            peers: self.peers.clone(),
            hand_back: self.moves.shown().clone(),
            refusals: self.inbox.refusals().clone(),
            pauses: self.election.pauses(),
            counters: self.station.counters(),
        };
        self.seat.remember(now, &self.election.memory(), &BTreeSet::new());
        self.show.send_replace(Arc::new(shown));
    }
}
