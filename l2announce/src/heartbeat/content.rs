//! What heartbeats speak of.

use std::{collections::BTreeMap, fmt, net::IpAddr, sync::Arc, time::Duration};

use aws_lc_rs::digest::{SHA256, digest};

/// A link of this node by the kernel's number for it. Means nothing on other nodes.
pub type LinkId = u32;

/// All nodes that share addresses. Two installations on one segment must not take each other's heartbeats for their own,
/// and should notice each other: this is readable without the key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Installation([u8; Self::LENGTH]);

impl Installation {
    /// In bytes.
    pub const LENGTH: usize = 16;

    /// The one that `name` stands for, which may be any text that no other installation has.
    pub fn named(name: &str) -> Self {
        let digest = digest(&SHA256, name.as_bytes());
        let mut bytes = [0; Self::LENGTH];
        bytes.iter_mut().zip(digest.as_ref()).for_each(|(byte, digest)| *byte = *digest);
        Self(bytes)
    }

    /// As it is written in a datagram.
    pub const fn from_bytes(bytes: [u8; Self::LENGTH]) -> Self {
        Self(bytes)
    }

    /// As it is written in a datagram.
    pub const fn bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }
}

impl fmt::Display for Installation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Installation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Installation({self})")
    }
}

/// What one node tells, on all links alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// Whether it takes part.
    pub readiness: Readiness,
    /// Time between two of its heartbeats; whole milliseconds are told, up to 65 s.
    pub beat: Duration,
    /// What it says of each address.
    pub claims: Arc<Claims>,
}

/// What a node says of the addresses that it has to do with. One that is not here it cannot announce.
pub type Claims = BTreeMap<IpAddr, Claimed>;

/// What a node says of one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// What it says.
    pub claim: Claim,
    /// Of its own ownership; for [`Claim::Able`] the highest that it has heard of. 0 where nobody ever owned it.
    pub epoch: u64,
}

/// What a node says of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Claim {
    /// It would announce it at once.
    Able,
    /// It answers for it, and goes on.
    Owned,
    /// It answers for it until somebody else does.
    Offered,
    /// It answered for it a moment ago, and does no longer: somebody else should.
    Released,
    /// It answered for it a moment ago, and does no longer, since somebody else does. It would again.
    Yielded,
}

impl Claim {
    /// Whether the node answers for the address.
    pub const fn answers(self) -> bool {
        matches!(self, Self::Owned | Self::Offered)
    }

    /// Whether the node answered for the address a moment ago.
    pub const fn is_given_up(self) -> bool {
        matches!(self, Self::Released | Self::Yielded)
    }
}

/// Whether a node takes part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Readiness {
    /// It does.
    #[default]
    Ready,
    /// It gives away what it owns, by an operator's command.
    Draining,
    /// It gives away what it owns, because somebody says that no outside traffic should arrive there.
    Excluded,
    /// It gives away what it owns and ends.
    Leaving,
}
