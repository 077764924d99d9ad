//! What should be told → datagrams, for each link its own.
//!
//! A table that takes more than one datagram is told entirely after each change, at three heartbeats in a row, and when
//! somebody new is heard; otherwise one portion is told at each heartbeat, in turn. So a beat costs one datagram, however
//! many addresses there are.

use std::sync::Arc;

use pnet_base::MacAddr;

use super::{
    content::{Claims, Content, Installation},
    datagram::Datagram,
    key::Keys,
    table::{Portion, portions},
};
use crate::NodeName;

/// Heartbeats at which everything is told, after a change.
const REPEATS: u32 = 3;
/// Heartbeats at which a node is told that it is taken for an earlier start of itself.
const REMINDERS: u32 = 4;

/// Who speaks.
#[derive(Clone, Debug)]
pub struct Speaker {
    /// The name that all nodes know this one by.
    pub node: NodeName,
    /// Among whom.
    pub installation: Installation,
    /// Which start this is. Must be higher at each: milliseconds since 1970, or one more than the last if that is kept and
    /// higher. Where neither holds (a clock that went back), peers say so, and a higher one is taken.
    pub boot: u64,
}

/// Makes datagrams.
#[derive(Debug)]
pub struct Outbox {
    speaker: Speaker,
    keys: Keys,
    counter: u64,
    generation: u32,
    claims: Arc<Claims>,
    portions: Vec<Claims>,
    /// Heartbeats to come at which everything is told.
    entirely: u32,
    turn: usize,
    outdated: Vec<(NodeName, u64, u32)>,
}

impl Outbox {
    /// Of `speaker`, which proves by `keys` who it is.
    pub fn new(speaker: Speaker, keys: Keys) -> Self {
        let claims = Arc::new(Claims::new());
        Self {
            speaker,
            keys,
            counter: 0,
            generation: 0,
            claims,
            portions: vec![Claims::new()],
            entirely: REPEATS,
            turn: 0,
            outdated: Vec::new(),
        }
    }

    /// Which start this is, as it is told.
    pub const fn boot(&self) -> u64 {
        self.speaker.boot
    }

    /// Other keys are valid from now on.
    pub fn rekey(&mut self, keys: Keys) {
        self.keys = keys;
        self.cut();
    }

    /// Somebody is there who has not heard anything yet: the next heartbeat tells everything.
    pub fn greet(&mut self) {
        self.entirely = self.entirely.max(1);
    }

    /// `node` was heard with a lower boot than `known`: tells it so.
    pub fn remind(&mut self, node: NodeName, known: u64) {
        self.outdated.retain(|(other, ..)| *other != node);
        self.outdated.push((node, known, REMINDERS));
    }

    /// Peers take this node for an earlier start of itself, since they know it by `known`.
    pub fn outdated(&mut self, known: u64) {
        if known >= self.speaker.boot && known < u64::MAX {
            self.speaker.boot = known + 1;
            self.entirely = REPEATS;
        }
    }

    /// The datagrams of one heartbeat, for each of `links` by the MACs that this node announces with: that of the link
    /// first.
    pub fn beat(&mut self, content: &Content, links: &[Vec<MacAddr>]) -> Vec<Vec<Vec<u8>>> {
        if self.claims != content.claims {
            self.claims = content.claims.clone();
            self.generation = self.generation.wrapping_add(1);
            self.cut();
        }
        let told = self.told();
        let datagrams =
            links.iter().map(|macs| told.iter().map(|index| self.datagram(content, macs, *index)).collect());
        let datagrams = datagrams.collect();
        self.outdated.retain_mut(|(.., left)| {
            *left = left.saturating_sub(1);
            *left > 0
        });
        datagrams
    }

    /// Cuts the table into portions that fit whatever a datagram has beside them.
    fn cut(&mut self) {
        self.portions = portions(&self.claims, Datagram::room(&self.speaker.node, usize::MAX, &self.keys));
        self.entirely = REPEATS;
        self.turn = 0;
    }

    fn told(&mut self) -> Vec<usize> {
        if self.entirely > 0 {
            self.entirely -= 1;
            return (0..self.portions.len()).collect();
        }
        self.turn = (self.turn + 1) % self.portions.len();
        vec![self.turn]
    }

    fn datagram(&mut self, content: &Content, macs: &[MacAddr], index: usize) -> Vec<u8> {
        self.counter += 1;
        let mut datagram = Datagram::of(content, &self.speaker.node, macs);
        datagram.boot = self.speaker.boot;
        datagram.counter = self.counter;
        datagram.portion = Portion {
            generation: self.generation,
            index: u16::try_from(index).unwrap_or(u16::MAX),
            count: u16::try_from(self.portions.len()).unwrap_or(u16::MAX),
            claims: self.portions.get(index).cloned().unwrap_or_default(),
        };
        datagram.outdated = self.outdated.iter().map(|(node, boot, _)| (node.clone(), *boot)).collect();
        datagram.seal(self.speaker.installation, &self.keys)
    }
}
