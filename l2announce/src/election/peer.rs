//! What is known of another node, by its heartbeats alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use pnet_base::MacAddr;

use super::profile::{Hearing, Profile};
use crate::{
    Moment, NodeName,
    heartbeat::{Claim, Claims, Heard, LinkId, Readiness},
};

/// Another node.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) boot: u64,
    pub(super) readiness: Readiness,
    pub(super) beat: Duration,
    pub(super) macs: BTreeSet<MacAddr>,
    pub(super) claims: Arc<Claims>,
    hearings: BTreeMap<LinkId, Hearing>,
    last: Moment,
}

/// All other nodes that were heard.
pub(super) type Peers = BTreeMap<NodeName, Peer>;

impl Peer {
    pub(super) fn new(now: Moment, heard: &Heard) -> Self {
        Self {
            boot: heard.boot,
            readiness: heard.readiness,
            beat: heard.beat,
            macs: BTreeSet::new(),
            claims: Arc::default(),
            hearings: BTreeMap::new(),
            last: now,
        }
    }

    /// Whether anything but the time differs from what was known.
    pub(super) fn hear(&mut self, now: Moment, heard: &Heard, profile: &Profile) -> bool {
        let is_restarted = heard.boot != self.boot;
        if is_restarted {
            *self = Self::new(now, heard);
        }
        let returns = !self.is_heard(None, now, profile);
        self.hear_on(now, heard, profile);
        let readiness = std::mem::replace(&mut self.readiness, heard.readiness);
        self.beat = heard.beat;
        self.macs.extend(&heard.macs);
        self.last = now;
        let claims = heard.claims.clone().unwrap_or_else(|| self.claims.clone());
        let claims_differ = !Arc::ptr_eq(&claims, &self.claims) && claims != self.claims;
        self.claims = claims;
        is_restarted || returns || claims_differ || readiness != heard.readiness
    }

    fn hear_on(&mut self, now: Moment, heard: &Heard, profile: &Profile) {
        match self.hearings.get_mut(&heard.link) {
            Some(hearing) => hearing.hear(now, profile, heard.beat),
            None => drop(self.hearings.insert(heard.link, Hearing::new(now, heard.beat))),
        }
    }

    /// What was heard is too old to count.
    pub(super) fn forget_hearing(&mut self) {
        self.hearings.clear();
    }

    /// When it was last heard, on any link.
    pub(super) const fn last(&self) -> Moment {
        self.last
    }

    /// Whether it is heard on one of `links`, or on any.
    pub(super) fn is_heard(&self, links: Option<&BTreeSet<LinkId>>, now: Moment, profile: &Profile) -> bool {
        self.hearings_on(links).any(|hearing| now.since(hearing.last()) < hearing.timeout(profile, self.beat))
    }

    /// From when on it will have been heard on one of `links` for `time` without a break.
    pub(super) fn steady_at(&self, links: Option<&BTreeSet<LinkId>>, time: Duration) -> Option<Moment> {
        self.hearings_on(links).map(|hearing| hearing.since() + time).min()
    }

    /// When it will have been silent for too long on one of the links that it is heard on now.
    pub(super) fn expires(&self, now: Moment, profile: &Profile) -> Option<Moment> {
        let expiries = self.hearings.values().map(|hearing| hearing.last() + hearing.timeout(profile, self.beat));
        expiries.filter(|expiry| *expiry > now).min()
    }

    fn hearings_on(&self, links: Option<&BTreeSet<LinkId>>) -> impl Iterator<Item = &Hearing> {
        let wanted = move |link: &LinkId| links.is_none_or(|links| links.contains(link));
        self.hearings.iter().filter(move |(link, _)| wanted(link)).map(|(_, hearing)| hearing)
    }

    /// Whether it says that it could own `address`.
    pub(super) fn is_able(&self, address: IpAddr) -> bool {
        self.claims.get(&address).is_some_and(|claimed| claimed.claim != Claim::Released)
    }
}

/// Which peer announces with `mac`.
pub(super) fn of_mac(peers: &Peers, mac: MacAddr) -> Option<&NodeName> {
    peers.iter().find(|(_, peer)| peer.macs.contains(&mac)).map(|(node, _)| node)
}
