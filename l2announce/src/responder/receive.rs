//! What a frame means: a question that is answered, or a claim by another station.

use std::net::IpAddr;

use super::{Event, Outcome, Responder};
use crate::{
    moment::Moment,
    wire::{Advertisement, Arp, Frame, MacAddr, Operation, Packet, Solicitation, Unfit},
};

pub(super) fn receive(responder: &mut Responder, now: Moment, bytes: &[u8]) -> Result<(), Unfit> {
    // A link that is down has nothing to say, and what it still hands up is old.
    if !responder.up {
        return Ok(());
    }
    let frame = Frame::parse(bytes)?;
    // Heard from a link of ours, or come back to this one.
    if responder.own.contains(&frame.source) {
        return Ok(());
    }
    match frame.packet {
        Packet::Arp(arp) => responder.receive_arp(now, frame.destination, &arp),
        Packet::Solicitation(solicitation) => responder.receive_solicitation(now, frame.source, &solicitation),
        Packet::Advertisement(advertisement) => responder.receive_advertisement(now, frame.source, &advertisement),
    }
    Ok(())
}

impl Responder {
    fn receive_arp(&mut self, now: Moment, destination: MacAddr, arp: &Arp) {
        // What the sender says of itself counts, whatever station passed it on.
        if self.own.contains(&arp.sender_mac) {
            return;
        }
        let is_probe = arp.sender.is_unspecified();
        if !is_probe {
            self.hear_claim(now, arp.sender.into(), arp.sender_mac);
        }
        let is_for_us = destination.is_broadcast() || destination == self.mac;
        if arp.operation != Operation::Request || arp.sender == arp.target || !is_for_us {
            return;
        }
        if is_probe {
            self.hear_probe(arp.target.into(), arp.sender_mac);
        }
        self.answer(arp.target.into(), |mac| arp.answer(mac));
    }

    fn receive_solicitation(&mut self, now: Moment, source: MacAddr, solicitation: &Solicitation) {
        let asker = solicitation.source_link.unwrap_or(source);
        if self.own.contains(&asker) {
            return;
        }
        if solicitation.source.is_unspecified() {
            self.hear_probe(solicitation.target.into(), asker);
        } else {
            self.hear_claim(now, solicitation.source.into(), asker);
        }
        self.answer(solicitation.target.into(), |mac| solicitation.answer(mac, source));
    }

    fn receive_advertisement(&mut self, now: Moment, source: MacAddr, advertisement: &Advertisement) {
        let owner = advertisement.target_link.unwrap_or(source);
        if !self.own.contains(&owner) {
            self.hear_claim(now, advertisement.target.into(), owner);
        }
    }

    /// Another station says that it has `address`.
    fn hear_claim(&mut self, now: Moment, address: IpAddr, mac: MacAddr) {
        if self.asked.remove(&address) {
            self.events.push_back(Event::Answered { address });
        }
        let Some(held) = self.addresses.get_mut(&address) else { return };
        let is_probed = held.probing.is_some();
        if held.tells_conflict(now, mac) {
            self.events.push_back(Event::Conflict { address, mac });
        }
        if is_probed {
            self.conclude(address, Outcome::Taken { mac });
        }
    }

    /// Another station asks for `address` because it wants it.
    fn hear_probe(&mut self, address: IpAddr, mac: MacAddr) {
        let probing = self.addresses.get(&address).and_then(|held| held.probing.as_ref());
        if probing.is_some_and(super::Probing::yields_to_probes) {
            self.conclude(address, Outcome::Wanted { mac });
        }
    }

    fn answer(&mut self, address: IpAddr, frame: impl FnOnce(MacAddr) -> Frame) {
        let Some(announced) = self.addresses.get(&address).and_then(|held| held.announced.as_ref()) else { return };
        announced.counters.count_request();
        announced.counters.count_response();
        self.frames.push_back(frame(self.mac).encode());
    }
}
