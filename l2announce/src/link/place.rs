//! On which links an address may be announced, and why not on the others.
//!
//! The rule: a link can announce if it is up with a carrier, speaks Ethernet with broadcast and ARP, belongs to no bridge or
//! bond, is not on the list of what never announces, and is named if any are. Of these, an address goes to the links that
//! have a subnet with it in it, the longest prefix first, as packets to it do. If such a link exists but can't announce now or is not named, no other link takes its
//! place: its segment is not theirs. Where no link has a subnet for the address, it goes to all that can announce, which
//! are the named ones if any are named; that is what MetalLB does with every address.

use std::{net::IpAddr, sync::Arc};

use super::{Link, Links};
use crate::announcement::Interfaces;

/// Where an address may be announced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// On these links, in order of their numbers. On none: `refused` says why.
    pub places: Vec<Place>,
    /// Why it may not on each of the others, in order of their names.
    pub refused: Vec<(Arc<str>, Unfit)>,
    /// Whether a link has a subnet with it in it, so that hosts of its segment look for it there.
    pub is_in_subnet: bool,
}

/// One link where an address may be announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The link's number.
    pub index: u32,
    /// The link's name.
    pub name: Arc<str>,
}

/// Why a link may not announce an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It is named and isn't there.
    #[error("there is no such interface on this node: name one that exists, or plug it in")]
    Missing,
    /// It leads nowhere.
    #[error("it is a loopback interface")]
    Loopback,
    /// A tunnel or the like.
    #[error("it has no Ethernet link layer, so ARP and neighbour discovery mean nothing on it")]
    NoEthernet,
    /// It can't send to all.
    #[error("it has no broadcast")]
    NoBroadcast,
    /// It was told so.
    #[error("ARP is switched off on it: `ip link set NAME arp on`")]
    NoArp,
    /// The bridge or bond announces.
    #[error("it belongs to {0}, which can announce in its place")]
    Enslaved(Arc<str>),
    /// It is on the list of what never announces.
    #[error("its name matches `{0}`, one of the patterns of interfaces that never announce")]
    Excluded(Arc<str>),
    /// Others are named.
    #[error("it isn't among the interfaces that the announcement names")]
    NotNamed,
    /// The address is in another link's subnet.
    #[error("the address is in the subnet of {}: hosts there would not hear of it here", .0.join(", "))]
    WrongSubnet(Vec<Arc<str>>),
    /// Somebody set it down.
    #[error("it is set down: `ip link set NAME up`")]
    Down,
    /// The cable, the switch or the radio.
    #[error("it has no carrier: see the cable, the switch or the radio")]
    NoCarrier,
    /// It can't be used for a reason of the process or the kernel.
    #[error("{0}")]
    Unusable(Arc<str>),
    /// The process lacks a capability.
    #[error("{0}")]
    Capability(Arc<str>),
}

impl Links {
    /// Where `address` may be announced when `interfaces` are asked for.
    pub fn place(&self, address: IpAddr, interfaces: &Interfaces) -> Placement {
        let owners = self.owners_of(address);
        let mut placement = Placement { is_in_subnet: !owners.is_empty(), ..Placement::default() };
        for link in self.iter() {
            match self.verdict(link, interfaces, &owners) {
                Ok(()) => placement.places.push(Place { index: link.index, name: Arc::clone(link.name()) }),
                Err(unfit) => placement.refused.push((Arc::clone(link.name()), unfit)),
            }
        }
        placement.refused.extend(self.missing(interfaces));
        placement.refused.sort_by(|one, other| one.0.cmp(&other.0));
        placement
    }

    /// What comes first explains most: a link that could never announce isn't told to be set up.
    fn verdict(&self, link: &Link, interfaces: &Interfaces, owners: &[&Link]) -> Result<(), Unfit> {
        self.able(link)?;
        if let Interfaces::Named(names) = interfaces
            && !names.contains(link.name())
        {
            return Err(Unfit::NotNamed);
        }
        if !owners.is_empty() && owners.iter().all(|owner| owner.index != link.index) {
            return Err(Unfit::WrongSubnet(owners.iter().map(|owner| Arc::clone(owner.name())).collect()));
        }
        match link {
            link if !link.facts.is_up => Err(Unfit::Down),
            link if !link.facts.has_carrier => Err(Unfit::NoCarrier),
            _ => Ok(()),
        }
    }

    /// Whether it can announce when it is up.
    fn able(&self, link: &Link) -> Result<(), Unfit> {
        let facts = &link.facts;
        match &link.excluded {
            _ if facts.is_loopback => Err(Unfit::Loopback),
            Some(pattern) => Err(Unfit::Excluded(Arc::clone(pattern))),
            None if !facts.is_ethernet || facts.mac.is_none() => Err(Unfit::NoEthernet),
            None if !facts.has_broadcast => Err(Unfit::NoBroadcast),
            None if facts.is_no_arp => Err(Unfit::NoArp),
            None => self.enslaved(link).map_or(Ok(()), Err),
        }
    }

    fn enslaved(&self, link: &Link) -> Option<Unfit> {
        let controller = link.facts.controller?;
        match self.get(controller) {
            Some(controller) if controller.facts.is_vrf => None,
            Some(controller) => Some(Unfit::Enslaved(Arc::clone(controller.name()))),
            None => Some(Unfit::Enslaved(Arc::from("another interface"))),
        }
    }

    /// The links on whose subnet the address is; of overlapping subnets the narrowest counts.
    fn owners_of(&self, address: IpAddr) -> Vec<&Link> {
        let able = self.iter().filter(|link| self.able(link).is_ok());
        let matches: Vec<(u8, &Link)> = able.filter_map(|link| Some((longest_prefix(link, address)?, link))).collect();
        let longest = matches.iter().map(|(prefix, _)| *prefix).max();
        matches.into_iter().filter(|(prefix, _)| Some(*prefix) == longest).map(|(_, link)| link).collect()
    }

    fn missing(&self, interfaces: &Interfaces) -> Vec<(Arc<str>, Unfit)> {
        let Interfaces::Named(names) = interfaces else { return Vec::new() };
        let is_there = |name: &Arc<str>| self.iter().any(|link| link.name() == name);
        names.iter().filter(|name| !is_there(name)).map(|name| (Arc::clone(name), Unfit::Missing)).collect()
    }
}

fn longest_prefix(link: &Link, address: IpAddr) -> Option<u8> {
    link.subnets.iter().filter(|subnet| subnet.contains(&address)).map(ipnet::IpNet::prefix_len).max()
}
