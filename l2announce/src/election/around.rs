//! What a decision is made upon, beside the group that it is about, and what comes of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use pnet_base::MacAddr;

use super::{
    group::Group,
    local::Local,
    order::Order,
    peer::Peers,
    profile::Profile,
    rank::{Class, Standing, insistence},
    view::WhyNot,
};
use crate::{
    Moment, NodeName,
    heartbeat::{LinkId, Readiness},
};

/// What is known at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Around<'a> {
    pub(super) now: Moment,
    pub(super) node: &'a NodeName,
    pub(super) profile: &'a Profile,
    pub(super) peers: &'a Peers,
    pub(super) local: &'a Local,
    /// Since when each link has been listened on.
    pub(super) links: &'a BTreeMap<LinkId, Moment>,
    pub(super) is_stopped: bool,
}

/// What should be done.
#[derive(Debug)]
pub(super) struct Agenda {
    pub(super) orders: Vec<Order>,
    /// Decide again then, at the latest.
    pub(super) wake: Moment,
    /// No address is given away out of mere preference before.
    pub(super) next_move: Moment,
    /// The balance should be restored.
    pub(super) is_rebalancing: bool,
    /// Something is out of balance still.
    pub(super) is_unbalanced: bool,
}

/// Another node that answers for a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rival {
    /// Of two owners the one with the greater stays: epoch, then hash.
    pub(super) strength: (u64, u128),
    pub(super) node: NodeName,
    pub(super) offers: bool,
}

impl Agenda {
    pub(super) fn wake_at(&mut self, moment: Moment) {
        self.wake = self.wake.min(moment);
    }

    pub(super) fn order(&mut self, order: Order) {
        self.orders.push(order);
    }
}

impl Around<'_> {
    /// No other node is heard, and the gateway isn't either.
    pub(super) fn is_isolated(&self) -> bool {
        let is_heard = self.peers.values().any(|peer| peer.is_heard(None, self.now, self.profile));
        !is_heard && self.local.gateway_answers == Some(false)
    }

    /// All others have fallen silent, some of them not for long enough to count as lost, and the gateway has not answered
    /// since. It is too early to tell who was cut off.
    pub(super) fn is_unsure(&self) -> bool {
        self.local.gateway_answers == Some(false)
    }

    pub(super) fn mac_of(&self, node: &str) -> Option<MacAddr> {
        self.peers.get(node).and_then(|peer| peer.macs.iter().next().copied())
    }
}

impl Group {
    /// Links on which one of the addresses can be announced from here; nothing where none can.
    pub(super) fn links(&self, around: &Around<'_>) -> Option<BTreeSet<LinkId>> {
        let reached = self.members.keys().filter_map(|address| around.local.reach(*address).ok());
        let links: BTreeSet<LinkId> = reached.flatten().copied().collect();
        Some(links).filter(|links| !links.is_empty())
    }

    /// The strongest of the other nodes that are heard and answer for one of the addresses.
    pub(super) fn strongest(&self, around: &Around<'_>) -> Option<Rival> {
        let links = self.links(around);
        let mut strongest: Option<Rival> = None;
        for (node, peer) in around.peers {
            if !peer.is_heard(links.as_ref(), around.now, around.profile) {
                continue;
            }
            let claimed = self.members.keys().filter_map(|address| peer.claims.get(address));
            let answered: Vec<_> = claimed.filter(|claimed| claimed.claim.answers()).collect();
            let Some(epoch) = answered.iter().map(|claimed| claimed.epoch).max() else { continue };
            let offers = answered.iter().all(|claimed| claimed.claim == crate::heartbeat::Claim::Offered);
            let rival = Rival { strength: (epoch, insistence(node)), node: node.clone(), offers };
            if strongest.as_ref().is_none_or(|strongest| strongest.strength < rival.strength) {
                strongest = Some(rival);
            }
        }
        strongest
    }

    /// How this node stands, or why it could not own the group.
    pub(super) fn own_standing(&mut self, around: &Around<'_>) -> Result<Standing, WhyNot> {
        if !self.has_candidate(around.node) {
            return Err(WhyNot::NoCandidate);
        }
        self.able_readiness(around)?;
        let able = self.able(around);
        let class = self.class(around.node, |address| able.contains(&address));
        if class.covered == 0 {
            return Err(WhyNot::Hindered(self.hindrance(around)));
        }
        self.listened(around)?;
        Ok(Standing { class, score: self.score(around.node) })
    }

    fn able_readiness(&self, around: &Around<'_>) -> Result<(), WhyNot> {
        if around.is_stopped {
            return Err(WhyNot::Readiness(Readiness::Leaving));
        }
        if around.local.readiness != Readiness::Ready {
            return Err(WhyNot::Readiness(around.local.readiness));
        }
        self.fitness(around)
    }

    /// Why this node must not answer for addresses at the moment.
    pub(super) fn fitness(&self, around: &Around<'_>) -> Result<(), WhyNot> {
        if self.has_rivals(around.node) && around.is_isolated() {
            return Err(WhyNot::Isolated);
        }
        Ok(())
    }

    /// The addresses that this node may and can announce.
    pub(super) fn able(&self, around: &Around<'_>) -> BTreeSet<IpAddr> {
        let own = self.members.iter().filter(|(_, candidates)| candidates.contains_key(around.node));
        own.map(|(address, _)| *address).filter(|address| around.local.reach(*address).is_ok()).collect()
    }

    fn hindrance(&self, around: &Around<'_>) -> super::local::Hindrance {
        let mut reasons = self.members.keys().filter_map(|address| around.local.reach(*address).err());
        reasons.next().unwrap_or(super::local::Hindrance::Unknown)
    }

    pub(super) fn class(&self, node: &NodeName, is_able: impl Fn(IpAddr) -> bool) -> Class {
        let mut class = Class::default();
        for (address, candidates) in &self.members {
            if let Some(candidate) = candidates.get(node).filter(|_| is_able(*address)) {
                class.covered += 1;
                class.weight += u64::from(candidate.weight);
            }
        }
        class
    }

    /// Since a node that has just begun to listen does not know who owns what.
    fn listened(&self, around: &Around<'_>) -> Result<(), WhyNot> {
        if !self.has_rivals(around.node) {
            return Ok(());
        }
        match self.listened_at(around) {
            Some(at) if at <= around.now => Ok(()),
            _ => Err(WhyNot::Listening),
        }
    }

    pub(super) fn listened_at(&self, around: &Around<'_>) -> Option<Moment> {
        let links = self.links(around)?;
        let since = around.links.iter().filter(|(link, _)| links.contains(link)).map(|(_, since)| *since).min()?;
        Some(since + around.profile.listening())
    }

    /// How each of the other nodes stands that could take the group at once.
    pub(super) fn standings(&mut self, around: &Around<'_>) -> Vec<(NodeName, Standing)> {
        let links = self.links(around);
        let fit = |node: &NodeName| {
            let peer = around.peers.get(node)?;
            let is_fit =
                peer.readiness == Readiness::Ready && peer.is_heard(links.as_ref(), around.now, around.profile);
            let class = self.class(node, |address| peer.is_able(address));
            (is_fit && class.covered > 0).then(|| (node.clone(), class))
        };
        let fit: Vec<_> = self.candidates().into_iter().filter_map(fit).collect();
        let standing = |(node, class): (NodeName, Class)| {
            let score = self.score(&node);
            (node, Standing { class, score })
        };
        fit.into_iter().map(standing).collect()
    }

    /// The first in line of the other nodes, if it has been heard for so long that it may be preferred; otherwise from when
    /// on.
    pub(super) fn first_in_line(&mut self, around: &Around<'_>) -> Option<(NodeName, Standing, Moment)> {
        const SETTLED: Duration = Duration::from_secs(10);
        let links = self.links(around);
        let (node, standing) = self.standings(around).into_iter().max_by_key(|(_, standing)| *standing)?;
        let steady = around.peers.get(&node)?.steady_at(links.as_ref(), SETTLED)?;
        Some((node, standing, steady))
    }
}
