//! Who answers for addresses on one link: frames in, frames and events out, time as an argument. It answers for what it
//! was told to announce while the link is up, tells everybody when that begins, asks whether an address is taken before
//! it begins, and sees who else claims an address. Whether to announce, defend or yield is decided elsewhere.

mod announced;
mod counters;
mod due;
mod held;
mod pace;
mod probe;
mod receive;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

pub use self::{
    announced::{DEFEND_INTERVAL, ROUNDS},
    counters::Counters,
    probe::{Outcome, ProbeSchedule},
};
use self::{due::Due, held::Held, pace::Pace, probe::Probing};
use crate::{
    moment::Moment,
    wire::{MacAddr, Unfit},
};

/// What a responder is told once.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How many frames a second the announcements behind the first round may take on a link. What one address needs is
    /// sent when it is due; it is the many that are spread.
    pub frames_per_second: u32,
}

impl Default for Settings {
    /// 1000 frames a second: all later rounds of 200 addresses within 0.4 s each.
    fn default() -> Self {
        Self { frames_per_second: 1000 }
    }
}

/// How an address is announced.
#[derive(Clone, Debug)]
pub struct Announce {
    /// Whether the segment is told at once and again (see [`ROUNDS`]), rather than only when it asks.
    pub burst: bool,
    /// After which time everybody is told again, forever; each address should have its own, so that they spread.
    pub refresh: Option<Duration>,
    /// Where frames are counted.
    pub counters: Arc<Counters>,
}

/// What happened on the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A probe is over.
    Probed {
        /// What was probed.
        address: IpAddr,
        /// What became of it.
        outcome: Outcome,
    },
    /// A station has answered [`Responder::ask`].
    Answered {
        /// Which.
        address: IpAddr,
    },
    /// Another station says that it has an address that is announced here. Told at most once a second for each address,
    /// and at once for a station that it wasn't told of last.
    Conflict {
        /// What is claimed.
        address: IpAddr,
        /// By whom.
        mac: MacAddr,
    },
}

/// The responder of one link.
#[derive(Debug)]
pub struct Responder {
    mac: MacAddr,
    /// Stations that are this node, on all its links: what they say is no conflict.
    own: Arc<BTreeSet<MacAddr>>,
    up: bool,
    addresses: HashMap<IpAddr, Held>,
    due: Due,
    /// First rounds: soon, whatever else there is to send.
    first: VecDeque<announced::Telling>,
    first_pace: Pace,
    /// All other rounds.
    later: VecDeque<announced::Telling>,
    later_pace: Pace,
    /// Stations that were asked whether they are there, and have not answered.
    asked: BTreeSet<IpAddr>,
    /// Answers and probes.
    frames: VecDeque<Vec<u8>>,
    events: VecDeque<Event>,
    /// Tells an announcement from an earlier one of the same address.
    announcements: u64,
}

impl Responder {
    /// For a link that has this link-layer address and is down as yet.
    pub fn new(mac: MacAddr, settings: &Settings) -> Self {
        Self {
            mac,
            own: Arc::new(BTreeSet::from([mac])),
            up: false,
            addresses: HashMap::new(),
            due: Due::default(),
            first: VecDeque::new(),
            first_pace: Pace::FIRST_ROUNDS,
            later: VecDeque::new(),
            later_pace: Pace::new(settings.frames_per_second, LATER_DEPTH),
            asked: BTreeSet::new(),
            frames: VecDeque::new(),
            events: VecDeque::new(),
            announcements: 0,
        }
    }

    /// The link came up or went down. Whoever comes back tells the segment anew, since switches may have forgotten; a
    /// probe on a link that goes down is undecided.
    pub fn set_up(&mut self, now: Moment, up: bool) {
        if up == self.up {
            return;
        }
        self.up = up;
        if up {
            self.tell_all(now);
        } else {
            self.silence();
        }
    }

    /// The link-layer address of the link is another one now: the segment must learn it.
    pub fn set_mac(&mut self, now: Moment, mac: MacAddr) {
        if mac == self.mac {
            return;
        }
        self.mac = mac;
        if self.up {
            self.tell_all(now);
        }
    }

    /// These stations are this node.
    pub fn set_own(&mut self, own: Arc<BTreeSet<MacAddr>>) {
        self.own = own;
    }

    /// Answers for `address` from now on. Nothing happens if it is announced already.
    pub fn announce(&mut self, now: Moment, address: IpAddr, announce: Announce) {
        self.announcements += 1;
        let number = self.announcements;
        let held = self.addresses.entry(address).or_default();
        if held.announced.is_some() {
            return;
        }
        let burst = announce.burst;
        held.announced = Some(announced::Announced::new(number, announce, now));
        self.reschedule(address);
        if burst && self.up {
            self.tell(now, address);
        }
    }

    /// Sends nothing for `address` from now on.
    pub fn withdraw(&mut self, address: IpAddr) {
        self.change(address, |held| held.announced = None);
    }

    /// Tells the segment of `address` anew, with all rounds: after a conflict that ended well.
    pub fn reannounce(&mut self, now: Moment, address: IpAddr) {
        if self.up {
            self.tell(now, address);
        }
    }

    /// Tells the segment once that `address` is here, against another who claimed it. At most once in
    /// [`DEFEND_INTERVAL`] (RFC 5227, 2.4); false if it was too soon, or if the address isn't announced on this link.
    pub fn defend(&mut self, now: Moment, address: IpAddr) -> bool {
        let announced = self.addresses.get_mut(&address).and_then(|held| held.announced.as_mut());
        let Some(announced) = announced.filter(|_| self.up) else { return false };
        if !announced.may_defend(now) {
            return false;
        }
        self.first.push_back(announced.telling(address));
        true
    }

    /// Asks whether anybody has `address`. One that is under way starts anew. The outcome is an event.
    pub fn probe(&mut self, now: Moment, address: IpAddr, schedule: ProbeSchedule) {
        if !self.up {
            self.events.push_back(Event::Probed { address, outcome: Outcome::Undecided });
            return;
        }
        let held = self.addresses.entry(address).or_default();
        held.probing = Some(Probing::new(schedule, now));
        self.reschedule(address);
        self.advance(now);
    }

    /// Asks once whether the station that has `address` is there. An answer is an event.
    pub fn ask(&mut self, address: IpAddr) {
        if self.up {
            self.asked.insert(address);
            self.frames.push_back(probe::question(self.mac, address));
        }
    }

    /// Ends a probe without an outcome.
    pub fn end_probe(&mut self, address: IpAddr) {
        self.change(address, |held| held.probing = None);
    }

    /// What came in was thrown away, so no probe that is under way can find anything: all are undecided.
    pub fn lose_probes(&mut self) {
        let probed: Vec<IpAddr> =
            self.addresses.iter().filter(|(_, held)| held.probing.is_some()).map(|(address, _)| *address).collect();
        for address in probed {
            self.conclude(address, Outcome::Undecided);
        }
    }

    /// Whether a probe is under way.
    pub fn is_probing(&self) -> bool {
        self.addresses.values().any(|held| held.probing.is_some())
    }

    /// Whether `address` is announced or probed.
    pub fn holds(&self, address: IpAddr) -> bool {
        self.addresses.contains_key(&address)
    }

    /// A frame arrived. Errors say why it was not looked at; there is nothing to do about them.
    pub fn receive(&mut self, now: Moment, bytes: &[u8]) -> Result<(), Unfit> {
        receive::receive(self, now, bytes)
    }

    /// When [`Self::next_frame`] may have something to send though nothing is received.
    pub fn wakes(&self) -> Option<Moment> {
        if !self.frames.is_empty() {
            return Some(Moment::default());
        }
        let first = (!self.first.is_empty()).then(|| self.first_pace.ready());
        let later = (!self.later.is_empty()).then(|| self.later_pace.ready());
        [self.due.first(), first, later].into_iter().flatten().min()
    }

    /// The next frame to send now, if there is one. Ask until there is none.
    pub fn next_frame(&mut self, now: Moment) -> Option<Vec<u8>> {
        self.advance(now);
        self.frames.pop_front().or_else(|| self.next_first(now)).or_else(|| self.next_later(now))
    }

    /// The next thing that happened.
    pub fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Does what is due by now.
    fn advance(&mut self, now: Moment) {
        while let Some(address) = self.due.pop(now) {
            self.fire(now, address);
            self.reschedule(address);
        }
    }

    fn fire(&mut self, now: Moment, address: IpAddr) {
        let Some(held) = self.addresses.get_mut(&address) else { return };
        if let Some(step) = held.probing.as_mut().and_then(|probing| probing.step(now)) {
            self.step_probe(address, step);
        }
        let Some(held) = self.addresses.get_mut(&address) else { return };
        let Some(announced) = held.announced.as_mut() else { return };
        if announced.next_round(now) {
            self.later.push_back(announced.telling(address));
        }
    }

    fn step_probe(&mut self, address: IpAddr, step: probe::Step) {
        match step {
            probe::Step::Ask => self.frames.push_back(probe::question(self.mac, address)),
            probe::Step::Free => self.conclude(address, Outcome::Free),
        }
    }

    fn conclude(&mut self, address: IpAddr, outcome: Outcome) {
        self.end_probe(address);
        self.events.push_back(Event::Probed { address, outcome });
    }

    fn next_first(&mut self, now: Moment) -> Option<Vec<u8>> {
        while let Some(telling) = self.first.front().copied() {
            let Some(frame) = self.telling_frame(telling) else {
                self.first.pop_front();
                continue;
            };
            if !self.first_pace.take(now) {
                return None;
            }
            self.first.pop_front();
            self.count_gratuitous(telling.address);
            // Behind the request forms of all others: everybody's caches are right before anybody's are so twice.
            self.first.extend(telling.second_form());
            return Some(frame);
        }
        None
    }

    fn next_later(&mut self, now: Moment) -> Option<Vec<u8>> {
        while let Some(telling) = self.later.front().copied() {
            let Some(frame) = self.telling_frame(telling) else {
                self.later.pop_front();
                continue;
            };
            if !self.later_pace.take(now) {
                return None;
            }
            self.later.pop_front();
            self.count_gratuitous(telling.address);
            if let Some(second) = telling.second_form() {
                self.later.push_front(second);
            }
            return Some(frame);
        }
        None
    }

    /// Nothing if the announcement that it belongs to is over.
    fn telling_frame(&self, telling: announced::Telling) -> Option<Vec<u8>> {
        let announced = self.addresses.get(&telling.address)?.announced.as_ref()?;
        (self.up && announced.number == telling.number).then(|| telling.frame(self.mac))
    }

    fn count_gratuitous(&self, address: IpAddr) {
        if let Some(announced) = self.addresses.get(&address).and_then(|held| held.announced.as_ref()) {
            announced.counters.count_gratuitous();
        }
    }

    fn tell_all(&mut self, now: Moment) {
        let announced = self.addresses.iter().filter(|(_, held)| held.announced.is_some());
        let mut addresses: Vec<IpAddr> = announced.map(|(address, _)| *address).collect();
        addresses.sort_unstable();
        for address in addresses {
            self.tell(now, address);
        }
    }

    /// Starts all rounds, the first at once.
    fn tell(&mut self, now: Moment, address: IpAddr) {
        self.announcements += 1;
        let number = self.announcements;
        let held = self.addresses.get_mut(&address);
        let Some(announced) = held.and_then(|held| held.announced.as_mut()) else { return };
        announced.start_rounds(number, now);
        self.first.push_back(announced.telling(address));
        self.reschedule(address);
    }

    fn silence(&mut self) {
        self.asked.clear();
        self.frames.clear();
        self.first.clear();
        self.later.clear();
        self.lose_probes();
        for held in self.addresses.values_mut() {
            held.stop_rounds();
        }
        let all: Vec<IpAddr> = self.addresses.keys().copied().collect();
        for address in all {
            self.reschedule(address);
        }
    }

    /// Changes what is held of `address`, and forgets it if that is nothing.
    fn change(&mut self, address: IpAddr, change: impl FnOnce(&mut Held)) {
        let Some(held) = self.addresses.get_mut(&address) else { return };
        change(held);
        self.reschedule(address);
        if self.addresses.get(&address).is_some_and(Held::is_empty) {
            self.addresses.remove(&address);
        }
    }

    fn reschedule(&mut self, address: IpAddr) {
        let Some(held) = self.addresses.get_mut(&address) else { return };
        let wakes = held.wakes();
        self.due.replace(address, held.scheduled, wakes);
        held.scheduled = wakes;
    }
}

/// How many frames of later rounds may leave at once: those of a few addresses, which then keep their times exactly.
const LATER_DEPTH: u32 = 20;
