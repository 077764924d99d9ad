//! The state of addresses that are elected together.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use pnet_base::MacAddr;

use super::{order::Probe, rank::score};
use crate::{Candidate, Moment, NodeName, heartbeat::Claimed};

/// Addresses that have one owner.
#[derive(Debug)]
pub(super) struct Group {
    /// What stands for them in the election.
    pub(super) key: IpAddr,
    /// The addresses, with their candidates.
    pub(super) members: BTreeMap<IpAddr, BTreeMap<NodeName, Candidate>>,
    scores: BTreeMap<NodeName, u128>,
    /// The highest epoch that anybody has told of.
    pub(super) epoch: u64,
    /// When each address was last known to be answered for by one of our nodes.
    pub(super) lately: BTreeMap<IpAddr, Moment>,
    /// Ours, or about to be.
    pub(super) mine: Option<Mine>,
    /// Nobody is known to own it.
    pub(super) vacancy: Option<Vacancy>,
    /// No attempt to take it before.
    pub(super) retry: Option<Retry>,
    /// What is told of what we gave up, until when.
    pub(super) given_up: Option<(Claimed, Moment)>,
    /// How often each address was found to be a stranger's.
    pub(super) blocks: BTreeMap<IpAddr, Retry>,
    /// Lower claims of others that we have answered.
    pub(super) disputed: BTreeMap<NodeName, u64>,
    /// When a peer that is not heard answered in spite of us.
    pub(super) blind: Option<Moment>,
    /// When a stranger was last told that the address is ours, by address.
    pub(super) defended: BTreeMap<IpAddr, Moment>,
    /// No offer out of mere preference before.
    pub(super) stays: Option<Retry>,
    /// Who owns it, and since when; for the view.
    pub(super) owner: (Option<NodeName>, Moment),
    /// The last one that did.
    pub(super) last_owner: Option<NodeName>,
    /// The node that answered a probe, though it is not heard.
    pub(super) answering: Option<(NodeName, MacAddr)>,
    pub(super) takeover: Option<Takeover>,
    pub(super) conflict: Option<Conflict>,
}

/// What we have of a group.
#[derive(Debug)]
pub(super) struct Mine {
    /// Of our ownership; nothing until an address is announced.
    pub(super) epoch: Option<u64>,
    pub(super) holdings: BTreeMap<IpAddr, Holding>,
    pub(super) offer: Option<Offer>,
}

/// How it stands with one address of a group that is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holding {
    /// We answer for it.
    Announced,
    /// The segment is asked; again if there is no outcome by `until`.
    Probing { probe: Probe, until: Moment },
    /// The owner offers it, and is still to give what the address is taken with; taken without after `until`.
    Preparing { until: Moment },
    /// Nobody has it; others of the group are still asked about.
    Free,
    /// Somebody has it.
    Blocked { mac: MacAddr, retry: Retry },
}

/// When to try again, and how long the pause was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Retry {
    pub(super) until: Moment,
    pub(super) pause: Duration,
}

impl Retry {
    /// After `before`: twice its pause, from `first` up to `longest`.
    pub(super) fn after(before: Option<Self>, now: Moment, first: Duration, longest: Duration) -> Self {
        let pause = before.map_or(first, |before| before.pause.saturating_mul(2)).min(longest);
        Self { until: now + pause, pause }
    }
}

/// We answer until somebody else does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Offer {
    pub(super) at: Moment,
    pub(super) motive: Motive,
}

/// Why an owner gives an address away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Motive {
    /// The node is drained, excluded, or its process ends.
    Readiness,
    /// The node is no candidate any more.
    NoCandidate,
    /// Another one can announce more of the addresses, or is preferred.
    Class,
    /// The balance was asked to be restored.
    Rebalance,
}

impl Motive {
    /// Whether the owner could as well keep it.
    pub(super) const fn is_preference(self) -> bool {
        matches!(self, Self::Class | Self::Rebalance)
    }
}

/// Nobody is known to own it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Vacancy {
    pub(super) since: Moment,
    pub(super) kind: Vacant,
}

/// How an address became vacant, and with that how it may be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Vacant {
    /// Its owner offers it: taken at once.
    Offered,
    /// Its owner has given it up and says so: taken at once.
    Released,
    /// Somebody owned it a while ago: the segment is asked whether that one still does.
    Lately,
    /// Nobody is known to have ever owned it: the segment is asked thoroughly.
    Never,
}

/// How this node came to own an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Takeover {
    /// When.
    pub at: Moment,
    /// How long nobody was known to answer for it, counted from when the owner before was last heard; zero where it was
    /// handed over.
    pub duration: Duration,
    /// Who owned it before.
    pub from: Option<NodeName>,
}

/// That two answered for one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// When it was last seen.
    pub at: Moment,
    /// Which of the addresses.
    pub address: IpAddr,
    /// The other one.
    pub mac: MacAddr,
    /// Which node that is, where it is one of ours.
    pub node: Option<NodeName>,
}

impl Group {
    pub(super) fn new(key: IpAddr, now: Moment) -> Self {
        Self {
            key,
            members: BTreeMap::new(),
            scores: BTreeMap::new(),
            epoch: 0,
            lately: BTreeMap::new(),
            mine: None,
            vacancy: None,
            retry: None,
            given_up: None,
            blocks: BTreeMap::new(),
            disputed: BTreeMap::new(),
            blind: None,
            defended: BTreeMap::new(),
            stays: None,
            owner: (None, now),
            last_owner: None,
            answering: None,
            takeover: None,
            conflict: None,
        }
    }

    pub(super) fn score(&mut self, node: &NodeName) -> u128 {
        *self.scores.entry(node.clone()).or_insert_with(|| score(self.key, node))
    }

    pub(super) fn forget_scores(&mut self) {
        self.scores.clear();
    }

    /// Whether `node` may own one of the addresses.
    pub(super) fn has_candidate(&self, node: &str) -> bool {
        self.members.values().any(|candidates| candidates.contains_key(node))
    }

    /// Every node that may own one of the addresses.
    pub(super) fn candidates(&self) -> BTreeSet<&NodeName> {
        self.members.values().flat_map(BTreeMap::keys).collect()
    }

    /// Whether another node than `node` may own one of the addresses.
    pub(super) fn has_rivals(&self, node: &str) -> bool {
        self.members.values().flat_map(BTreeMap::keys).any(|candidate| &**candidate != node)
    }

    pub(super) fn is_announced(&self) -> bool {
        self.mine.as_ref().is_some_and(Mine::is_announced)
    }
}

impl Mine {
    pub(super) fn is_announced(&self) -> bool {
        self.holdings.values().any(|holding| *holding == Holding::Announced)
    }

    pub(super) fn announced(&self) -> impl Iterator<Item = IpAddr> {
        self.holdings.iter().filter(|(_, holding)| **holding == Holding::Announced).map(|(address, _)| *address)
    }
}
