//! What an agent shows of itself: for people, metrics and tests.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc, time::Duration};

use crate::{
    Moment, NodeName, Purpose,
    election::AddressView,
    heartbeat::{Readiness, Refusals},
    responder::Counters,
};

/// Everything at one moment.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// When.
    pub at: Moment,
    /// This node.
    pub node: NodeName,
    /// Why nothing is announced from here at all, if nothing is.
    pub problem: Option<Arc<str>>,
    /// Whether it takes part.
    pub readiness: Readiness,
    /// Each address that should be announced.
    pub addresses: BTreeMap<IpAddr, ShownAddress>,
    /// Other nodes that were heard.
    pub peers: BTreeMap<NodeName, Peer>,
    /// Heartbeats that were refused.
    pub refusals: Refusals,
    /// How connections go on when their address moves here.
    pub hand_back: HandBack,
    /// How often the process was found not to have run for longer than it may.
    pub pauses: u64,
    /// Counters of each address that was ever watched.
    pub counters: Vec<(IpAddr, Arc<Counters>)>,
}

/// One address.
#[derive(Clone, Debug)]
pub struct ShownAddress {
    /// Who takes what arrives at it.
    pub purpose: Purpose,
    /// The links that it is announced on, or would be.
    pub links: Vec<Arc<str>>,
    /// Whether a link of this node has a subnet with it in it; `None` where this node is no candidate.
    pub is_in_subnet: Option<bool>,
    /// Who owns it, and why others don't.
    pub view: AddressView,
}

/// Another node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// When it was heard last.
    pub heard: Moment,
    /// Whether it takes part.
    pub readiness: Readiness,
}

/// How connections go on at the node that had their address before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HandBack {
    /// Why they don't, if they don't.
    pub off: Option<Arc<str>>,
    /// Flows whose packets are sent on to other nodes now.
    pub flows: usize,
    /// Flows that were handed back when an address was taken.
    pub handed_back: u64,
    /// How often a node had not told all its flows when its address was taken.
    pub late: u64,
    /// How often the kernel refused something.
    pub failures: u64,
}

impl Shown {
    /// How long ago `moment` was, when this was shown.
    pub fn ago(&self, moment: Moment) -> Duration {
        self.at.since(moment)
    }
}
