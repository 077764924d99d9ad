//! What one node says of the addresses that it may announce, as plain data.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::IpAddr,
    sync::Arc,
};

/// Everything that one node says: of each address that it is a candidate for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// The node's name, as the cluster's.
    pub node: Arc<str>,
    /// By address.
    pub parts: BTreeMap<IpAddr, Part>,
}

/// The accounts of all nodes that are heard, by their names.
pub type Accounts = BTreeMap<Arc<str>, Arc<Account>>;

/// What a node says of one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What it does about it.
    pub role: Role,
    /// Whether one of its interfaces has a subnet with the address in it.
    pub is_in_subnet: bool,
    /// Who else answers for it, and is none of our nodes.
    pub rival: Option<Rival>,
}

/// What a node does about an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// It answers for it.
    Announces {
        /// Of its ownership: who has the higher one came later.
        epoch: u64,
        /// Where.
        interfaces: BTreeSet<Arc<str>>,
    },
    /// It could.
    Stands,
    /// It would, but somebody else answers.
    Blocked,
    /// It cannot.
    Hindered(Cause, Arc<str>),
}

/// By what a node is kept from announcing an address: each has a way out of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// The process lacks a capability.
    Capability,
    /// An interface that is named is not there.
    Missing,
    /// An interface is down, or has no carrier.
    Down,
    /// None of its interfaces may announce it.
    Interface,
    /// Anything else.
    Other,
}

/// Somebody who answers for an address of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rival {
    /// What it answers with.
    pub mac: Mac,
    /// Whether another installation of Postern was heard on the segment meanwhile.
    pub with_installation: bool,
}

/// A hardware address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl Cause {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Capability, Self::Missing, Self::Down, Self::Interface, Self::Other];
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self([a, b, c, d, e, g]) = self;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}
