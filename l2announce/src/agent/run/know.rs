//! What this node can do: out of links, kernel and data plane, told to the election whenever it is something else.

use std::{collections::BTreeSet, sync::Arc};

use super::{Loop, SETTLE};
use crate::{
    agent::{ground::Done, local::Known},
    election::Input,
    heartbeat::LinkId,
    kernel,
    station::now,
};

impl Loop {
    /// Listens and speaks on the links where addresses may be, keeps the kernel silent there, and tells the election.
    pub(super) fn place(&mut self) {
        let places = || self.placements.values().flat_map(|placement| &placement.places);
        let indexes: BTreeSet<LinkId> = places().map(|place| place.index).collect();
        let links = places().map(|place| place.name.clone()).collect();
        self.ears.reconcile(&indexes, &self.links.borrow());
        if self.is_placed() {
            self.ground.want(self.wanted_of_kernel(links));
        }
        self.localise();
    }

    /// Whether it is known of every address where it may be.
    pub(super) fn is_placed(&self) -> bool {
        self.wishes.is_some() && self.watched.keys().all(|address| self.placements.contains_key(address))
    }

    pub(super) fn wanted_of_kernel(&self, links: BTreeSet<Arc<str>>) -> kernel::Wanted {
        let all = || self.wishes.iter().flat_map(|wishes| wishes.iter());
        let own = || all().filter(|(address, _)| self.watched.contains_key(*address));
        let foreign = own().flat_map(|(address, wish)| wish.foreign_ports.iter().map(|port| (*address, *port)));
        kernel::Wanted {
            addresses: own().map(|(address, wish)| (*address, wish.purpose)).collect(),
            links,
            foreign: foreign.collect(),
        }
    }

    pub(super) fn answered(&mut self, done: Done) {
        if self.ground.answered(done) {
            self.localise();
        }
    }

    pub(super) fn localise(&mut self) {
        let Some(wishes) = &self.wishes else { return };
        // What another process hands over is taken with the first word, or not at all.
        let is_ready = self.is_placed() && self.ground.has_answered();
        if !is_ready && !self.is_known {
            return;
        }
        let was_known = std::mem::replace(&mut self.is_known, true);
        let links = self.links.borrow().clone();
        let known = Known {
            node: &self.settings.node,
            wishes,
            placements: &self.placements,
            links: &links,
            ears: &self.ears,
            ground: &self.ground,
            unserved: self.unserved.as_ref(),
            readiness: self.readiness,
            gateway_answers: self.gateways.answers(now()),
            has_key: self.has_key,
        };
        let local = known.local();
        if local != self.local || !was_known {
            self.local = local.clone();
            self.is_stale = true;
            self.election.handle(now(), Input::Local(local));
        }
    }

    pub(super) fn settle_again(&mut self) {
        let now = now();
        if now.since(self.settled) >= SETTLE {
            self.settled = now;
            self.ground.settle();
            self.place();
        }
    }
}
