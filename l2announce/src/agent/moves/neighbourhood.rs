//! Who could have flows of an address, and where packets reach them.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use crate::{Moment, NodeName, heartbeat::LinkId, link::Placement, wire::MacAddr};

/// When and how a node was last heard on a link.
#[derive(Clone, Copy, Debug)]
pub(in crate::agent) struct Spoken {
    /// Its hardware address there.
    pub(in crate::agent) mac: MacAddr,
    /// When.
    pub(in crate::agent) at: Moment,
    /// How long it may be silent.
    pub(in crate::agent) timeout: Duration,
}

impl Spoken {
    fn until(&self) -> Moment {
        self.at + self.timeout
    }
}

/// A link, and a node's hardware address there.
pub(super) type At = (Arc<str>, MacAddr);

/// All that is known of other nodes' places.
#[derive(Clone, Copy, Debug)]
pub(in crate::agent) struct Neighbourhood<'a> {
    pub(in crate::agent) placements: &'a BTreeMap<IpAddr, Placement>,
    pub(in crate::agent) spoken: &'a BTreeMap<(NodeName, LinkId), Spoken>,
}

/// One node that is asked.
#[derive(Debug, Default)]
pub(super) struct Neighbour {
    /// On one of these links.
    pub(super) links: BTreeSet<LinkId>,
    /// Where its packets are sent on to it.
    pub(super) places: BTreeSet<At>,
    /// For these addresses.
    pub(super) addresses: BTreeSet<IpAddr>,
}

impl Neighbourhood<'_> {
    /// Every node that is heard on a link that one of the addresses is on.
    pub(super) fn of(&self, now: Moment, addresses: &BTreeSet<IpAddr>) -> BTreeMap<NodeName, Neighbour> {
        let mut all = BTreeMap::<NodeName, Neighbour>::new();
        for ((node, link), spoken) in self.spoken.iter().filter(|(_, spoken)| spoken.until() > now) {
            for address in addresses {
                let places = self.placements.get(address).map(|placement| placement.places.as_slice());
                let Some(place) = places.unwrap_or_default().iter().find(|place| place.index == *link) else {
                    continue;
                };
                let neighbour = all.entry(node.clone()).or_default();
                neighbour.links.insert(*link);
                neighbour.places.insert((place.name.clone(), spoken.mac));
                neighbour.addresses.insert(*address);
            }
        }
        all
    }

    /// Until when a node may be silent; nothing if it was never heard.
    pub(super) fn heard_until(&self, node: &NodeName) -> Option<Moment> {
        self.spoken.iter().filter(|((other, _), _)| other == node).map(|(_, spoken)| spoken.until()).max()
    }
}
