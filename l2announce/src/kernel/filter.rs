//! What nf_tables does for announced addresses: ARP requests for them do not reach the kernel, and traffic to those that
//! Postern serves is not tracked, but for ports there that are somebody else's.
//!
//! The first is a belt beside `arp_ignore` (see `silence`), which others set too. Raw sockets see the requests all the
//! same. The second keeps address translation for *local* addresses (host ports, node ports) away from the traffic, and
//! saves its cost. Where a Service of somebody else has ports at the same address, their traffic is left to connection
//! tracking, without which nobody could translate it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use netlink_packet_netfilter::{
    NetfilterProtoFamily,
    nftables::{HookNumber, InetHookNumber},
};

use super::{
    Error,
    nft::{
        Base, Batch, Chain, Expression, KeyRegister, Nft, Set, Table, accept, drop_packet, is, load, load_transport,
        lookup, notrack, protocol,
    },
};
use crate::announcement::Port;

/// ARP alone.
pub(super) const ARP: Table = Table { family: NetfilterProtoFamily::ARP, name: "postern" };

/// IPv4 and IPv6.
pub(super) const INET: Table = Table { family: NetfilterProtoFamily::Inet, name: "postern" };

const SILENCED: &str = "silenced";
const UNTRACKED: [&str; 2] = ["untracked4", "untracked6"];
const FOREIGN: [&str; 2] = ["foreign4", "foreign6"];

/// `NF_IP_PRI_RAW`: before connection tracking, at -200.
const RAW: i32 = -300;

/// The hooks of the ARP family have numbers of their own.
const NF_ARP_IN: u32 = 0;

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;

// Of nft's data types, for `nft list`.
const TYPE_IPV4: u32 = 7;
const TYPE_IPV6: u32 = 8;
const TYPE_PROTOCOL: u32 = 12;
const TYPE_SERVICE: u32 = 13;

/// What should be in the sets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Filtered {
    /// For these the kernel gets no ARP request; nothing where there is no such table.
    pub(super) silenced: Option<BTreeSet<IpAddr>>,
    /// Traffic of these is not tracked; nothing if that is left out.
    pub(super) untracked: Option<BTreeSet<IpAddr>>,
    /// But that of these ports is.
    pub(super) foreign: BTreeSet<(IpAddr, Port)>,
}

/// The tables as they were left, by us or by a process before.
pub(super) struct Filter {
    /// Whether this process has written the rules itself. Those of another version may say something else.
    written: bool,
}

impl Filter {
    pub(super) fn new() -> Self {
        Self { written: false }
    }

    /// Makes the sets hold what they should in one transaction; without `alone` nothing is taken out of them, but for
    /// what is `refused`.
    pub(super) fn apply(
        &mut self,
        nft: &mut Nft,
        wanted: &Filtered,
        refused: &BTreeSet<IpAddr>,
        alone: bool,
    ) -> Result<(), Error> {
        let doing = "write the sets of announced addresses";
        let contents = contents(wanted);
        let present = present(nft, &contents)?;
        let refused: BTreeSet<Vec<u8>> = refused.iter().copied().map(octets).collect();
        let leaves = |key: &Vec<u8>| alone || refused.contains(key);
        let rewritten = !self.written || present.len() < contents.len();
        match nft.commit(doing, change(&contents, &present, leaves, rewritten)) {
            Err(_) if !self.written => nft.commit(doing, anew(&contents))?,
            other => other?,
        }
        self.written = true;
        if alone && wanted.untracked.is_none() && nft.exists(INET)? {
            delete(nft, INET)?;
        }
        Ok(())
    }
}

/// Every set with the keys that are in it, or should be.
type Contents = BTreeMap<(Which, &'static str), BTreeSet<Vec<u8>>>;

/// What is in the sets; one that is not there is left out.
fn present(nft: &mut Nft, contents: &Contents) -> Result<Contents, Error> {
    let mut present = Contents::new();
    for (table, set) in contents.keys() {
        let elements = nft.elements(table.table(), set)?;
        present.extend(elements.map(|elements| ((*table, *set), elements)));
    }
    Ok(present)
}

/// From what is to what should be; with the rules if they are to be `rewritten`.
fn change(wanted: &Contents, present: &Contents, leaves: impl Fn(&Vec<u8>) -> bool, rewritten: bool) -> Batch {
    let mut batch = Batch::default();
    if rewritten {
        tables(wanted).for_each(|table| table.write(&mut batch));
    }
    let nothing = BTreeSet::new();
    for ((table, set), keys) in wanted {
        let present = present.get(&(*table, *set)).unwrap_or(&nothing);
        batch.insert(table.table(), set, keys.difference(present).cloned().collect(), None);
        batch.remove(table.table(), set, present.difference(keys).filter(|key| leaves(key)).cloned().collect());
    }
    batch
}

/// The tables from nothing: what is there was made by another version, in another shape. One transaction all the same.
fn anew(wanted: &Contents) -> Batch {
    let mut batch = Batch::default();
    for table in tables(wanted) {
        batch.table(table.table());
        batch.delete_table(table.table());
        table.write(&mut batch);
    }
    for ((table, set), keys) in wanted {
        batch.insert(table.table(), set, keys.iter().cloned().collect(), None);
    }
    batch
}

fn tables(contents: &Contents) -> impl Iterator<Item = Which> {
    contents.keys().map(|(table, _)| *table).collect::<BTreeSet<_>>().into_iter()
}

/// Which table, as something that has an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Which {
    Arp,
    Inet,
}

impl Which {
    fn table(self) -> Table {
        match self {
            Self::Arp => ARP,
            Self::Inet => INET,
        }
    }

    /// The table, its sets and chains as this version has them. Sets that are there keep what they hold.
    fn write(self, batch: &mut Batch) {
        match self {
            Self::Arp => write_arp(batch),
            Self::Inet => write_inet(batch),
        }
    }
}

fn contents(wanted: &Filtered) -> Contents {
    let keys = |addresses: &BTreeSet<IpAddr>, is_v4: bool| {
        addresses.iter().filter(|address| address.is_ipv4() == is_v4).copied().map(octets).collect::<BTreeSet<_>>()
    };
    let mut contents = Contents::new();
    contents.extend(wanted.silenced.as_ref().map(|silenced| ((Which::Arp, SILENCED), keys(silenced, true))));
    if let Some(untracked) = &wanted.untracked {
        let [v4, v6] = UNTRACKED;
        contents.insert((Which::Inet, v4), keys(untracked, true));
        contents.insert((Which::Inet, v6), keys(untracked, false));
        for (set, is_v4) in FOREIGN.into_iter().zip([true, false]) {
            let own = wanted.foreign.iter().filter(|(address, _)| address.is_ipv4() == is_v4);
            contents.insert((Which::Inet, set), own.map(|(address, port)| key(*address, *port)).collect());
        }
    }
    contents
}

/// An address and a port as a key: each part fills registers of four bytes.
fn key(address: IpAddr, port: Port) -> Vec<u8> {
    let [high, low] = port.number.to_be_bytes();
    let mut key = octets(address);
    key.extend([port.transport as u8, 0, 0, 0, high, low, 0, 0]);
    key
}

/// An address as a key.
pub(super) fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn addresses(name: &str, is_v4: bool, has_timeouts: bool) -> Set<'_> {
    let (key_type, key_length) = if is_v4 { (TYPE_IPV4, 4) } else { (TYPE_IPV6, 16) };
    Set { name, key_type, key_length, has_timeouts }
}

/// The belt.
pub(super) fn write_arp(batch: &mut Batch) {
    batch.table(ARP);
    batch.set(ARP, &addresses(SILENCED, true, false));
    let input = Chain { name: "input", hook: HookNumber::Other(NF_ARP_IN), priority: 0, link: None };
    batch.chain(ARP, &input, vec![drop_requests()]);
}

/// A request of Ethernet and IPv4 (hardware 1, protocol 0x0800, lengths 6 and 4, operation 1), whose target is the four
/// bytes at 24 (RFC 826).
fn drop_requests() -> Vec<Expression> {
    vec![
        load(Base::Network, 0, 8, KeyRegister::FIRST),
        is(&[0, 1, 8, 0, 6, 4, 0, 1]),
        load(Base::Network, 24, 4, KeyRegister::FIRST),
        lookup(SILENCED),
        drop_packet(),
    ]
}

/// No connection tracking.
pub(super) fn write_inet(batch: &mut Batch) {
    batch.table(INET);
    for (set, is_v4) in UNTRACKED.into_iter().zip([true, false]) {
        batch.set(INET, &addresses(set, is_v4, false));
    }
    for (name, (address, length)) in FOREIGN.into_iter().zip([(TYPE_IPV4, 4), (TYPE_IPV6, 16)]) {
        let key_type = (address << 12) | (TYPE_PROTOCOL << 6) | TYPE_SERVICE;
        batch.set(INET, &Set { name, key_type, key_length: length + 8, has_timeouts: false });
    }
    let chain = |name, hook| Chain { name, hook: HookNumber::Inet(hook), priority: RAW, link: None };
    batch.chain(INET, &chain("prerouting", InetHookNumber::PreRouting), untrack_all(&[Side::Destination]));
    batch.chain(INET, &chain("output", InetHookNumber::LocalOut), untrack_all(&[Side::Destination, Side::Source]));
}

fn untrack_all(sides: &[Side]) -> Vec<Vec<Expression>> {
    let both = |rule: fn(Side, bool) -> Vec<Expression>| {
        sides.iter().flat_map(move |side| [true, false].map(|is_v4| rule(*side, is_v4)))
    };
    both(pass_foreign).chain(both(untrack)).collect()
}

/// Ports of somebody else stay as they are: address, transport and port of the one side, which stand at the same place in
/// TCP, UDP and SCTP.
fn pass_foreign(side: Side, is_v4: bool) -> Vec<Expression> {
    let (registers, port) = (if is_v4 { 1 } else { 4 }, if matches!(side, Side::Source) { 0 } else { 2 });
    let mut expressions = load_address(side, is_v4);
    expressions.extend([
        load_transport(KeyRegister(registers)),
        load(Base::Transport, port, 2, KeyRegister(registers + 1)),
        lookup(of(FOREIGN, is_v4)),
        accept(),
    ]);
    expressions
}

/// Which of a packet's addresses.
#[derive(Clone, Copy)]
enum Side {
    Source,
    Destination,
}

fn load_address(side: Side, is_v4: bool) -> Vec<Expression> {
    let (ether_type, offset, length) = match (is_v4, side) {
        (true, Side::Source) => (ETHERTYPE_IPV4, 12, 4),
        (true, Side::Destination) => (ETHERTYPE_IPV4, 16, 4),
        (false, Side::Source) => (ETHERTYPE_IPV6, 8, 16),
        (false, Side::Destination) => (ETHERTYPE_IPV6, 24, 16),
    };
    let mut expressions = protocol(ether_type, None);
    expressions.push(load(Base::Network, offset, length, KeyRegister::FIRST));
    expressions
}

fn of(sets: [&'static str; 2], is_v4: bool) -> &'static str {
    let [v4, v6] = sets;
    if is_v4 { v4 } else { v6 }
}

fn untrack(side: Side, is_v4: bool) -> Vec<Expression> {
    let mut expressions = load_address(side, is_v4);
    expressions.extend([lookup(of(UNTRACKED, is_v4)), notrack()]);
    expressions
}

/// Deletes one of our tables; it is well if there is none.
pub(super) fn delete(nft: &mut Nft, table: Table) -> Result<(), Error> {
    let mut batch = Batch::default();
    // A table that is made first can be deleted without asking whether it was there.
    batch.table(table);
    batch.delete_table(table);
    nft.commit("delete a table", batch)
}
