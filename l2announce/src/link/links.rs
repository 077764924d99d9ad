//! All links of the node, kept up to date by changes.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use super::{Change, Exclude, Link};
use crate::wire::MacAddr;

/// The links of this node.
#[derive(Clone, Debug, Default)]
pub struct Links {
    exclude: Exclude,
    links: BTreeMap<u32, Known>,
}

#[derive(Clone, Debug)]
struct Known {
    link: Link,
    addresses: BTreeSet<IpNet>,
    /// IPv6 subnets that it lost by being set down. They are still those of its segment, and no other link becomes the
    /// right one for their addresses meanwhile.
    dormant: BTreeSet<IpNet>,
}

impl Links {
    /// None as yet.
    pub fn new(exclude: Exclude) -> Self {
        Self { exclude, links: BTreeMap::new() }
    }

    /// All links, in order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = &Link> {
        self.links.values().map(|known| &known.link)
    }

    /// The link with this number.
    pub fn get(&self, index: u32) -> Option<&Link> {
        self.links.get(&index).map(|known| &known.link)
    }

    /// The stations of this node, on all its links.
    pub fn stations(&self) -> BTreeSet<MacAddr> {
        self.iter().filter_map(Link::mac).collect()
    }

    /// Takes a change in. False if nothing is other than before, as most of what the kernel tells is no news.
    pub fn apply(&mut self, change: Change) -> bool {
        match change {
            Change::Link { index, facts } => self.set_link(index, facts),
            Change::LinkGone(index) => self.links.remove(&index).is_some(),
            Change::Address { index, address } => self.change_addresses(index, |known| {
                known.dormant.remove(&address.trunc());
                known.addresses.insert(address);
            }),
            Change::AddressGone { index, address } => self.change_addresses(index, |known| {
                if known.addresses.remove(&address) && !known.link.facts.is_up && matches!(address, IpNet::V6(_)) {
                    known.dormant.insert(address.trunc());
                }
            }),
        }
    }

    /// Takes in everything that there is, in place of what was known: after messages of the kernel were lost.
    pub fn replace(&mut self, all: impl IntoIterator<Item = Change>) {
        let mut fresh = Self::new(self.exclude.clone());
        for change in all {
            fresh.apply(change);
        }
        for (index, known) in &mut fresh.links {
            if let Some(old) = self.links.get(index).filter(|_| !known.link.facts.is_up) {
                known.dormant.clone_from(&old.dormant);
                known.settle();
            }
        }
        self.links = fresh.links;
    }

    fn set_link(&mut self, index: u32, facts: super::Facts) -> bool {
        let excluded = self.exclude.pattern(&facts.name);
        let Some(known) = self.links.get_mut(&index) else {
            let link = Link { index, facts, subnets: Vec::new(), excluded };
            self.links.insert(index, Known { link, addresses: BTreeSet::new(), dormant: BTreeSet::new() });
            return true;
        };
        let is_news = known.link.facts != facts;
        known.link.facts = facts;
        known.link.excluded = excluded;
        is_news
    }

    fn change_addresses(&mut self, index: u32, change: impl FnOnce(&mut Known)) -> bool {
        let Some(known) = self.links.get_mut(&index) else { return false };
        change(known);
        known.settle()
    }
}

impl Known {
    /// Whether the subnets are others than before.
    fn settle(&mut self) -> bool {
        let is_subnet = |net: &IpNet| net.prefix_len() > 0 && net.prefix_len() < net.max_prefix_len();
        let all: BTreeSet<IpNet> =
            self.addresses.iter().map(IpNet::trunc).chain(self.dormant.iter().copied()).collect();
        let subnets: Vec<IpNet> = all.into_iter().filter(is_subnet).collect();
        let is_news = self.link.subnets != subnets;
        self.link.subnets = subnets;
        is_news
    }
}
