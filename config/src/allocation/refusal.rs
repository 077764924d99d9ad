//! Why a claim is not given addresses, or not the ones that it had.

use std::{fmt, net::IpAddr, sync::Arc};

use super::{Counts, Families, Family, Port};
use crate::model::id::ObjectId;

/// Named by what stands against the claim. The way out depends on how claims and pools are written, and is added there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no pool at all.
    NoPools,
    /// There is none of the name that is asked for.
    UnknownPool(Arc<str>),
    /// No pool gives out addresses to those who name none.
    NoneOpen,
    /// No one pool has all of these addresses.
    Outside(Vec<IpAddr>),
    /// The pool does not let it in.
    NotAdmitted(Arc<str>),
    /// The addresses that are asked for are of another pool than the one that is.
    OtherPool {
        /// The pool that is asked for.
        asked: Arc<str>,
        /// The one that has the addresses.
        has: Arc<str>,
    },
    /// The addresses are not of the families that are wanted.
    OtherFamilies(Vec<IpAddr>, Families),
    /// Others are asked for than those on record.
    OthersAsked(Vec<IpAddr>),
    /// Somebody has the address, and it cannot be shared.
    Taken {
        /// Which.
        address: IpAddr,
        /// Who has it.
        by: ObjectId,
        /// Why both cannot.
        why: Clash,
    },
    /// The pools that might have served it have nothing left.
    Exhausted(Vec<Usage>),
    /// Nobody would remember which of the addresses of these pools it has.
    Unpinned(Vec<Arc<str>>),
}

/// How much of a pool is in use, of the families that a claim wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// The pool.
    pub pool: Arc<str>,
    /// Per family that is wanted.
    pub counts: Vec<(Family, Counts)>,
}

/// Why two claims cannot share an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Clash {
    /// One of them does not want to.
    NotShared,
    /// They name different keys.
    OtherKey,
    /// They lead to different places, and not from every node.
    OtherBackend,
    /// Both want this port.
    SamePort(Port),
}

impl Refusal {
    /// A machine-readable word for it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::NoPools | Self::NoneOpen => "no-pool",
            Self::UnknownPool(_) => "unknown-pool",
            Self::Outside(_) => "outside",
            Self::NotAdmitted(_) => "not-admitted",
            Self::OtherPool { .. } => "other-pool",
            Self::OtherFamilies(..) => "other-families",
            Self::OthersAsked(_) => "others-asked",
            Self::Taken { .. } => "taken",
            Self::Exhausted(_) => "exhausted",
            Self::Unpinned(_) => "unpinned",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPools => f.write_str("there is no pool of addresses"),
            Self::UnknownPool(pool) => write!(f, "there is no pool {pool}"),
            Self::NoneOpen => f.write_str("no pool gives it an address by itself"),
            Self::Outside(addresses) => write!(f, "no one pool has {}", listed(addresses)),
            Self::NotAdmitted(pool) => write!(f, "pool {pool} is reserved and does not let it in"),
            Self::OtherPool { asked, has } => write!(f, "pool {asked} is asked for, and the addresses are of {has}"),
            Self::OtherFamilies(addresses, families) => {
                write!(f, "{} is not {families}, as is wanted", listed(addresses))
            }
            Self::OthersAsked(addresses) => write!(f, "{} is asked for now", listed(addresses)),
            Self::Taken { address, by, why } => write!(f, "{by} has {address}: {why}"),
            Self::Unpinned(pools) => {
                write!(f, "pool {} has several addresses, and nobody keeps a record of who has which", pools.join(", "))
            }
            Self::Exhausted(usages) => usages.iter().enumerate().try_for_each(|(nth, usage)| {
                let between = if nth == 0 { "" } else { ", " };
                write!(f, "{between}{usage}")
            }),
        }
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pool {}: ", self.pool)?;
        for (nth, (family, Counts { assigned, total })) in self.counts.iter().enumerate() {
            let between = if nth == 0 { "" } else { " and " };
            match total {
                0 => write!(f, "{between}has no {family} addresses")?,
                _ => write!(f, "{between}{assigned} of {total} {family} addresses are in use")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Clash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotShared => f.write_str("not both allow sharing"),
            Self::OtherKey => f.write_str("their sharing keys differ"),
            Self::OtherBackend => f.write_str("they lead to different endpoints, each on its own nodes"),
            Self::SamePort(port) => write!(f, "both want port {port}"),
        }
    }
}

impl fmt::Display for Families {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(family) => write!(f, "one {family} address"),
            Self::Both(_) => f.write_str("one IPv4 and one IPv6 address"),
            Self::Prefer(_) => f.write_str("at most one IPv4 and one IPv6 address"),
        }
    }
}

fn listed(addresses: &[IpAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
