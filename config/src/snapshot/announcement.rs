//! What should be announced: which addresses, and which nodes may answer for them on which interfaces. Who does is
//! decided by election, between the nodes.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::IpAddr,
    sync::Arc,
};

use crate::{
    allocation::{Port, Purpose},
    model::id::ObjectId,
};

/// How one address should be announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// The nodes that may own the address.
    pub candidates: Candidates,
    /// The address that stands for this one in the election: those that share it have the same owner, as the two families
    /// of one Service must. One that stands for itself alone has itself here.
    pub elected_as: IpAddr,
    /// Who takes what arrives: Postern, if it serves any of those whose address this is.
    pub purpose: Purpose,
    /// Ports of Services that are somebody else's, where Postern serves others at the same address.
    pub foreign_ports: BTreeSet<Port>,
    /// Whose it is.
    pub of: BTreeSet<ObjectId>,
}

/// The nodes that may own an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Candidates {
    /// These, by name.
    Named(BTreeMap<Arc<str>, Candidate>),
    /// Every node of the installation, where nobody has said which there are: from files.
    Everybody(Candidate),
}

/// A node that may own an address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Candidate {
    /// What speaks for it: among those that can own the address, only the heaviest do.
    pub weight: u32,
    /// Where it may announce.
    pub interfaces: Interfaces,
}

/// On which of a node's interfaces an address may be announced. Which of these exist, and reach the address's subnet, is
/// found out on the node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Interfaces {
    /// On any.
    #[default]
    All,
    /// On these, by name.
    Named(BTreeSet<Arc<str>>),
}

impl Candidates {
    /// Whether nobody may own it.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Named(nodes) if nodes.is_empty())
    }

    /// Those of both.
    pub fn merge(&mut self, other: &Self) {
        match (&mut *self, other) {
            (Self::Named(ours), Self::Named(theirs)) => {
                for (node, candidate) in theirs {
                    ours.entry(node.clone())
                        .and_modify(|ours| ours.merge(candidate))
                        .or_insert_with(|| candidate.clone());
                }
            }
            (Self::Everybody(ours), Self::Everybody(theirs)) => ours.merge(theirs),
            (Self::Named(_), Self::Everybody(_)) => *self = other.clone(),
            (Self::Everybody(_), Self::Named(_)) => {}
        }
    }
}

impl Candidate {
    /// As heavy as the heavier, on the interfaces of both.
    pub fn merge(&mut self, other: &Self) {
        self.weight = self.weight.max(other.weight);
        self.interfaces.merge(&other.interfaces);
    }
}

impl Interfaces {
    /// Those of both.
    pub fn merge(&mut self, other: &Self) {
        match (&mut *self, other) {
            (Self::Named(ours), Self::Named(theirs)) => ours.extend(theirs.iter().cloned()),
            _ => *self = Self::All,
        }
    }
}

impl fmt::Display for Announcement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let purpose = match self.purpose {
            Purpose::Served => "served",
            Purpose::Foreign => "foreign",
        };
        write!(f, "{purpose}")?;
        if !self.foreign_ports.is_empty() {
            f.write_str(" but for ")?;
            listed(f, &self.foreign_ports)?;
        }
        write!(f, ", elected as {}, of ", self.elected_as)?;
        listed(f, &self.of)?;
        f.write_str(", by ")?;
        match &self.candidates {
            Candidates::Everybody(candidate) => write!(f, "everybody{candidate}"),
            Candidates::Named(nodes) => listed(f, nodes.iter().map(|(node, candidate)| format!("{node}{candidate}"))),
        }
    }
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.weight > 0 {
            write!(f, " ({})", self.weight)?;
        }
        match &self.interfaces {
            Interfaces::All => Ok(()),
            Interfaces::Named(names) => {
                f.write_str(" on ")?;
                listed(f, names)
            }
        }
    }
}

fn listed<T: fmt::Display>(f: &mut fmt::Formatter<'_>, things: impl IntoIterator<Item = T>) -> fmt::Result {
    things.into_iter().enumerate().try_for_each(|(nth, thing)| {
        let between = if nth == 0 { "" } else { " and " };
        write!(f, "{between}{thing}")
    })
}
