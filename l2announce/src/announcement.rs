//! What should be announced, as whoever runs the announcing says it: which addresses, and which nodes may answer for them
//! on which interfaces. Who does is decided by election, and not here.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

/// The name of a node, the same in the eyes of all nodes.
pub type NodeName = Arc<str>;

/// Everything that should be announced. All nodes of an installation are told the same, sooner or later.
pub type Announcements = BTreeMap<IpAddr, Announcement>;

/// How one address should be announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// The nodes that may own the address. One that is not here never does.
    pub candidates: BTreeMap<NodeName, Candidate>,
    /// The address that stands for this one in the election: addresses that share it have the same owner, as the two
    /// families of one Service must. An address that stands for itself alone has itself here.
    pub elected_as: IpAddr,
    /// Who takes what arrives at the address.
    pub purpose: Purpose,
}

/// One node that may own an address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Candidate {
    /// What speaks for this node: among those that can own the address, only the heaviest do. 0 where nobody prefers any.
    pub weight: u32,
    /// Where it may announce.
    pub interfaces: Interfaces,
}

/// On which of a node's interfaces an address may be announced. Which of these reach the address's subnet is found out
/// on the node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Interfaces {
    /// On any that can announce at all.
    #[default]
    All,
    /// On these alone, by their names.
    Named(BTreeSet<Arc<str>>),
}

/// A port at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port {
    /// What carries it.
    pub transport: Transport,
    /// Its number.
    pub number: u16,
}

/// What carries a port, by its number in IP (IANA's protocol numbers).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "their names say all")]
#[repr(u8)]
pub enum Transport {
    Tcp = 6,
    Udp = 17,
    Sctp = 132,
}

/// Who takes what arrives at an announced address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Postern, on every candidate: the address is local there.
    Served,
    /// Somebody else on the node, such as kube-proxy: the address is announced and nothing more.
    Foreign,
}
