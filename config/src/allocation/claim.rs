//! Claims: who wants addresses, and how they may be shared.

use std::{collections::BTreeSet, fmt, net::IpAddr, sync::Arc};

use crate::model::id::ObjectId;

/// The two kinds of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// That of `address`.
    pub fn of(address: IpAddr) -> Self {
        if address.to_canonical().is_ipv4() { Self::V4 } else { Self::V6 }
    }

    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Self::V4 => Self::V6,
            Self::V6 => Self::V4,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// Which families a claim wants an address of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Families {
    /// This one.
    One(Family),
    /// Both, this one first.
    Both(Family),
    /// Both if they can be had, else one, preferably this one.
    Prefer(Family),
}

/// What addresses a claim asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// These and no others; empty: any.
    pub addresses: Vec<IpAddr>,
    /// Of this pool; `None`: of any that gives them out by itself.
    pub pool: Option<Arc<str>>,
}

/// Who takes what arrives at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// Postern, on every node.
    Served,
    /// Somebody else, such as kube-proxy.
    Foreign,
}

/// A port at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port {
    /// Its transport.
    pub transport: Transport,
    /// Its number.
    pub number: u16,
}

/// What carries a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "their names say all")]
pub enum Transport {
    Tcp,
    Udp,
    Sctp,
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let transport = match self.transport {
            Transport::Tcp => "TCP",
            Transport::Udp => "UDP",
            Transport::Sctp => "SCTP",
        };
        write!(f, "{transport}/{}", self.number)
    }
}

/// Whom an address may be shared with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sharing {
    /// Claims with the same key may share, if the rest allows it; `None`: nobody may.
    pub key: Option<Arc<str>>,
    /// Where it leads: only claims that lead to the same may share. Empty where every node leads everywhere.
    pub backend: Arc<str>,
}

/// Somebody who wants addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Who.
    pub of: ObjectId,
    /// Since when: of two that want the same, the older one has it.
    pub created: Option<jiff::Timestamp>,
    /// What it asks for.
    pub wish: Wish,
    /// Of which families.
    pub families: Families,
    /// Who takes what arrives.
    pub purpose: Purpose,
    /// Ports that it needs at its addresses.
    pub ports: BTreeSet<Port>,
    /// Whom it shares with.
    pub sharing: Sharing,
    /// The names of pools with restrictions that let it in.
    pub admitted_to: BTreeSet<Arc<str>>,
    /// The addresses that it was given, as they are on record; they are kept while nothing speaks against it.
    pub recorded: Vec<IpAddr>,
    /// Whether what it is given is put on record. Otherwise it gets nothing but what it names, and what is alone in its
    /// pool: anything else might be another's tomorrow.
    pub is_recorded: bool,
}

impl Claim {
    /// Who stands first among claims on one thing.
    pub(super) fn standing(&self) -> impl Ord + '_ {
        (self.created.is_none(), self.created, &self.of.namespace, &self.of.name, &self.of.kind)
    }
}
