//! The other nodes: what they say, and what follows of it for what the cluster is shown. The link that carries their
//! words is not here.
//!
//! ```text
//! own plan in force ──┐
//! link: Heard ────────┼──> Gate ──> which objects are programmed, which nodes are silent ──> status
//! EndpointSlices ─────┘
//! ```

mod acknowledgement;
mod circle;
mod gate;

use std::{net::IpAddr, sync::Arc};

use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

pub use self::{
    acknowledgement::{Acknowledgement, Version},
    circle::{Holder, Keys},
};
pub(super) use self::{
    circle::{ADDRESS, Advertised, follow_keys, follow_lease, follow_members, make_key, source_towards},
    gate::{Gate, Members, Standing},
};
use super::lease::Term;
use crate::{kubernetes::announced::Part, snapshot::SocketKey};

/// How this Postern is one of several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerScope {
    /// What it is called among them: the name of its pod. `None`: the host's name.
    pub name: Option<Arc<str>>,
    /// Address and port that it listens on, all addresses where it is none; `None`: it speaks to nobody.
    pub listen: Option<(Option<IpAddr>, u16)>,
    /// The headless Service whose EndpointSlices list all of them; `None`: nobody is waited for.
    pub service: Option<String>,
}

/// What the link between the nodes has to know, and where it brings what it hears.
#[derive(Debug)]
pub struct Link {
    /// What we are called among peers.
    pub name: Arc<str>,
    /// What we are called on the Lease.
    pub identity: Arc<str>,
    /// Whether we hold the Lease.
    pub terms: watch::Receiver<Option<Term>>,
    /// Who does.
    pub holder: watch::Receiver<Option<Holder>>,
    /// The key that all share.
    pub keys: watch::Receiver<Keys>,
    /// For what others say to us as the holder.
    pub heard: mpsc::Sender<Heard>,
    /// Who there is.
    pub view: watch::Receiver<View>,
}

/// A socket that cannot be had, and why.
pub type Problem = (SocketKey, Arc<str>);

/// What a node has said over the link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Who: the name of its pod.
    pub member: Arc<str>,
    /// What.
    pub word: Word,
}

/// One thing that a node says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// It is there, and will say what it has in force.
    Joined {
        /// The node that it is on.
        node: Arc<str>,
        /// Whether it serves traffic, so that others wait for it.
        serves: bool,
        /// Its version, for people.
        version: Arc<str>,
    },
    /// It is still there.
    Alive,
    /// What it has in force now.
    Acknowledged(Vec<Acknowledgement>),
    /// Everything that it has in force has been said.
    Reported,
    /// Sockets that it cannot have: all of them.
    Unbound(Vec<Problem>),
    /// What it says of addresses, or a part of that.
    Account(Portion),
    /// Nothing more will come on this stream.
    Left,
}

/// A part of what a node says of addresses: those from one that begins to one that ends are all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Portion {
    /// The node, as the cluster calls it.
    pub node: Arc<str>,
    /// Whether what was said before is void.
    pub begins: bool,
    /// Whether all has been said.
    pub ends: bool,
    /// By address.
    pub parts: Vec<(IpAddr, Part)>,
}

/// Who there is, as far as the holder of the Lease knows, for people.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// Whether this Postern holds the Lease: only then it knows the others.
    pub holds: bool,
    /// Other members, and nodes that have joined without being listed, by name.
    pub members: Vec<MemberView>,
    /// Since when the object waits that has waited longest for a node.
    pub waiting_since: Option<Instant>,
    /// Objects that wait.
    pub waiting: usize,
    /// What this node has in force, as one number.
    pub table: u64,
}

/// One of them.
#[derive(Clone, Debug)]
pub struct MemberView {
    /// Its pod.
    pub name: Arc<str>,
    /// Its node.
    pub node: Arc<str>,
    /// Whether others wait for it.
    pub counts: bool,
    /// Whether its stream is open.
    pub connected: bool,
    /// Its version, if it ever joined.
    pub version: Option<Arc<str>>,
    /// When it said anything last.
    pub heard: Option<Instant>,
    /// Whether it counts and has not answered for ten seconds.
    pub silent: bool,
    /// Objects that wait for it.
    pub waiting: usize,
    /// What it has in force, as one number: the same as ours when it is the same.
    pub table: u64,
}
