//! How questions and answers are written.
//!
//! ```text
//! sealed: kind: u8 | from: text | to: text | boot: u64 | counter: u64 | first: u16 | count: u16 | question or answer
//! question (kind 1): count: u8, address each
//! answer (kind 2):   count: u8, (address | count: u16, (client | client's port: u16 | port: u16) each) each
//! address: 4 or 6: u8 | 4 or 16 bytes; a client is of the same family, and written without the first byte
//! ```
//!
//! A question names the portions that it wants, an answer its own and how many there are. Numbers are in network order. What stands
//! around it is that of heartbeats, with "PSTF" as its magic.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::{
    NodeName,
    heartbeat::{
        Installation, Keys, LONGEST,
        envelope::{Envelope, Unopened},
        key::MOST_TAGS,
        number::{Reader, write_text},
    },
    kernel::Flow,
};

/// Of what is written here. Datagrams of another are not understood, and so not answered.
pub const VERSION: u8 = 1;

const ENVELOPE: Envelope = Envelope { magic: *b"PSTF", version: VERSION };
const QUESTION: u8 = 1;
const ANSWER: u8 = 2;
const V4: u8 = 4;
const V6: u8 = 6;

/// Which question of which start of the node that asks: both grow, so that none is answered twice as if it were new.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Session {
    /// Which start of the node.
    pub boot: u64,
    /// Which question of that start.
    pub counter: u64,
}

/// Which flows does a node have at these addresses?
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Who asks.
    pub from: NodeName,
    /// Who is asked.
    pub to: NodeName,
    /// The same as long as it is the same question, whatever portion is wanted.
    pub session: Session,
    /// The first portion that is wanted, from 0.
    pub first: u16,
    /// How many are.
    pub count: u16,
    /// At most [`super::MOST_ADDRESSES`].
    pub addresses: Vec<IpAddr>,
}

/// One portion of what a node has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Who tells.
    pub from: NodeName,
    /// Who has asked.
    pub to: NodeName,
    /// Of the question.
    pub session: Session,
    /// Which portion it is, from 0.
    pub index: u16,
    /// How many there are, at least 1.
    pub count: u16,
    /// Those of one address stand together.
    pub flows: Vec<Flow>,
}

/// What a datagram says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// It asks.
    Question(Question),
    /// It tells.
    Answer(Answer),
}

/// Why a datagram is not listened to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is about no flows, of another version or of another installation.
    #[error("it is not of this version and installation")]
    Foreign,
    /// The sender has another key, or it is forged.
    #[error("it has no proof of the cluster key")]
    Key,
    /// Whoever has the key writes what cannot be read.
    #[error("it cannot be read: {0}")]
    Malformed(&'static str),
}

/// Whether the bytes are about flows, and no heartbeat.
pub fn is_ours(bytes: &[u8]) -> bool {
    bytes.starts_with(&ENVELOPE.magic)
}

impl Message {
    /// With the tags of all valid keys.
    pub fn seal(&self, installation: Installation, keys: &Keys) -> Vec<u8> {
        ENVELOPE.seal(installation, keys, |bytes| self.write(bytes))
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        let (kind, from, to, session, first, count) = match self {
            Self::Question(said) => (QUESTION, &said.from, &said.to, said.session, said.first, said.count),
            Self::Answer(said) => (ANSWER, &said.from, &said.to, said.session, said.index, said.count),
        };
        bytes.push(kind);
        write_text(bytes, from);
        write_text(bytes, to);
        bytes.extend(session.boot.to_be_bytes());
        bytes.extend(session.counter.to_be_bytes());
        bytes.extend(first.to_be_bytes());
        bytes.extend(count.to_be_bytes());
        match self {
            Self::Question(question) => write_addresses(bytes, &question.addresses),
            Self::Answer(answer) => write_flows(bytes, &answer.flows),
        }
    }

    /// What `bytes` say, if their sender has one of `keys` and is of `installation`.
    pub fn open(bytes: &[u8], installation: Installation, keys: &Keys) -> Result<Self, Refusal> {
        let sealed = ENVELOPE.open(bytes, installation, keys).map_err(|unopened| match unopened {
            Unopened::Foreign | Unopened::Version(_) | Unopened::Installation(_) => Refusal::Foreign,
            Unopened::Key => Refusal::Key,
        })?;
        Self::read(sealed)
    }

    /// What stands between the installation and the tags, which must have been verified.
    pub fn read(sealed: &[u8]) -> Result<Self, Refusal> {
        if sealed.len() > LONGEST {
            return Err(Refusal::Malformed("too long"));
        }
        read(&mut Reader(sealed))
    }
}

fn read(reader: &mut Reader<'_>) -> Result<Message, Refusal> {
    let short = || Refusal::Malformed("too short");
    let kind = reader.byte().ok_or_else(short)?;
    let name = |reader: &mut Reader<'_>| reader.text().filter(|name| !name.is_empty()).map(NodeName::from);
    let from = name(reader).ok_or(Refusal::Malformed("who sends it"))?;
    let to = name(reader).ok_or(Refusal::Malformed("whom it is for"))?;
    let session = Session { boot: reader.u64().ok_or_else(short)?, counter: reader.u64().ok_or_else(short)? };
    let first = reader.u16().ok_or_else(short)?;
    let count = reader.u16().ok_or_else(short)?;
    match kind {
        QUESTION => {
            let addresses = read_addresses(reader).ok_or(Refusal::Malformed("addresses"))?;
            Ok(Message::Question(Question { from, to, session, first, count, addresses }))
        }
        ANSWER if first < count => {
            let flows = read_flows(reader).ok_or(Refusal::Malformed("flows"))?;
            Ok(Message::Answer(Answer { from, to, session, index: first, count, flows }))
        }
        ANSWER => Err(Refusal::Malformed("a portion beyond the last")),
        _ => Err(Refusal::Malformed("neither question nor answer")),
    }
}

fn write_addresses(bytes: &mut Vec<u8>, addresses: &[IpAddr]) {
    let told = addresses.get(..super::MOST_ADDRESSES).unwrap_or(addresses);
    bytes.push(u8::try_from(told.len()).expect("there are fewer"));
    told.iter().for_each(|address| write_address(bytes, *address));
}

fn write_address(bytes: &mut Vec<u8>, address: IpAddr) {
    bytes.push(if address.is_ipv4() { V4 } else { V6 });
    write_octets(bytes, address);
}

fn write_octets(bytes: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => bytes.extend(address.octets()),
        IpAddr::V6(address) => bytes.extend(address.octets()),
    }
}

fn read_addresses(reader: &mut Reader<'_>) -> Option<Vec<IpAddr>> {
    let count = reader.byte().map(usize::from).filter(|count| *count <= super::MOST_ADDRESSES)?;
    (0..count).map(|_| read_address(reader)).collect()
}

fn read_address(reader: &mut Reader<'_>) -> Option<IpAddr> {
    match reader.byte()? {
        V4 => read_octets(reader, true),
        V6 => read_octets(reader, false),
        _ => None,
    }
}

fn read_octets(reader: &mut Reader<'_>, is_v4: bool) -> Option<IpAddr> {
    match is_v4 {
        true => reader.array::<4>().map(|octets| Ipv4Addr::from(octets).into()),
        false => reader.array::<16>().map(|octets| Ipv6Addr::from(octets).into()),
    }
}

fn of_one_address(flows: &[Flow]) -> impl Iterator<Item = &[Flow]> {
    flows.chunk_by(|one, next| one.local().ip() == next.local().ip())
}

fn write_flows(bytes: &mut Vec<u8>, flows: &[Flow]) {
    bytes.push(u8::try_from(of_one_address(flows).count()).expect("a portion has no more"));
    for flows in of_one_address(flows) {
        flows.first().iter().for_each(|first| write_address(bytes, first.local().ip()));
        bytes.extend(u16::try_from(flows.len()).expect("a portion has no more").to_be_bytes());
        for flow in flows {
            write_octets(bytes, flow.client().ip());
            bytes.extend(flow.client().port().to_be_bytes());
            bytes.extend(flow.local().port().to_be_bytes());
        }
    }
}

fn read_flows(reader: &mut Reader<'_>) -> Option<Vec<Flow>> {
    let mut flows = Vec::new();
    for _ in 0..reader.byte()? {
        let address = read_address(reader)?;
        for _ in 0..reader.u16()? {
            let client = read_octets(reader, address.is_ipv4())?;
            let client = SocketAddr::new(client, reader.u16()?);
            flows.push(Flow::new(client, SocketAddr::new(address, reader.u16()?))?);
        }
    }
    Some(flows)
}

/// Cuts `flows` into portions, each of which fits into a datagram from a node with the one name to one with the other.
pub(super) fn portions(mut flows: Vec<Flow>, from: &str, to: &str) -> Vec<Vec<Flow>> {
    flows.sort_unstable_by_key(|flow| (flow.local().ip(), *flow));
    let fixed = Envelope::length(MOST_TAGS) + 1 + 2 + from.len() + to.len() + 16 + 4 + 1;
    let room = LONGEST.saturating_sub(fixed);
    let mut all = vec![Vec::new()];
    let (mut used, mut groups, mut before) = (0, 0, None);
    for flow in flows {
        let length = if flow.local().is_ipv4() { 4 } else { 16 };
        let is_other = before != Some(flow.local().ip());
        let mut next = length + 4 + if is_other { length + 3 } else { 0 };
        groups += usize::from(is_other);
        if used + next > room || groups > usize::from(u8::MAX) {
            all.push(Vec::new());
            (used, groups, next) = (0, 1, 2 * length + 7);
        }
        used += next;
        before = Some(flow.local().ip());
        all.last_mut().expect("there is one from the start").push(flow);
    }
    all
}
