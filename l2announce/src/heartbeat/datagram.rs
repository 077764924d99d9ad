//! How a heartbeat is written.
//!
//! ```text
//! sealed: boot: u64 | counter: u64 | beat in ms: u16 | readiness: u8 | node: text
//!         | count: u8, MAC: 6 each | generation: u32 | index: u16 | count: u16 | claims
//!         | count: u8, (node: text, boot: u64) each | what later minor versions add
//! ```
//!
//! Numbers are in network order. What stands around it is in `envelope`, with "PSTN" as its magic.

use pnet_base::MacAddr;

use super::{
    content::{Content, Installation, Readiness},
    envelope::{Envelope, LONGEST, Unopened},
    key::{Keys, MOST_TAGS, TAG},
    number::{Reader, write_number, write_text},
    table::{MOST_PORTIONS, Portion, read_claims, write_claims},
};
use crate::NodeName;

/// Of what is written here. Datagrams of another are refused.
pub const VERSION: u8 = 1;

const ENVELOPE: Envelope = Envelope { magic: *b"PSTN", version: VERSION };
const LONGEST_NAME: usize = 253;
const MOST_MACS: usize = 16;
const MOST_OUTDATED: usize = 4;

/// One datagram, as its sender means it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Who sent it.
    pub node: NodeName,
    /// Which start of the sender: a later one has a higher number.
    pub boot: u64,
    /// Grows with each datagram of one boot.
    pub counter: u64,
    /// Time between two heartbeats of the sender, in milliseconds.
    pub beat: u16,
    /// Whether it takes part.
    pub readiness: Readiness,
    /// Hardware addresses that it announces with: first of the link on which it was sent.
    pub macs: Vec<MacAddr>,
    /// What it says of addresses, or a part of that.
    pub portion: Portion,
    /// Nodes that were heard with a lower boot than one that is known of them, and the known one: their clocks went back,
    /// or their heartbeats are replayed.
    pub outdated: Vec<(NodeName, u64)>,
}

/// Why a datagram is not heard.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Somebody else's: no heartbeat at all.
    #[error("no heartbeat")]
    Foreign,
    /// A Postern of another version.
    #[error("heartbeat of version {0}, where {VERSION} is spoken")]
    Version(u8),
    /// Another installation on the same segment.
    #[error("heartbeat of the installation {0}, which is another one")]
    Installation(Installation),
    /// The sender has another key, or it is forged.
    #[error("heartbeat without proof of the cluster key")]
    Key,
    /// Whoever has the key writes what cannot be read.
    #[error("heartbeat that cannot be read: {0}")]
    Malformed(&'static str),
    /// Heard before.
    #[error("heartbeat that was heard before")]
    Replayed,
    /// Of an earlier start of its sender than one that was heard.
    #[error("heartbeat of an earlier start of {0}")]
    Outdated(NodeName),
    /// Our own, as multicast returns it.
    #[error("our own heartbeat")]
    Own,
    /// Another node has our name.
    #[error("another node calls itself {0} as well")]
    SameName(NodeName),
    /// More senders than can be remembered.
    #[error("more senders than {0}")]
    Crowd(usize),
}

impl From<Unopened> for Refusal {
    fn from(unopened: Unopened) -> Self {
        match unopened {
            Unopened::Foreign => Self::Foreign,
            Unopened::Version(version) => Self::Version(version),
            Unopened::Installation(installation) => Self::Installation(installation),
            Unopened::Key => Self::Key,
        }
    }
}

impl Datagram {
    /// How many bytes are left for claims in a datagram of `node`.
    pub(super) fn room(node: &str, macs: usize, keys: &Keys) -> usize {
        let outdated = 1 + MOST_OUTDATED * 40;
        let fixed = Envelope::length(keys.count()) + 8 + 8 + 2 + 1 + 1 + 1 + 8 + 2 * 3;
        let used = fixed + node.len() + 6 * macs.min(MOST_MACS) + outdated;
        LONGEST.saturating_sub(used).max(200)
    }

    /// With the tags of all valid keys.
    pub fn seal(&self, installation: Installation, keys: &Keys) -> Vec<u8> {
        ENVELOPE.seal(installation, keys, |bytes| self.write(bytes))
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.boot.to_be_bytes());
        bytes.extend(self.counter.to_be_bytes());
        bytes.extend(self.beat.to_be_bytes());
        bytes.push(readiness_code(self.readiness));
        write_text(bytes, &self.node);
        write_number(bytes, self.macs.len().min(MOST_MACS) as u128);
        self.macs.iter().take(MOST_MACS).for_each(|mac| bytes.extend(mac.octets()));
        bytes.extend(self.portion.generation.to_be_bytes());
        bytes.extend(self.portion.index.to_be_bytes());
        bytes.extend(self.portion.count.to_be_bytes());
        write_claims(bytes, &self.portion.claims);
        self.write_outdated(bytes);
    }

    /// As many as the datagram has room for.
    fn write_outdated(&self, bytes: &mut Vec<u8>) {
        let room = LONGEST.saturating_sub(bytes.len() + 1 + MOST_TAGS * TAG);
        let mut used = 0;
        let fits = |(node, _): &&(NodeName, u64)| {
            used += node.len() + 9;
            used <= room
        };
        let told: Vec<_> = self.outdated.iter().take(MOST_OUTDATED).take_while(fits).collect();
        write_number(bytes, told.len() as u128);
        for (node, boot) in told {
            write_text(bytes, node);
            bytes.extend(boot.to_be_bytes());
        }
    }

    /// What `bytes` say, if their sender has one of `keys` and is of `installation`.
    pub fn open(bytes: &[u8], installation: Installation, keys: &Keys) -> Result<Self, Refusal> {
        Self::read(ENVELOPE.open(bytes, installation, keys)?)
    }

    /// What stands between the installation and the tags, which must have been verified.
    pub fn read(sealed: &[u8]) -> Result<Self, Refusal> {
        let mut reader = Reader(sealed);
        let short = || Refusal::Malformed("too short");
        let read = &mut reader;
        let boot = read.u64().ok_or_else(short)?;
        let counter = read.u64().ok_or_else(short)?;
        let beat = read.u16().filter(|beat| *beat > 0).ok_or(Refusal::Malformed("no time between heartbeats"))?;
        let readiness = read.byte().and_then(readiness_of).ok_or(Refusal::Malformed("its readiness"))?;
        let node = read_name(read).ok_or(Refusal::Malformed("the name of its node"))?;
        let macs = read_list(read, MOST_MACS, |read| read.array().map(mac)).ok_or(Refusal::Malformed("its MACs"))?;
        let portion = read_portion(read).ok_or(Refusal::Malformed("its claims"))?;
        let outdated = read_list(read, MOST_OUTDATED, |read| Some((read_name(read)?, read.u64()?)));
        let outdated = outdated.ok_or(Refusal::Malformed("outdated nodes"))?;
        Ok(Self { node, boot, counter, beat, readiness, macs, portion, outdated })
    }

    /// What it says but claims, for its sender's content.
    pub(super) fn of(content: &Content, node: &NodeName, macs: &[MacAddr]) -> Self {
        Self {
            node: node.clone(),
            boot: 0,
            counter: 0,
            beat: u16::try_from(content.beat.as_millis()).unwrap_or(u16::MAX).max(1),
            readiness: content.readiness,
            macs: macs.to_vec(),
            portion: Portion::default(),
            outdated: Vec::new(),
        }
    }
}

fn read_name(reader: &mut Reader<'_>) -> Option<NodeName> {
    reader.text().filter(|name| (1..=LONGEST_NAME).contains(&name.len())).map(NodeName::from)
}

fn read_list<T>(reader: &mut Reader<'_>, most: usize, read: impl Fn(&mut Reader<'_>) -> Option<T>) -> Option<Vec<T>> {
    let count = usize::from(reader.byte()?);
    if count > most {
        return None;
    }
    (0..count).map(|_| read(reader)).collect()
}

fn read_portion(reader: &mut Reader<'_>) -> Option<Portion> {
    let (generation, index, count) = (reader.u32()?, reader.u16()?, reader.u16()?);
    if index >= count || usize::from(count) > MOST_PORTIONS {
        return None;
    }
    Some(Portion { generation, index, count, claims: read_claims(reader)? })
}

fn mac(bytes: [u8; 6]) -> MacAddr {
    bytes.into()
}

const fn readiness_code(readiness: Readiness) -> u8 {
    match readiness {
        Readiness::Ready => 0,
        Readiness::Draining => 1,
        Readiness::Excluded => 2,
        Readiness::Leaving => 3,
    }
}

const fn readiness_of(code: u8) -> Option<Readiness> {
    match code {
        0 => Some(Readiness::Ready),
        1 => Some(Readiness::Draining),
        2 => Some(Readiness::Excluded),
        3 => Some(Readiness::Leaving),
        _ => None,
    }
}
