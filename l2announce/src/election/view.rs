//! Election, as it is shown: who owns each address, and why each other node doesn't.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::IpAddr,
    time::Duration,
};

use pnet_base::MacAddr;

use super::{
    Election,
    around::Around,
    group::{Conflict, Group, Holding, Mine, Motive, Takeover},
    local::Hindrance,
    rank::Standing,
};
use crate::{
    Moment, NodeName,
    heartbeat::{LinkId, Readiness},
};

/// All addresses that should be announced.
pub type View = BTreeMap<IpAddr, AddressView>;

/// One address, as this node sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressView {
    /// The node that answers for it, as far as is known.
    pub owner: Option<NodeName>,
    /// What that node answers with; this node's where it is the owner.
    pub mac: Option<MacAddr>,
    /// The owner's, or the highest that is known.
    pub epoch: u64,
    /// What this node does about it.
    pub state: State,
    /// Since when the owner is that, or since when there is none.
    pub since: Moment,
    /// Why each other candidate doesn't own it; where there is no owner, why none of them is.
    pub others: BTreeMap<NodeName, WhyNot>,
    /// How this node came to own it, the last time that it did.
    pub takeover: Option<Takeover>,
    /// When two answered for it, the last time that they did.
    pub conflict: Option<Conflict>,
}

/// What this node does about an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It answers.
    Owned,
    /// It answers until somebody else does.
    Offered(Motive),
    /// It asks the segment whether somebody has the address.
    Probing,
    /// It is about to take what its owner offers.
    Preparing,
    /// It would answer, but somebody else does who must not.
    Blocked(MacAddr),
    /// Nothing: another node answers.
    Standby,
    /// Nothing: another node is not heard, but the segment says that it answers.
    Unheard(NodeName),
    /// Nothing, though nobody is known to answer.
    Waiting,
}

/// Why a node doesn't own an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WhyNot {
    /// It is not among the candidates.
    NoCandidate,
    /// It has not been heard since this process started.
    NeverHeard,
    /// It has not been heard for so long.
    Silent(Duration),
    /// It is heard, but on no link that can announce the address.
    OtherLink,
    /// It says that it cannot announce it, or not yet.
    Unable,
    /// This node cannot.
    Hindered(Hindrance),
    /// It gives everything away.
    Readiness(Readiness),
    /// Nobody is heard here, and the gateway does not answer.
    Isolated,
    /// This node has not listened long enough to know who owns what.
    Listening,
    /// Others can announce more of the addresses that are elected together, or are preferred.
    Lighter,
    /// The owner is well and keeps it.
    OwnerStays,
    /// This one comes first.
    Outranked(NodeName),
    /// It is its turn.
    Next,
}

impl fmt::Display for WhyNot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCandidate => f.write_str("it is no candidate"),
            Self::NeverHeard => f.write_str("it has not been heard yet"),
            Self::Silent(time) => write!(f, "it has not been heard for {time:.1?}"),
            Self::OtherLink => f.write_str("it is heard, but on no link that can announce the address"),
            Self::Unable => f.write_str("it says that it cannot announce the address, or not yet"),
            Self::Hindered(hindrance) => hindrance.fmt(f),
            Self::Readiness(Readiness::Ready) => f.write_str("it is ready"),
            Self::Readiness(Readiness::Draining) => f.write_str("it is drained"),
            Self::Readiness(Readiness::Excluded) => f.write_str("it is excluded from outside traffic"),
            Self::Readiness(Readiness::Leaving) => f.write_str("its process ends"),
            Self::Isolated => f.write_str("no other node is heard there, and the gateway does not answer"),
            Self::Listening => f.write_str("it listens first who owns what"),
            Self::Lighter => f.write_str("others are preferred, or can announce more of what is elected with it"),
            Self::OwnerStays => f.write_str("the owner is well and keeps it"),
            Self::Outranked(node) => write!(f, "{node} comes first"),
            Self::Next => f.write_str("it is its turn"),
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Owned => f.write_str("owned"),
            Self::Offered(motive) => write!(f, "offered, since {motive}"),
            Self::Probing => f.write_str("asking whether somebody has it"),
            Self::Preparing => f.write_str("about to take it from its owner"),
            Self::Blocked(mac) => write!(f, "not announced: {mac} answers for it"),
            Self::Standby => f.write_str("standby"),
            Self::Unheard(node) => write!(f, "standby: {node} is not heard, but still answers"),
            Self::Waiting => f.write_str("waiting"),
        }
    }
}

impl fmt::Display for Motive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Readiness => "the node is drained, excluded or ends",
            Self::NoCandidate => "the node is no candidate any more",
            Self::Class => "another node is preferred",
            Self::Rebalance => "the balance is being restored",
        })
    }
}

impl Election {
    /// Who owns what at `now`, and why.
    pub fn view(&mut self, now: Moment) -> View {
        let mut groups = std::mem::take(&mut self.groups);
        let mut view = View::new();
        if let Some(around) = self.around(now) {
            groups.values_mut().for_each(|group| group.show(&around, &mut view));
        }
        self.groups = groups;
        view
    }
}

impl Group {
    fn show(&mut self, around: &Around<'_>, view: &mut View) {
        let others = self.why_not(around);
        for (address, candidates) in &self.members {
            let own = |(node, _): &(&NodeName, &WhyNot)| {
                candidates.contains_key(*node) && self.owner.0.as_ref() != Some(*node)
            };
            let others = others.iter().filter(own).map(|(node, why)| (node.clone(), why.clone())).collect();
            let shown = AddressView {
                owner: self.owner.0.clone(),
                mac: self.owner_mac(around, *address),
                epoch: self.epoch,
                state: self.state(*address),
                since: self.owner.1,
                others,
                takeover: self.takeover.clone(),
                conflict: self.conflict.clone(),
            };
            view.insert(*address, shown);
        }
    }

    fn owner_mac(&self, around: &Around<'_>, address: IpAddr) -> Option<MacAddr> {
        let owner = self.owner.0.as_ref()?;
        if owner != around.node {
            return around.mac_of(owner);
        }
        let links = around.local.reach(address).ok()?;
        links.iter().find_map(|link| around.local.links.get(link)).copied()
    }

    fn state(&self, address: IpAddr) -> State {
        let holding = self.mine.as_ref().and_then(|mine| mine.holdings.get(&address));
        match (holding, self.mine.as_ref().and_then(|mine: &Mine| mine.offer)) {
            (Some(Holding::Announced), None) => State::Owned,
            (Some(Holding::Announced), Some(offer)) => State::Offered(offer.motive),
            (Some(Holding::Probing { .. } | Holding::Free), _) => State::Probing,
            (Some(Holding::Preparing { .. }), _) => State::Preparing,
            (Some(Holding::Blocked { mac, .. }), _) => State::Blocked(*mac),
            (None, _) if self.owner.0.is_some() => State::Standby,
            (None, _) => self.answering.as_ref().map_or(State::Waiting, |(node, _)| State::Unheard(node.clone())),
        }
    }

    fn why_not(&mut self, around: &Around<'_>) -> BTreeMap<NodeName, WhyNot> {
        let mut fit: Vec<(NodeName, Standing)> = self.standings(around);
        let own = self.own_standing(around);
        fit.extend(own.as_ref().ok().map(|standing| (around.node.clone(), *standing)));
        let first = fit.iter().max_by_key(|(_, standing)| *standing).cloned();
        let candidates: BTreeSet<NodeName> = self.candidates().into_iter().cloned().collect();
        let links = self.links(around);
        let why = |node: NodeName| {
            let standing = fit.iter().find(|(other, _)| *other == node).map(|(_, standing)| *standing);
            let why = match (standing, &own) {
                (Some(standing), _) => self.why_not_fit(&node, standing, first.as_ref()),
                (None, Err(why)) if node == *around.node => why.clone(),
                (None, _) => self.why_not_peer(around, &node, links.as_ref()),
            };
            (node, why)
        };
        candidates.into_iter().map(why).collect()
    }

    fn why_not_fit(&self, node: &NodeName, standing: Standing, first: Option<&(NodeName, Standing)>) -> WhyNot {
        match first {
            Some((_, first)) if first.class > standing.class => WhyNot::Lighter,
            _ if self.owner.0.is_some() => WhyNot::OwnerStays,
            Some((first, _)) if first != node => WhyNot::Outranked(first.clone()),
            _ => WhyNot::Next,
        }
    }

    fn why_not_peer(&self, around: &Around<'_>, node: &str, links: Option<&BTreeSet<LinkId>>) -> WhyNot {
        let Some(peer) = around.peers.get(node) else { return WhyNot::NeverHeard };
        if !peer.is_heard(None, around.now, around.profile) {
            return WhyNot::Silent(around.now.since(peer.last()));
        }
        if !peer.is_heard(links, around.now, around.profile) {
            return WhyNot::OtherLink;
        }
        if peer.readiness == Readiness::Ready { WhyNot::Unable } else { WhyNot::Readiness(peer.readiness) }
    }
}
