//! One link as the station uses it: its sockets, its responder, the groups that it listens to.

use std::{
    collections::BTreeSet,
    net::IpAddr,
    sync::Arc,
    task::{Context, Poll},
};

use super::Thoroughness;
use crate::{
    link::Link,
    moment::Moment,
    responder::{self, Announce, ProbeSchedule, Responder},
    socket::{Groups, PacketSocket, Protocol, SocketError},
    wire::{self, MacAddr},
};

/// A flood must not keep the loop from its orders.
const FRAMES_AT_ONCE: usize = 256;

#[derive(Debug)]
pub(super) struct Port {
    index: u32,
    is_wireless: bool,
    responder: Responder,
    arp: PacketSocket,
    ndp: PacketSocket,
    groups: Groups,
    heard_by_group: BTreeSet<IpAddr>,
}

impl Port {
    /// On a link that is up and has a station.
    pub(super) fn open(
        link: &Link,
        mac: MacAddr,
        settings: &responder::Settings,
        now: Moment,
    ) -> Result<Self, SocketError> {
        let arp = PacketSocket::open(link.index, link.name(), Protocol::Arp)?;
        let ndp = PacketSocket::open(link.index, link.name(), Protocol::Ndp)?;
        if link.facts.is_wireless {
            arp.receive_everything()?;
        }
        let mut responder = Responder::new(mac, settings);
        responder.set_up(now, true);
        let (index, is_wireless) = (link.index, link.facts.is_wireless);
        let (groups, heard_by_group) = (Groups::default(), BTreeSet::new());
        Ok(Self { index, is_wireless, responder, arp, ndp, groups, heard_by_group })
    }

    pub(super) fn set_stations(&mut self, now: Moment, mac: MacAddr, own: &Arc<BTreeSet<MacAddr>>) {
        self.responder.set_own(Arc::clone(own));
        self.responder.set_mac(now, mac);
    }

    pub(super) fn announce(&mut self, now: Moment, address: IpAddr, announce: Announce) {
        self.listen(address);
        self.responder.announce(now, address, announce);
    }

    pub(super) fn tell_again(&mut self, now: Moment, address: IpAddr) {
        self.responder.reannounce(now, address);
    }

    pub(super) fn withdraw(&mut self, address: IpAddr) {
        self.responder.withdraw(address);
        self.responder.end_probe(address);
        self.settle_group(address);
    }

    pub(super) fn end_probe(&mut self, address: IpAddr) {
        self.responder.end_probe(address);
        self.settle_group(address);
    }

    pub(super) fn probe(&mut self, now: Moment, address: IpAddr, thoroughness: Thoroughness) {
        // A station that saves power hears a radio's groups several hundred milliseconds late.
        let schedule = match thoroughness {
            Thoroughness::Short => ProbeSchedule::short(),
            Thoroughness::Full if self.is_wireless => ProbeSchedule::full(rand::random()),
            Thoroughness::Full => ProbeSchedule::wired(rand::random()),
        };
        self.listen(address);
        self.responder.probe(now, address, schedule);
    }

    pub(super) fn ask(&mut self, address: IpAddr) {
        self.responder.ask(address);
    }

    pub(super) fn defend(&mut self, now: Moment, address: IpAddr) {
        if !self.responder.defend(now, address) {
            tracing::debug!(%address, link = self.index, "an address isn't defended more often than every 10 seconds");
        }
    }

    /// Leaves the address's group if nothing is held of it any more.
    pub(super) fn settle_group(&mut self, address: IpAddr) {
        if !self.responder.holds(address)
            && self.heard_by_group.remove(&address)
            && let IpAddr::V6(address) = address
        {
            self.groups.leave(&self.ndp, self.index, address);
        }
    }

    fn listen(&mut self, address: IpAddr) {
        let IpAddr::V6(group_of) = address else { return };
        if !self.heard_by_group.insert(address) {
            return;
        }
        if let Err(error) = self.groups.join(&self.ndp, self.index, group_of) {
            tracing::warn!(%address, %error, "solicitations of an address may not be heard");
            self.heard_by_group.remove(&address);
        }
    }

    pub(super) fn poll_receive(
        &self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<Result<usize, SocketError>> {
        match self.arp.poll_receive(context, buffer) {
            Poll::Pending => self.ndp.poll_receive(context, buffer),
            ready => ready,
        }
    }

    pub(super) fn receive(&mut self, now: Moment, frame: &[u8]) {
        if let Err(unfit) = self.responder.receive(now, frame) {
            tracing::trace!(link = self.index, %unfit, "a frame was passed over");
        }
    }

    /// Takes in what waits before it may be said that nobody answered.
    pub(super) fn catch_up(&mut self, now: Moment, buffer: &mut [u8]) {
        for _ in 0..FRAMES_AT_ONCE {
            if !self.responder.is_probing() {
                return;
            }
            let waiting = self.arp.receive_now(buffer).or_else(|| self.ndp.receive_now(buffer));
            let Some(length) = waiting else { return };
            self.receive(now, buffer.get(..length).unwrap_or_default());
        }
    }

    /// Throws away what came in while the process did not run, and with it what probes might have found.
    pub(super) fn forget_heard(&mut self) -> usize {
        self.responder.lose_probes();
        self.discard()
    }

    pub(super) fn discard(&self) -> usize {
        self.arp.discard() + self.ndp.discard()
    }

    pub(super) fn wakes(&self) -> Option<Moment> {
        self.responder.wakes()
    }

    /// Sends all that is to be sent now. What the kernel does not take is gone: it would be late.
    pub(super) fn send(&mut self, now: Moment) {
        while let Some(frame) = self.responder.next_frame(now) {
            let socket = if wire::is_ipv6(&frame) { &self.ndp } else { &self.arp };
            if let Err(error) = socket.send(&frame) {
                tracing::debug!(link = self.index, %error, "a frame could not be sent");
            }
        }
    }

    pub(super) fn next_event(&mut self) -> Option<responder::Event> {
        self.responder.next_event()
    }
}
