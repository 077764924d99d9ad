//! What other nodes say, and what is asked of the gateway when none does.

use std::{net::SocketAddr, time::Duration};

use super::Loop;
use crate::{
    Moment,
    agent::{Peer, moves::Spoken},
    election::Input,
    flows,
    heartbeat::{Heard, LinkId, Refusal},
    station::{Command, now},
};

/// Where a node was is forgotten after this.
const FORGOTTEN: Duration = Duration::from_secs(600);

impl Loop {
    pub(super) fn hear(&mut self, link: LinkId, bytes: &[u8], sender: SocketAddr) {
        let now = now();
        if flows::is_ours(bytes) {
            let own = &self.watched;
            return self.moves.hear(now, link, bytes, |address| own.contains_key(&address));
        }
        match self.inbox.hear(now, link, bytes, self.outbox.boot()) {
            Ok(Some(heard)) => {
                self.ears.meet(now, link, &heard.node, sender);
                if heard.is_new {
                    self.outbox.greet();
                }
                heard.knows_us_as.into_iter().for_each(|known| self.outbox.outdated(known));
                self.place_peer(now, &heard);
                let peer = Peer { heard: now, readiness: heard.readiness };
                let is_first = self.peers.insert(heard.node.clone(), peer).is_none();
                if is_first {
                    tracing::info!(node = &*heard.node, "another node is heard");
                    self.announce();
                }
                self.is_stale |= heard.is_new;
                self.election.handle(now, Input::Heard(heard));
            }
            Ok(None) => {}
            Err(Refusal::Outdated(node)) => {
                if let Some(known) = self.inbox.boot_of(&node) {
                    self.outbox.remind(node, known);
                }
            }
            // Counted by the inbox.
            Err(_) => {}
        }
    }

    /// By the address of the link, which stands first.
    pub(super) fn place_peer(&mut self, now: Moment, heard: &Heard) {
        if let Some(mac) = heard.macs.first() {
            let spoken = Spoken { mac: *mac, at: now, timeout: self.settings.profile.longest(heard.beat) };
            self.spoken.insert((heard.node.clone(), heard.link), spoken);
        }
        self.spoken.retain(|_, spoken| now.since(spoken.at) < FORGOTTEN);
    }

    /// Asks the gateway while others who could own addresses are silent.
    pub(super) fn tend_gateway(&mut self, now: Moment) {
        if !self.has_rivals() {
            return;
        }
        let links = self.local.links.keys().copied().collect();
        for (link, address) in self.gateways.poll(now, self.others_heard(), &links) {
            self.station.order(Command::Ask { link, address });
        }
        if self.gateways.wants_routes() {
            self.routes.read();
        }
        if self.gateways.answers(now) != self.local.gateway_answers {
            self.localise();
        }
    }

    /// Whether another node may own any of the addresses that this one may.
    pub(super) fn has_rivals(&self) -> bool {
        let wishes = self.wishes.iter().flat_map(|wishes| wishes.iter());
        let mut own = wishes.filter(|(address, _)| self.watched.contains_key(*address));
        own.any(|(_, wish)| wish.is_shared(!self.peers.is_empty()))
    }

    /// When any other node was heard last.
    pub(super) fn others_heard(&self) -> Option<Moment> {
        self.peers.values().map(|peer| peer.heard).max()
    }
}
