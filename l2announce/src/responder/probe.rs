//! Asking whether anybody has an address, before it is announced.

use std::{net::IpAddr, time::Duration};

use crate::{
    moment::Moment,
    wire::{Arp, MacAddr, Solicitation},
};

/// What a probe found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nobody answered.
    Free,
    /// A station has it.
    Taken {
        /// Which station.
        mac: MacAddr,
    },
    /// A station asks for it because it wants it (before the first use of an address only).
    Wanted {
        /// Which station.
        mac: MacAddr,
    },
    /// The link is down, or went down before the end; or answers were lost because the process did not run.
    Undecided,
}

/// When a probe asks, and when silence is enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeSchedule {
    /// When it asks, after it began.
    asks: [Duration; 3],
    /// When it ends, after it began.
    ends: Duration,
    /// Whether a station that probes for the same address is told of.
    yields_to_probes: bool,
}

impl ProbeSchedule {
    /// For the first use of an address (RFC 5227, 2.1.1): 4 to 7 s. Takes three random numbers of at least 0 and below
    /// 1: the wait before the first question (up to 1 s) and the two pauses between questions (1 to 2 s). Another
    /// station that probes at the same time ends it.
    pub fn full(random: [f64; 3]) -> Self {
        Self::of_unit(Duration::from_secs(1), random)
    }

    /// The same on a wire, where every station that is there answers within milliseconds: all times a fifth, 0.8 to 1.4 s
    /// together (RFC 5227, 2.2, foresees shorter ones for such links; systemd and NetworkManager take 0.2 s for all).
    pub fn wired(random: [f64; 3]) -> Self {
        Self::of_unit(Duration::from_millis(200), random)
    }

    /// `PROBE_WAIT` and `PROBE_MIN` are one unit each, `PROBE_MAX` and `ANNOUNCE_WAIT` two.
    fn of_unit(unit: Duration, random: [f64; 3]) -> Self {
        let [wait, second, third] = random.map(|random| unit.mul_f64(random.clamp(0.0, 1.0)));
        let asks = [wait, wait + unit + second, wait + unit + second + unit + third];
        Self { asks, ends: asks[2] + unit * 2, yields_to_probes: true }
    }

    /// For a take-over of an address that was ours to begin with: 3 questions, 20 ms apart (RFC 5227, 2.2, allows less
    /// on fast links). A station that merely asks too is another candidate, and doesn't have it.
    pub const fn short() -> Self {
        let pause = 20;
        let asks = [Duration::ZERO, Duration::from_millis(pause), Duration::from_millis(2 * pause)];
        Self { asks, ends: Duration::from_millis(3 * pause), yields_to_probes: false }
    }
}

/// A probe under way.
#[derive(Debug)]
pub(super) struct Probing {
    schedule: ProbeSchedule,
    began: Moment,
    asked: usize,
}

/// What a probe does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Ask,
    Free,
}

impl Probing {
    pub(super) fn new(schedule: ProbeSchedule, now: Moment) -> Self {
        Self { schedule, began: now, asked: 0 }
    }

    pub(super) fn yields_to_probes(&self) -> bool {
        self.schedule.yields_to_probes
    }

    pub(super) fn wakes(&self) -> Option<Moment> {
        Some(self.began + self.schedule.asks.get(self.asked).copied().unwrap_or(self.schedule.ends))
    }

    /// What is due by now. A question that is late moves the end, so that each gets its time to be answered.
    pub(super) fn step(&mut self, now: Moment) -> Option<Step> {
        let due = self.wakes().filter(|due| *due <= now)?;
        if self.asked == self.schedule.asks.len() {
            return Some(Step::Free);
        }
        self.began = self.began + now.since(due);
        self.asked += 1;
        Some(Step::Ask)
    }
}

/// The question.
pub(super) fn question(mac: MacAddr, address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => Arp::probe(mac, address).encode(),
        IpAddr::V6(address) => Solicitation::probe(mac, address).encode(),
    }
}
