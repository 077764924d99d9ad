//! One node at work: what should be announced goes in, answers on the wire and who owns what come out. Ties election,
//! heartbeats, the station and the kernel's state together on a thread of its own, so that nothing else of the process
//! can keep heartbeats waiting. Decides nothing itself.

mod ears;
mod ground;
mod local;
mod moves;
mod routes;
mod run;
mod seat;
mod shown;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::IpAddr,
    path::PathBuf,
    sync::Arc,
    thread,
    time::Duration,
};

use tokio::sync::{mpsc, watch};

pub use self::shown::{HandBack, Peer, Shown, ShownAddress};
use crate::{
    Announcement, Candidate, NodeName, Port, Purpose,
    election::Profile,
    heartbeat::{Installation, Keys, Readiness},
    link::Exclude,
    station::Refresh,
};

/// What an agent is told once.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The name that all nodes know this one by.
    pub node: NodeName,
    /// Among whom.
    pub installation: Installation,
    /// How soon a node that is not heard counts as lost.
    pub profile: Profile,
    /// The UDP port of heartbeats, the same on all nodes.
    pub port: u16,
    /// Links that never announce.
    pub exclude: Exclude,
    /// Whether everybody is told of each address again and again.
    pub refresh: Option<Refresh>,
    /// Whether traffic of served addresses is spared connection tracking.
    pub notrack: bool,
    /// Whether connections go on at the node that had an address before it moved: off where a switch or a hypervisor lets
    /// no node send on what came from somebody else.
    pub hand_back: bool,
    /// For how long they do, at most.
    pub drain: Duration,
    /// Where locks and what should be known at the next start lie; the same for all processes of the node.
    pub directory: PathBuf,
}

/// Who may own an address, as far as whoever asks for it knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Candidates {
    /// These.
    Named(BTreeMap<NodeName, Candidate>),
    /// Every node that is heard, and this one: there is no list.
    Everybody(Candidate),
}

/// One address that should be announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Who may own it.
    pub candidates: Candidates,
    /// The address that stands for this one in the election.
    pub elected_as: IpAddr,
    /// Who takes what arrives at it.
    pub purpose: Purpose,
    /// Ports at it that somebody else takes all the same, where it is served.
    pub foreign_ports: BTreeSet<Port>,
}

/// Everything that should be announced.
pub type Wishes = BTreeMap<IpAddr, Wish>;

/// What an agent is told again and again.
#[derive(Debug)]
pub struct Inputs {
    /// What should be announced; nothing as long as that is not known.
    pub wishes: watch::Receiver<Option<Arc<Wishes>>>,
    /// The keys of the heartbeats; without any, other nodes are neither heard nor spoken to.
    pub keys: watch::Receiver<Option<Keys>>,
    /// Why what arrives at served addresses is not served, if it isn't.
    pub unserved: watch::Receiver<Option<Arc<str>>>,
    /// Whether this node takes part.
    pub readiness: watch::Receiver<Readiness>,
}

/// How an agent ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Not yet.
    Never,
    /// Everything is offered, and other nodes take it; the kernel's state stays until [`End::Over`].
    Leaving,
    /// Another process of this node goes on with everything, as if nothing had happened.
    Succeeded,
    /// The process ends.
    Over,
}

/// An agent that runs. To drop it ends it as [`Agent::end`] does.
#[derive(Debug)]
pub struct Agent {
    end: watch::Sender<End>,
    rebalance: mpsc::UnboundedSender<()>,
    shown: watch::Receiver<Arc<Shown>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Agent {
    /// Starts one. It does nothing as long as another process of this node does the same.
    pub fn start(settings: Settings, inputs: Inputs) -> io::Result<Self> {
        let (end, ended) = watch::channel(End::Never);
        let (rebalance, rebalanced) = mpsc::unbounded_channel();
        let (show, shown) = watch::channel(Arc::<Shown>::default());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = thread::Builder::new().name("announce".to_owned());
        let thread = thread.spawn(move || runtime.block_on(run::run(settings, inputs, rebalanced, ended, show)))?;
        Ok(Self { end, rebalance, shown, thread: Some(thread) })
    }

    /// Who owns what, as this node sees it.
    pub fn shown(&self) -> watch::Receiver<Arc<Shown>> {
        self.shown.clone()
    }

    /// Restores the balance: addresses move one after the other to the nodes that would own them, had all been there from
    /// the start.
    pub fn rebalance(&self) {
        // An error means that it has ended.
        let _ended = self.rebalance.send(());
    }

    /// Offers everything: other nodes take it, at once. What nobody takes is answered for, and what still arrives is served,
    /// until [`Agent::end`].
    pub fn leave(&self) {
        self.end.send_if_modified(|end| std::mem::replace(end, End::Leaving) != End::Leaving);
    }

    /// Lets another process of this node go on. Nothing is said to anybody.
    pub fn hand_over(&self) {
        self.end.send_replace(End::Succeeded);
    }

    /// Ends. Unless another process of the node goes on, the kernel's state is undone.
    pub fn end(mut self) {
        self.stop();
    }

    fn stop(&mut self) {
        self.end.send_if_modified(|end| {
            let goes_on = *end == End::Succeeded;
            if !goes_on {
                *end = End::Over;
            }
            !goes_on
        });
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Wish {
    /// As the election wants it, where `everybody` is heard.
    fn announcement<'a>(&self, everybody: impl IntoIterator<Item = &'a NodeName>) -> Announcement {
        let candidates = match &self.candidates {
            Candidates::Named(nodes) => nodes.clone(),
            Candidates::Everybody(candidate) => {
                everybody.into_iter().map(|node| (node.clone(), candidate.clone())).collect()
            }
        };
        Announcement { candidates, elected_as: self.elected_as, purpose: self.purpose }
    }

    /// Whether another node than this one may own the address, where `others` are heard.
    fn is_shared(&self, others: bool) -> bool {
        match &self.candidates {
            Candidates::Named(nodes) => nodes.len() > 1,
            Candidates::Everybody(_) => others,
        }
    }

    /// What `node` may do, if it may own the address.
    fn candidate(&self, node: &str) -> Option<&Candidate> {
        match &self.candidates {
            Candidates::Named(nodes) => nodes.get(node),
            Candidates::Everybody(candidate) => Some(candidate),
        }
    }
}
