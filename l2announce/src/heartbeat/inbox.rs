//! Datagrams → what was said by whom, each thing once and never going back.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use pnet_base::MacAddr;

use super::{
    content::{Claims, Installation, LinkId, Readiness},
    datagram::{Datagram, Refusal},
    key::Keys,
    table::Assembly,
    window::{Order, Window},
};
use crate::{Moment, NodeName};

/// Most senders that are remembered.
const MOST_SENDERS: usize = 512;
/// A sender that has been silent for so long makes room for another.
const SILENT: Duration = Duration::from_secs(600);

/// One heartbeat of another node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Where it arrived.
    pub link: LinkId,
    /// Who sent it.
    pub node: NodeName,
    /// Which start of the sender.
    pub boot: u64,
    /// Whether the sender takes part.
    pub readiness: Readiness,
    /// Time between two of its heartbeats.
    pub beat: Duration,
    /// Hardware addresses that it announces with.
    pub macs: Vec<MacAddr>,
    /// What it says of all addresses; nothing until everything that it says has arrived once.
    pub claims: Option<Arc<Claims>>,
    /// This start of the sender has not been heard before.
    pub is_new: bool,
    /// The sender knows this node by this boot, which is not an earlier one than ours.
    pub knows_us_as: Option<u64>,
}

/// How many datagrams were refused, by reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusals {
    /// Were no heartbeats.
    pub foreign: u64,
    /// Of other versions.
    pub version: u64,
    /// Of other installations.
    pub installation: u64,
    /// Without proof of the key.
    pub key: u64,
    /// Could not be read.
    pub malformed: u64,
    /// Heard before, or of an earlier start.
    pub replayed: u64,
    /// Of a node with our name.
    pub same_name: u64,
    /// Of more senders than are remembered.
    pub crowd: u64,
    /// Our own, which is nothing bad.
    pub own: u64,
    /// Other installations that were heard, by when they were last.
    pub installations: BTreeMap<Installation, Moment>,
    /// When one was heard last that says it is of ours and has another key.
    pub other_key: Option<Moment>,
}

#[derive(Debug, Default)]
struct Sender {
    boot: u64,
    heard: Moment,
    windows: HashMap<LinkId, Window>,
    table: Assembly,
}

/// Judges what arrives.
#[derive(Debug)]
pub struct Inbox {
    node: NodeName,
    installation: Installation,
    keys: Keys,
    senders: HashMap<NodeName, Sender>,
    refusals: Refusals,
}

impl Inbox {
    /// Of the node of that name.
    pub fn new(node: NodeName, installation: Installation, keys: Keys) -> Self {
        Self { node, installation, keys, senders: HashMap::new(), refusals: Refusals::default() }
    }

    /// Other keys are valid from now on.
    pub fn rekey(&mut self, keys: Keys) {
        self.keys = keys;
    }

    /// What was refused up to now.
    pub const fn refusals(&self) -> &Refusals {
        &self.refusals
    }

    /// The boot that `node` is known by.
    pub fn boot_of(&self, node: &str) -> Option<u64> {
        self.senders.get(node).map(|sender| sender.boot)
    }

    /// Hears `bytes` that arrived at `now` on `link`, where this node's start is `own_boot`. Nothing comes of those that
    /// were overtaken by a later one but what they say of addresses.
    pub fn hear(&mut self, now: Moment, link: LinkId, bytes: &[u8], own_boot: u64) -> Result<Option<Heard>, Refusal> {
        let heard = Datagram::open(bytes, self.installation, &self.keys);
        let heard = heard.and_then(|datagram| self.judge(now, link, datagram, own_boot));
        heard.inspect_err(|refusal| self.refusals.count(now, refusal))
    }

    fn judge(&mut self, now: Moment, link: LinkId, said: Datagram, own_boot: u64) -> Result<Option<Heard>, Refusal> {
        if said.node == self.node {
            return Err(if said.boot == own_boot { Refusal::Own } else { Refusal::SameName(said.node) });
        }
        let knows_us_as = said.outdated.iter().find(|(node, _)| *node == self.node).map(|(_, boot)| *boot);
        self.make_room(now, &said.node)?;
        let sender = self.senders.entry(said.node.clone()).or_default();
        let is_new = sender.windows.is_empty() || said.boot > sender.boot;
        if said.boot < sender.boot {
            return Err(Refusal::Outdated(said.node));
        }
        if is_new {
            *sender = Sender { boot: said.boot, ..Sender::default() };
        }
        let order = sender.windows.entry(link).or_default().hear(said.counter);
        if order == Order::Again {
            return Err(Refusal::Replayed);
        }
        sender.heard = now;
        sender.table.add(said.portion);
        let heard = Heard {
            link,
            node: said.node,
            boot: said.boot,
            readiness: said.readiness,
            beat: Duration::from_millis(said.beat.into()),
            macs: said.macs,
            claims: sender.table.claims().cloned(),
            is_new,
            knows_us_as: knows_us_as.filter(|boot| *boot >= own_boot),
        };
        Ok((order == Order::Newest).then_some(heard))
    }

    fn make_room(&mut self, now: Moment, node: &NodeName) -> Result<(), Refusal> {
        if self.senders.len() >= MOST_SENDERS && !self.senders.contains_key(node) {
            self.senders.retain(|_, sender| now.since(sender.heard) < SILENT);
        }
        let is_full = self.senders.len() >= MOST_SENDERS && !self.senders.contains_key(node);
        if is_full { Err(Refusal::Crowd(MOST_SENDERS)) } else { Ok(()) }
    }
}

impl Refusals {
    const MOST_INSTALLATIONS: usize = 16;

    fn count(&mut self, now: Moment, refusal: &Refusal) {
        let counter = match refusal {
            Refusal::Foreign => &mut self.foreign,
            Refusal::Version(_) => &mut self.version,
            Refusal::Installation(_) => &mut self.installation,
            Refusal::Key => &mut self.key,
            Refusal::Malformed(_) => &mut self.malformed,
            Refusal::Replayed | Refusal::Outdated(_) => &mut self.replayed,
            Refusal::SameName(_) => &mut self.same_name,
            Refusal::Crowd(_) => &mut self.crowd,
            Refusal::Own => &mut self.own,
        };
        *counter = counter.saturating_add(1);
        match refusal {
            Refusal::Installation(installation) => self.note_installation(now, *installation),
            Refusal::Key => self.other_key = Some(now),
            _ => {}
        }
    }

    /// Whoever has no key can invent any number of them.
    fn note_installation(&mut self, now: Moment, installation: Installation) {
        let is_known = self.installations.contains_key(&installation);
        if is_known || self.installations.len() < Self::MOST_INSTALLATIONS {
            self.installations.insert(installation, now);
        }
    }
}
