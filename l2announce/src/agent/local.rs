//! What this node can do, as election wants to know it, out of what links, kernel and data plane say.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use super::{Wishes, ears::Ears, ground::Ground};
use crate::{
    NodeName, Purpose,
    election::{Hindrance, Local},
    heartbeat::{LinkId, Readiness},
    link::{Link, Links, Placement, Unfit},
};

/// What is known of this node.
pub(super) struct Known<'a> {
    pub(super) node: &'a NodeName,
    pub(super) wishes: &'a Wishes,
    pub(super) placements: &'a BTreeMap<IpAddr, Placement>,
    pub(super) links: &'a Links,
    pub(super) ears: &'a Ears,
    pub(super) ground: &'a Ground,
    /// Why served addresses are not served.
    pub(super) unserved: Option<&'a Arc<str>>,
    pub(super) readiness: Readiness,
    /// Whether the gateway answers, if it was asked.
    pub(super) gateway_answers: Option<bool>,
    /// Whether there is a key, so that other nodes can be heard.
    pub(super) has_key: bool,
}

impl Known<'_> {
    pub(super) fn local(&self) -> Local {
        let own = self.wishes.iter().filter(|(_, wish)| wish.candidate(self.node).is_some());
        let addresses: BTreeMap<_, _> =
            own.map(|(address, wish)| (*address, self.reach(*address, wish.purpose))).collect();
        let used: BTreeSet<LinkId> = addresses.values().flatten().flatten().copied().collect();
        let links = used.into_iter().filter_map(|index| Some((index, self.links.get(index).and_then(Link::mac)?)));
        Local { links: links.collect(), addresses, readiness: self.readiness, gateway_answers: self.gateway_answers }
    }

    fn reach(&self, address: IpAddr, purpose: Purpose) -> Result<BTreeSet<LinkId>, Hindrance> {
        let wish = self.wishes.get(&address);
        let is_shared = wish.is_some_and(|wish| wish.is_shared(false));
        // Two nodes that cannot hear each other would both answer.
        if is_shared && !self.has_key {
            return Err(Hindrance::Other(
                "other nodes may own it too, and there is no key to speak to them with".into(),
            ));
        }
        self.ground.verdict(address)?;
        if let Some(why) = self.unserved.filter(|_| purpose == Purpose::Served) {
            return Err(Hindrance::Other(format!("what arrives is not served: {why}").into()));
        }
        let placement = self.placements.get(&address).ok_or(Hindrance::Unknown)?;
        let places = placement.places.iter().filter(|place| self.ground.covers(&place.name));
        let heard: BTreeSet<LinkId> = places.map(|place| place.index).filter(|link| self.ears.is_open(*link)).collect();
        if heard.is_empty() { Err(self.nowhere(placement)) } else { Ok(heard) }
    }

    fn nowhere(&self, placement: &Placement) -> Hindrance {
        let named = |is: fn(&Unfit) -> bool| placement.refused.iter().any(|(_, unfit)| is(unfit));
        let deaf = placement.places.iter().filter_map(|place| self.ears.trouble(place.index).map(str::to_owned));
        let unfit = placement.refused.iter().map(|(name, why)| format!("{name}: {why}"));
        let all: Vec<String> = deaf.chain(unfit).collect();
        let said: Arc<str> = all.join("; ").into();
        match () {
            () if all.is_empty() => Hindrance::Unknown,
            () if named(|unfit| matches!(unfit, Unfit::Capability(_))) => Hindrance::Capability(said),
            () if !placement.places.is_empty() => Hindrance::Other(said),
            () if named(|unfit| matches!(unfit, Unfit::Missing)) => Hindrance::Missing(said),
            () if named(|unfit| matches!(unfit, Unfit::Down | Unfit::NoCarrier)) => Hindrance::Down(said),
            () => Hindrance::Interface(said),
        }
    }
}
