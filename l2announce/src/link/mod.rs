//! The links of this node and where an address may be announced on them. What the kernel says of its links is followed by
//! events ([`Watch`]); what follows from it is decided without any I/O ([`Links`], [`Links::place`]).

mod change;
mod exclude;
mod links;
mod place;
#[cfg(test)]
mod tests;
mod watch;

use std::sync::Arc;

use ipnet::IpNet;

pub use self::{
    change::{Change, Facts},
    exclude::{Exclude, ExcludeError},
    links::Links,
    place::{Place, Placement, Unfit},
    watch::{Watch, WatchError},
};
use crate::wire::MacAddr;

/// One link of this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The kernel's number for it; another one when it is made anew, whatever its name.
    pub index: u32,
    /// What the kernel says of it.
    pub facts: Facts,
    /// The subnets of its addresses, in order of their prefixes; not those of one address alone (/32, /128).
    pub subnets: Vec<IpNet>,
    /// Whether it is matched by the list of what never announces, and by which pattern.
    excluded: Option<Arc<str>>,
}

impl Link {
    /// Whether frames can be sent and received: set up, and with a carrier.
    pub fn is_up(&self) -> bool {
        self.facts.is_up && self.facts.has_carrier
    }

    /// Its station, unless it has none.
    pub fn mac(&self) -> Option<MacAddr> {
        self.facts.mac
    }

    /// Its name.
    pub fn name(&self) -> &Arc<str> {
        &self.facts.name
    }
}
