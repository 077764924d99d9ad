//! A whole node on a segment, and what it is told.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    net::IpAddr,
    path::Path,
    sync::Arc,
    time::Duration,
};

use postern_l2announce::{
    Candidate, Purpose,
    agent::{Agent, Candidates, Inputs, Settings, Shown, Wish, Wishes},
    election::Profile,
    heartbeat::{Installation, Keys, Readiness},
    link::Exclude,
};
use rustix::fs::{FlockOperation, flock};
use tokio::sync::watch;

use crate::segment::{Host, Segment, eventually};

/// A node, and what it is told.
pub(crate) struct Node {
    pub(crate) name: Arc<str>,
    pub(crate) host: Host,
    pub(crate) agent: Agent,
    pub(crate) shown: watch::Receiver<Arc<Shown>>,
    pub(crate) wishes: watch::Sender<Option<Arc<Wishes>>>,
    keys: watch::Sender<Option<Keys>>,
    pub(crate) unserved: watch::Sender<Option<Arc<str>>>,
    pub(crate) readiness: watch::Sender<Readiness>,
    directory: tempfile::TempDir,
}

impl Node {
    pub(crate) fn start(segment: &mut Segment, number: u8) -> Self {
        Self::start_with(segment, number, |_| ())
    }

    pub(crate) fn start_with(segment: &mut Segment, number: u8, change: impl FnOnce(&mut Settings)) -> Self {
        let name: Arc<str> = format!("node-{number}").into();
        let host = segment.host(&name, number);
        let directory = tempfile::tempdir().expect("a directory");
        let mut settings = settings(name.clone(), directory.path());
        change(&mut settings);
        let (wishes, _) = watch::channel(None);
        let (keys, _) = watch::channel(Some(Keys::new(&[7; 32], None)));
        let (unserved, _) = watch::channel(None);
        let (readiness, _) = watch::channel(Readiness::Ready);
        let inputs = inputs(&wishes, &keys, &unserved, &readiness);
        let agent = host.inside(|| Agent::start(settings, inputs).expect("it starts"));
        let shown = agent.shown();
        Self { name, host, agent, shown, wishes, keys, unserved, readiness, directory }
    }

    /// Another process of the same node, which is told the same.
    pub(crate) fn successor(&self) -> Agent {
        let inputs = inputs(&self.wishes, &self.keys, &self.unserved, &self.readiness);
        let told = settings(self.name.clone(), self.directory.path());
        self.host.inside(|| Agent::start(told, inputs).expect("it starts"))
    }

    /// The turn to change the kernel's state, as another process of the node has it: until it is dropped.
    pub(crate) fn turn(&self) -> File {
        let turn = File::options().write(true).open(self.directory.path().join("turn")).expect("the agent has made it");
        flock(&turn, FlockOperation::LockExclusive).expect("a turn takes milliseconds");
        turn
    }

    /// Why it does not own the address itself.
    pub(crate) fn why_not(&self, address: IpAddr) -> Option<String> {
        let shown = self.shown.borrow();
        shown.addresses.get(&address)?.view.others.get(&self.name).map(ToString::to_string)
    }

    pub(crate) fn owner(&self, address: IpAddr) -> Option<Arc<str>> {
        self.shown.borrow().addresses.get(&address)?.view.owner.clone()
    }

    pub(crate) fn owns(&self, address: IpAddr) -> bool {
        self.owner(address) == Some(self.name.clone())
    }
}

fn settings(node: Arc<str>, directory: &Path) -> Settings {
    Settings {
        node,
        installation: Installation::named("test"),
        profile: Profile::DEFAULT,
        port: 7947,
        exclude: Exclude::default(),
        refresh: None,
        notrack: true,
        hand_back: true,
        drain: Duration::from_secs(60),
        directory: directory.to_owned(),
    }
}

fn inputs(
    wishes: &watch::Sender<Option<Arc<Wishes>>>,
    keys: &watch::Sender<Option<Keys>>,
    unserved: &watch::Sender<Option<Arc<str>>>,
    readiness: &watch::Sender<Readiness>,
) -> Inputs {
    Inputs {
        wishes: wishes.subscribe(),
        keys: keys.subscribe(),
        unserved: unserved.subscribe(),
        readiness: readiness.subscribe(),
    }
}

/// That every node may own `addresses`, of which the first stands for all in the election.
pub(crate) fn wishes(addresses: &[IpAddr]) -> Option<Arc<Wishes>> {
    let wish = Wish {
        candidates: Candidates::Everybody(Candidate::default()),
        elected_as: *addresses.first().expect("there is one"),
        purpose: Purpose::Served,
        foreign_ports: BTreeSet::new(),
    };
    Some(Arc::new(addresses.iter().map(|address| (*address, wish.clone())).collect::<BTreeMap<_, _>>()))
}

pub(crate) fn nodes(segment: &mut Segment, addresses: &[IpAddr]) -> Vec<Node> {
    let nodes: Vec<_> = (1..=3).map(|number| Node::start(segment, number)).collect();
    for node in &nodes {
        node.wishes.send_replace(wishes(addresses));
    }
    nodes
}

/// Waits until all of `nodes` say that the same one of them owns the address; its place among them.
pub(crate) fn owner(nodes: &[&Node], address: IpAddr) -> usize {
    let mut found = None;
    eventually("one owner", || {
        let all: Vec<_> = nodes.iter().map(|node| node.owner(address)).collect();
        found = nodes.iter().position(|node| all.iter().all(|owner| owner.as_ref() == Some(&node.name)));
        found.map(drop).ok_or_else(|| format!("{all:?}"))
    });
    found.expect("it was found")
}
