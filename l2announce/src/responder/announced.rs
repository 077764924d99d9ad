//! An address that is announced: its rounds of telling everybody, its refresh, its defence.

use std::{net::IpAddr, sync::Arc, time::Duration};

use super::{Announce, Counters};
use crate::{
    moment::Moment,
    wire::{Advertisement, Arp, MacAddr, Operation},
};

/// When everybody is told after an announcement begins. 1.1 s apart because a Linux client takes no second change of an
/// entry within a second (`locktime`); five times as MetalLB does it.
pub const ROUNDS: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_millis(1_100),
    Duration::from_millis(2_200),
    Duration::from_millis(3_300),
    Duration::from_millis(4_400),
];
/// RFC 5227, 2.4: an address is defended at most this often.
pub const DEFEND_INTERVAL: Duration = Duration::from_secs(10);
/// How often the same conflict is told of.
const CONFLICT_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Announced {
    /// Which announcement this is; frames of an earlier one that still wait are not sent.
    pub(super) number: u64,
    pub(super) counters: Arc<Counters>,
    refresh: Option<Duration>,
    next: Option<Next>,
    defended: Option<Moment>,
    conflict: Option<(Moment, MacAddr)>,
}

/// When everybody is told next.
#[derive(Clone, Copy, Debug)]
struct Next {
    at: Moment,
    /// When the rounds began, and which it is; none if it is a refresh.
    round: Option<(Moment, usize)>,
}

impl Announced {
    pub(super) fn new(number: u64, announce: Announce, now: Moment) -> Self {
        let Announce { refresh, counters, .. } = announce;
        let mut this = Self { number, counters, refresh, next: None, defended: None, conflict: None };
        this.next = this.refresh_from(now);
        this
    }

    pub(super) fn wakes(&self) -> Option<Moment> {
        self.next.map(|next| next.at)
    }

    /// The first round is the caller's to send; the others come due.
    pub(super) fn start_rounds(&mut self, number: u64, now: Moment) {
        self.number = number;
        self.next = self.round_from(now, 1, now);
    }

    pub(super) fn stop_rounds(&mut self) {
        self.next = None;
    }

    /// Whether everybody is to be told now. What comes after that is arranged.
    pub(super) fn next_round(&mut self, now: Moment) -> bool {
        let Some(next) = self.next.filter(|next| next.at <= now) else { return false };
        self.next = match next.round {
            Some((began, round)) => self.round_from(began, round + 1, now),
            None => self.refresh_from(now),
        };
        true
    }

    fn round_from(&self, began: Moment, round: usize, now: Moment) -> Option<Next> {
        match ROUNDS.get(round) {
            Some(after) => Some(Next { at: began + *after, round: Some((began, round)) }),
            None => self.refresh_from(now),
        }
    }

    fn refresh_from(&self, now: Moment) -> Option<Next> {
        self.refresh.map(|interval| Next { at: now + interval, round: None })
    }

    /// Whether a defence is allowed now; it counts as done then.
    pub(super) fn may_defend(&mut self, now: Moment) -> bool {
        let is_allowed = self.defended.is_none_or(|last| now.since(last) >= DEFEND_INTERVAL);
        if is_allowed {
            self.defended = Some(now);
        }
        is_allowed
    }

    pub(super) fn tells_conflict(&mut self, now: Moment, mac: MacAddr) -> bool {
        let is_known = |(at, who): (Moment, MacAddr)| who == mac && now.since(at) < CONFLICT_INTERVAL;
        if self.conflict.is_some_and(is_known) {
            return false;
        }
        self.conflict = Some((now, mac));
        true
    }

    pub(super) fn telling(&self, address: IpAddr) -> Telling {
        Telling { address, number: self.number, form: Operation::Request }
    }
}

/// A frame that tells everybody, to be built when it is sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Telling {
    pub(super) address: IpAddr,
    pub(super) number: u64,
    /// Of ARP; neighbour discovery has one form only.
    form: Operation,
}

impl Telling {
    pub(super) fn frame(self, mac: MacAddr) -> Vec<u8> {
        match self.address {
            IpAddr::V4(address) => Arp::announcement(self.form, mac, address).encode(),
            IpAddr::V6(address) => Advertisement::announcement(mac, address).encode(),
        }
    }

    /// What follows it.
    pub(super) fn second_form(self) -> Option<Self> {
        (self.address.is_ipv4() && self.form == Operation::Request).then_some(Self { form: Operation::Reply, ..self })
    }
}
