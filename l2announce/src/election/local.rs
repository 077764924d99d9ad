//! What election is told of its own node.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use pnet_base::MacAddr;

use crate::heartbeat::{LinkId, Readiness};

/// What this node can do at the moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Local {
    /// Links that are up and carry heartbeats, with the hardware addresses that answers from them have.
    pub links: BTreeMap<LinkId, MacAddr>,
    /// On which links each address can be announced, or why on none. One that is not here cannot be.
    pub addresses: BTreeMap<IpAddr, Result<BTreeSet<LinkId>, Hindrance>>,
    /// Whether this node takes part.
    pub readiness: Readiness,
    /// Whether the gateway answers on the links; nothing while others are heard, and where there is none that ever has
    /// ([`Gateways`](super::Gateways)).
    pub gateway_answers: Option<bool>,
}

/// Why this node cannot announce an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Hindrance {
    /// No interface that is there may announce it; in words, of each why not.
    #[error("{0}")]
    Interface(Arc<str>),
    /// An interface that may announce it is not there; in words, of each why not.
    #[error("{0}")]
    Missing(Arc<str>),
    /// An interface that may announce it is down; in words, of each why not.
    #[error("{0}")]
    Down(Arc<str>),
    /// The process may not; in words, what it lacks.
    #[error("{0}")]
    Capability(Arc<str>),
    /// Nobody has looked yet.
    #[error("it is not known yet whether an interface can announce it")]
    Unknown,
    /// Anything else, in words.
    #[error("{0}")]
    Other(Arc<str>),
}

impl Local {
    /// On which links `address` can be announced.
    pub(super) fn reach(&self, address: IpAddr) -> Result<&BTreeSet<LinkId>, Hindrance> {
        match self.addresses.get(&address) {
            Some(Ok(links)) if links.is_empty() => Err(Hindrance::Unknown),
            Some(Ok(links)) => Ok(links),
            Some(Err(hindrance)) => Err(hindrance.clone()),
            None => Err(Hindrance::Unknown),
        }
    }

    pub(super) fn has_mac(&self, mac: MacAddr) -> bool {
        self.links.values().any(|own| *own == mac)
    }
}
