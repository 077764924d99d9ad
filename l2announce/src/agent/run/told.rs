//! What this node is told: what should be announced, by which keys, and whether it takes part.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use tokio::sync::watch;

use super::Loop;
use crate::{
    Interfaces,
    agent::{Inputs, Wishes},
    election::Input,
    heartbeat::{Keys, Readiness},
    station::{Command, now},
};

impl Loop {
    pub(super) fn hear_inputs(&mut self, inputs: &mut Inputs) {
        if inputs.keys.has_changed().unwrap_or_default() {
            let keys = inputs.keys.borrow_and_update().clone();
            self.has_key = keys.is_some();
            let keys = keys.unwrap_or_else(nobodys);
            self.inbox.rekey(keys.clone());
            self.moves.rekey(keys.clone());
            self.outbox.rekey(keys);
        }
        self.unserved.clone_from(&inputs.unserved.borrow_and_update());
        let readiness = *inputs.readiness.borrow_and_update();
        self.readiness = if self.is_left { Readiness::Leaving } else { readiness };
        let wishes = inputs.wishes.borrow_and_update().clone();
        if let Some(wishes) = wishes.filter(|wishes| self.wishes.as_ref() != Some(wishes)) {
            self.wish(wishes);
        }
        self.localise();
    }

    pub(super) fn wish(&mut self, wishes: Arc<Wishes>) {
        let node = &*self.settings.node;
        let own: Vec<_> =
            wishes.iter().filter_map(|(address, wish)| Some((*address, wish, wish.candidate(node)?))).collect();
        let watched: BTreeMap<IpAddr, Interfaces> =
            own.iter().map(|(address, _, candidate)| (*address, candidate.interfaces.clone())).collect();
        for address in self.watched.keys().filter(|address| !watched.contains_key(address)) {
            self.station.order(Command::Forget { address: *address });
            self.placements.remove(address);
        }
        for (address, interfaces) in watched.iter().filter(|(address, new)| self.watched.get(address) != Some(new)) {
            self.station.order(Command::Watch { address: *address, interfaces: interfaces.clone() });
        }
        self.watched = watched;
        self.wishes = Some(wishes);
        self.announce();
        self.place();
    }

    /// Tells the election what should be announced, by whom as far as is known.
    pub(super) fn announce(&mut self) {
        let Some(wishes) = &self.wishes else { return };
        let everybody = || self.peers.keys().chain(std::iter::once(&self.settings.node));
        let announcements = wishes.iter().map(|(address, wish)| (*address, wish.announcement(everybody()))).collect();
        self.election.handle(now(), Input::Announcements(Arc::new(announcements)));
        self.is_stale = true;
    }
}

/// Something else is to be done than before. Who tells of it may have gone: then nothing changes any more.
pub(super) async fn changed(inputs: &mut Inputs) {
    async fn one<T>(input: &mut watch::Receiver<T>) {
        if input.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        // It is read again with the others.
        input.mark_changed();
    }
    tokio::select! {
        () = one(&mut inputs.wishes) => {}
        () = one(&mut inputs.keys) => {}
        () = one(&mut inputs.unserved) => {}
        () = one(&mut inputs.readiness) => {}
    }
}

/// A key that nobody else has.
pub(super) fn nobodys() -> Keys {
    Keys::new(&rand::random(), None)
}
