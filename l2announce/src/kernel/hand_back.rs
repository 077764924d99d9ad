//! Flows that go on at the node that had the address before: after a planned move their packets are sent on to the old
//! owner, on layer 2 and untouched but for the two MAC addresses. docs/design/0005-flow-hand-back.md says why.
//!
//! Each old owner on each link has a chain and two sets. Elements end by themselves, and empty ones are tidied away; what
//! a process has left behind goes the same way.

use std::{collections::BTreeSet, io, net::IpAddr, net::SocketAddr, sync::Arc, time::Duration};

use netlink_packet_netfilter::{
    NetfilterProtoFamily,
    nftables::{HookNumber, InetHookNumber},
};

use super::{
    Error, Flow,
    filter::{self, octets},
    nft::{
        Base, Batch, Chain, Expression, KeyRegister, Nft, Set, Table, drop_packet, forward_to, is, is_not, load,
        lookup, masked, protocol, write,
    },
    silence::Link,
};
use crate::wire::MacAddr;

/// Sees what comes in by one link.
pub(super) const TABLE: Table = Table { family: NetfilterProtoFamily::NetDev, name: "postern" };

/// Sees what this node sends.
pub(super) const RESETS: Table = Table { family: NetfilterProtoFamily::Inet, name: "postern_moves" };

/// To how many nodes flows are handed back at a time: each is one rule more that packets of the link pass.
pub const MAX_OLD_OWNERS: usize = 16;

/// Flows in one transaction: the kernel takes no more than its send buffer at once, 208 KiB by default.
const FLOWS: usize = 2_000;

/// The one hook of the family that sees what comes in.
const NF_NETDEV_INGRESS: u32 = 0;

/// Before other rules at the ingress: they would judge packets of this node, and these are not.
const FIRST: i32 = -300;

/// `NF_IP_PRI_RAW`.
const RAW: i32 = -300;

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const TCP: u8 = 6;
/// Where TCP has its flags, and which is RST (RFC 9293 section 3.1).
const TCP_FLAGS: u32 = 13;
const RST: u8 = 0x04;

// Of nft's data types, for `nft list`.
const TYPE_IPV4: u32 = 7;
const TYPE_IPV6: u32 = 8;
const TYPE_SERVICE: u32 = 13;

const HELD: [&str; 2] = ["resets_held4", "resets_held6"];

/// Chain and sets of one old owner on one link.
struct Names {
    chain: String,
    v4: String,
    v6: String,
}

impl Names {
    fn new(link: u32, old_owner: MacAddr) -> Self {
        let mac: String = old_owner.octets().iter().map(|byte| format!("{byte:02x}")).collect();
        Self::of(&format!("{link}_{mac}"))
    }

    fn of(whom: &str) -> Self {
        Self { chain: format!("back_{whom}"), v4: format!("flows4_{whom}"), v6: format!("flows6_{whom}") }
    }

    fn of_flow(&self, flow: &Flow) -> &str {
        if flow.client().is_ipv4() { &self.v4 } else { &self.v6 }
    }

    fn sets(&self) -> [&str; 2] {
        [&self.v4, &self.v6]
    }
}

/// Every old owner that has sets.
fn all(nft: &mut Nft) -> Result<Vec<Names>, Error> {
    let sets = nft.sets(TABLE)?;
    Ok(sets.iter().filter_map(|name| name.strip_prefix("flows4_")).map(Names::of).collect())
}

/// Adds `flows` to those that are handed back to `old_owner` by `link`. When it returns, they are.
pub(super) fn add(
    nft: &mut Nft,
    name: &Arc<str>,
    link: &Link,
    old_owner: MacAddr,
    flows: impl Iterator<Item = Flow>,
    lasts: Duration,
) -> Result<usize, Error> {
    let doing = "hand flows back";
    let own = link.mac.ok_or_else(|| Error::NoMac(name.clone()))?;
    if own == old_owner {
        return Err(Error::Itself(name.clone()));
    }
    let names = Names::new(link.index, old_owner);
    let known = all(nft)?;
    if known.len() >= MAX_OLD_OWNERS && known.iter().all(|other| other.chain != names.chain) {
        return Err(Error::TooManyOwners(MAX_OLD_OWNERS));
    }
    let mut batch = Batch::default();
    write_owner(&mut batch, &names, name, link.index, own, old_owner);
    let mut flows = flows.peekable();
    let mut count = 0;
    loop {
        let part: Vec<Flow> = flows.by_ref().take(FLOWS).collect();
        count += part.len();
        for set in names.sets() {
            let keys = part.iter().filter(|flow| names.of_flow(flow) == set).map(key).collect();
            batch.insert(TABLE, set, keys, Some(lasts));
        }
        nft.commit(doing, batch)?;
        if flows.peek().is_none() {
            return Ok(count);
        }
        batch = Batch::default();
    }
}

/// Takes `flows` out again, those that have ended by themselves among them.
pub(super) fn remove(
    nft: &mut Nft,
    link: u32,
    old_owner: MacAddr,
    flows: impl Iterator<Item = Flow>,
) -> Result<(), Error> {
    let wanted = Names::new(link, old_owner);
    let Some(names) = all(nft)?.into_iter().find(|names| names.chain == wanted.chain) else { return Ok(()) };
    let mut flows = flows.peekable();
    while flows.peek().is_some() {
        let part: Vec<Flow> = flows.by_ref().take(FLOWS / 2).collect();
        let mut batch = Batch::default();
        for set in names.sets() {
            let keys: BTreeSet<Vec<u8>> = part.iter().filter(|flow| names.of_flow(flow) == set).map(key).collect();
            let keys: Vec<Vec<u8>> = keys.into_iter().collect();
            // To remove what is not there fails, and to look first would cost seconds: what is put in is there.
            batch.insert(TABLE, set, keys.clone(), Some(Duration::from_secs(60)));
            batch.remove(TABLE, set, keys);
        }
        nft.commit("end the handing back of flows", batch)?;
    }
    Ok(())
}

/// Ends the handing back to one old owner.
pub(super) fn clear(nft: &mut Nft, link: u32, old_owner: MacAddr) -> Result<(), Error> {
    let wanted = Names::new(link, old_owner);
    match all(nft)?.into_iter().find(|names| names.chain == wanted.chain) {
        Some(names) => delete(nft, &names),
        None => Ok(()),
    }
}

/// Removes what hands nothing back any more.
pub(super) fn tidy(nft: &mut Nft) -> Result<(), Error> {
    for names in all(nft)? {
        let mut is_empty = true;
        for set in names.sets() {
            is_empty &= nft.is_empty(TABLE, set)?;
        }
        if is_empty {
            delete(nft, &names)?;
        }
    }
    tidy_resets(nft)
}

/// A chain goes with its link; then only the sets are left.
fn delete(nft: &mut Nft, names: &Names) -> Result<(), Error> {
    let batch = |has_chain: bool| {
        let mut batch = Batch::default();
        if has_chain {
            batch.delete_chain(TABLE, &names.chain);
        }
        names.sets().into_iter().for_each(|set| batch.delete_set(TABLE, set));
        batch
    };
    let doing = "end the handing back of flows";
    match nft.commit(doing, batch(true)) {
        Err(Error::Refused { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            nft.commit(doing, batch(false))
        }
        other => other,
    }
}

/// Chain and sets for an old owner that does not exist, on a link that always does.
pub(super) fn write_trial(batch: &mut Batch) {
    let nobody = MacAddr::zero();
    write_owner(batch, &Names::new(1, nobody), "lo", 1, nobody, nobody);
}

fn write_owner(batch: &mut Batch, names: &Names, link: &str, index: u32, own: MacAddr, old_owner: MacAddr) {
    batch.table(TABLE);
    for (name, address, length) in [(&names.v4, TYPE_IPV4, 4), (&names.v6, TYPE_IPV6, 16)] {
        let key_type = [address, TYPE_SERVICE, address, TYPE_SERVICE].into_iter().fold(0, |all, part| all << 6 | part);
        batch.set(TABLE, &Set { name, key_type, key_length: 2 * (length + 4), has_timeouts: true });
    }
    let hook = HookNumber::Other(NF_NETDEV_INGRESS);
    let chain = Chain { name: &names.chain, hook, priority: FIRST, link: Some(link) };
    let rules = [true, false].map(|is_v4| send_back(names, is_v4, index, own, old_owner));
    batch.chain(TABLE, &chain, rules.into());
}

/// `… ether saddr != OLD ip saddr . tcp sport . ip daddr . tcp dport @flows ether daddr set OLD ether saddr set OWN fwd to LINK`
fn send_back(names: &Names, is_v4: bool, link: u32, own: MacAddr, old_owner: MacAddr) -> Vec<Expression> {
    let (ether_type, source, destination, length, set) = match is_v4 {
        true => (ETHERTYPE_IPV4, 12, 16, 4, &names.v4),
        false => (ETHERTYPE_IPV6, 8, 24, 16, &names.v6),
    };
    let words = length / 4;
    let mut expressions = protocol(ether_type, Some(TCP));
    expressions.extend([
        // Two nodes that took each other for the owner of a flow would send its packets back and forth for ever.
        load(Base::Link, 6, 6, KeyRegister::FIRST),
        is_not(&old_owner.octets()),
        load(Base::Network, source, length, KeyRegister(0)),
        load(Base::Transport, 0, 2, KeyRegister(words)),
        load(Base::Network, destination, length, KeyRegister(words + 1)),
        load(Base::Transport, 2, 2, KeyRegister(2 * words + 1)),
        lookup(set),
    ]);
    // Destination and source stand side by side at the start of an Ethernet header.
    expressions.extend(write(Base::Link, 0, &[old_owner.octets(), own.octets()].concat()));
    expressions.extend(forward_to(link));
    expressions
}

/// As the registers hold it: every part begins at a register, and a port fills half of one.
fn key(flow: &Flow) -> Vec<u8> {
    let part = |socket: SocketAddr| {
        let mut part = octets(socket.ip());
        part.extend(socket.port().to_be_bytes());
        part.extend([0; 2]);
        part
    };
    [part(flow.client()), part(flow.local())].concat()
}

/// Keeps the kernel from resetting connections of `addresses` that it does not know, for a time.
pub(super) fn hold_resets(nft: &mut Nft, addresses: &BTreeSet<IpAddr>, lasts: Duration) -> Result<(), Error> {
    let mut batch = Batch::default();
    batch.table(RESETS);
    for (name, is_v4) in HELD.into_iter().zip([true, false]) {
        let (key_type, key_length) = if is_v4 { (TYPE_IPV4, 4) } else { (TYPE_IPV6, 16) };
        batch.set(RESETS, &Set { name, key_type, key_length, has_timeouts: true });
    }
    let hook = HookNumber::Inet(InetHookNumber::LocalOut);
    let chain = Chain { name: "output", hook, priority: RAW, link: None };
    batch.chain(RESETS, &chain, vec![drop_resets(true), drop_resets(false)]);
    for (name, is_v4) in HELD.into_iter().zip([true, false]) {
        let keys = addresses.iter().filter(|address| address.is_ipv4() == is_v4).copied().map(octets).collect();
        batch.insert(RESETS, name, keys, Some(lasts));
    }
    nft.commit("hold resets", batch)
}

fn drop_resets(is_v4: bool) -> Vec<Expression> {
    let [v4, v6] = HELD;
    let (ether_type, source, length, set) =
        if is_v4 { (ETHERTYPE_IPV4, 12, 4, v4) } else { (ETHERTYPE_IPV6, 8, 16, v6) };
    let mut expressions = protocol(ether_type, Some(TCP));
    expressions.extend([
        load(Base::Network, source, length, KeyRegister::FIRST),
        lookup(set),
        load(Base::Transport, TCP_FLAGS, 1, KeyRegister::FIRST),
        masked(&[RST]),
        is(&[RST]),
        drop_packet(),
    ]);
    expressions
}

/// Removes the table of [`hold_resets`] once nothing is held.
fn tidy_resets(nft: &mut Nft) -> Result<(), Error> {
    if !nft.exists(RESETS)? {
        return Ok(());
    }
    for set in HELD {
        if !nft.is_empty(RESETS, set)? {
            return Ok(());
        }
    }
    filter::delete(nft, RESETS)
}
