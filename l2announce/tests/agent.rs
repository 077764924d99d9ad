//! Whole nodes on a real segment: who owns an address, what the kernel of a client makes of it, and how it moves.

mod segment;

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use postern_l2announce::{
    Candidate, Purpose,
    agent::{Agent, Candidates, Inputs, Settings, Shown, Wish, Wishes},
    election::Profile,
    heartbeat::{Installation, Keys, Readiness},
    link::Exclude,
};
use segment::{Host, PATIENCE, Segment, eventually};
use tokio::sync::watch;

const CLIENT: &str = "192.0.2.200";

/// A node, and what it is told.
struct Node {
    name: Arc<str>,
    host: Host,
    agent: Agent,
    shown: watch::Receiver<Arc<Shown>>,
    wishes: watch::Sender<Option<Arc<Wishes>>>,
    keys: watch::Sender<Option<Keys>>,
    unserved: watch::Sender<Option<Arc<str>>>,
    readiness: watch::Sender<Readiness>,
    directory: tempfile::TempDir,
}

fn settings(node: Arc<str>, directory: &std::path::Path) -> Settings {
    Settings {
        node,
        installation: Installation::named("test"),
        profile: Profile::DEFAULT,
        port: 7947,
        exclude: Exclude::default(),
        refresh: None,
        notrack: true,
        directory: directory.to_owned(),
    }
}

impl Node {
    fn start(segment: &mut Segment, number: u8) -> Self {
        let name: Arc<str> = format!("node-{number}").into();
        let host = segment.host(&name, number);
        let directory = tempfile::tempdir().expect("a directory");
        let (wishes, _) = watch::channel(None);
        let (keys, _) = watch::channel(Some(Keys::new(&[7; 32], None)));
        let (unserved, _) = watch::channel(None);
        let (readiness, _) = watch::channel(Readiness::Ready);
        let inputs = inputs(&wishes, &keys, &unserved, &readiness);
        let told = settings(name.clone(), directory.path());
        let agent = host.inside(|| Agent::start(told, inputs).expect("it starts"));
        let shown = agent.shown();
        Self { name, host, agent, shown, wishes, keys, unserved, readiness, directory }
    }

    /// Another process of the same node, which is told the same.
    fn successor(&self) -> Agent {
        let inputs = inputs(&self.wishes, &self.keys, &self.unserved, &self.readiness);
        let told = settings(self.name.clone(), self.directory.path());
        self.host.inside(|| Agent::start(told, inputs).expect("it starts"))
    }

    fn owner(&self, address: IpAddr) -> Option<Arc<str>> {
        self.shown.borrow().addresses.get(&address)?.view.owner.clone()
    }

    fn owns(&self, address: IpAddr) -> bool {
        self.owner(address) == Some(self.name.clone())
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

fn address() -> IpAddr {
    "192.0.2.100".parse().expect("an address")
}

fn wishes(addresses: impl IntoIterator<Item = IpAddr>) -> Option<Arc<Wishes>> {
    let wish = |address| Wish {
        candidates: Candidates::Everybody(Candidate::default()),
        elected_as: address,
        purpose: Purpose::Served,
    };
    Some(Arc::new(addresses.into_iter().map(|address| (address, wish(address))).collect::<BTreeMap<_, _>>()))
}

fn nodes(segment: &mut Segment, addresses: &[IpAddr]) -> Vec<Node> {
    let nodes: Vec<_> = (1..=3).map(|number| Node::start(segment, number)).collect();
    for node in &nodes {
        node.wishes.send_replace(wishes(addresses.iter().copied()));
    }
    nodes
}

/// Waits until all of `nodes` say that the same one of them owns the address; its place among them.
fn owner(nodes: &[&Node], address: IpAddr) -> usize {
    let mut found = None;
    eventually("one owner", || {
        let all: Vec<_> = nodes.iter().map(|node| node.owner(address)).collect();
        found = nodes.iter().position(|node| all.iter().all(|owner| owner.as_ref() == Some(&node.name)));
        found.map(drop).ok_or_else(|| format!("{all:?}"))
    });
    found.expect("it was found")
}

fn knows(client: &Host, node: &Node) -> Duration {
    client.send(CLIENT, address());
    eventually("the client knows the owner", || {
        let neighbour = client.neighbour(address());
        if neighbour.contains(&format!("lladdr {}", node.host.mac)) { Ok(()) } else { Err(neighbour) }
    })
}

#[test]
fn one_of_three_owns_an_address_and_another_one_when_its_power_is_cut() {
    let Some(mut segment) = segment::segment() else { return };
    let client = segment.host("client", 200);
    let nodes = nodes(&mut segment, &[address()]);
    let all: Vec<&Node> = nodes.iter().collect();
    let first = owner(&all, address());
    knows(&client, &nodes[first]);
    nodes[first].host.cut();
    let cut = Instant::now();
    let others: Vec<&Node> = nodes.iter().enumerate().filter(|(at, _)| *at != first).map(|(_, node)| node).collect();
    let mut next = None;
    eventually("another owner", || {
        next = others.iter().position(|node| node.owns(address()));
        next.map(drop).ok_or_else(String::new)
    });
    let took = cut.elapsed();
    let next = others[next.expect("it was found")];
    knows(&client, next);
    println!(
        "power cut to next owner: {took:?}, by its own account {:?}",
        next.shown.borrow().addresses[&address()].view.takeover
    );
    assert!(took < PATIENCE);
}

#[test]
fn who_leaves_hands_over_at_once_and_who_joins_takes_nothing() {
    let Some(mut segment) = segment::segment() else { return };
    let nodes = nodes(&mut segment, &[address()]);
    let all: Vec<&Node> = nodes.iter().collect();
    let first = owner(&all, address());
    let late = Node::start(&mut segment, 9);
    late.wishes.send_replace(wishes([address()]));
    let mut everybody = all.clone();
    everybody.push(&late);
    assert_eq!(owner(&everybody, address()), first, "who joins takes nothing");
    nodes[first].agent.leave();
    let left: Vec<&Node> = everybody.into_iter().filter(|node| node.name != nodes[first].name).collect();
    let next = left[owner(&left, address())];
    let takeover = next.shown.borrow().addresses[&address()].view.takeover.clone().expect("it took it");
    assert_eq!((takeover.from, takeover.duration), (Some(nodes[first].name.clone()), Duration::ZERO));
}

#[test]
fn a_node_that_does_not_serve_gives_away_what_it_owns_and_says_why() {
    let Some(mut segment) = segment::segment() else { return };
    let nodes = nodes(&mut segment, &[address()]);
    let all: Vec<&Node> = nodes.iter().collect();
    let first = owner(&all, address());
    nodes[first].unserved.send_replace(Some("the accept loop is stuck".into()));
    let others: Vec<&Node> = all.iter().copied().filter(|node| node.name != nodes[first].name).collect();
    owner(&others, address());
    eventually("the reason", || {
        let shown = nodes[first].shown.borrow();
        let why = shown.addresses[&address()].view.others.get(&nodes[first].name).map(ToString::to_string);
        if why.as_ref().is_some_and(|why| why.contains("stuck")) { Ok(()) } else { Err(format!("{why:?}")) }
    });
}

#[test]
fn a_process_goes_on_with_what_another_one_of_its_node_hands_over() {
    let Some(mut segment) = segment::segment() else { return };
    let client = segment.host("client", 200);
    let nodes = nodes(&mut segment, &[address()]);
    let all: Vec<&Node> = nodes.iter().collect();
    let first = &nodes[owner(&all, address())];
    knows(&client, first);
    let epoch = |shown: &Shown| shown.addresses.get(&address()).map(|shown| shown.view.epoch);
    let before = epoch(&first.shown.borrow());
    let successor = first.successor();
    first.agent.hand_over();
    let mut shown = successor.shown();
    eventually("the successor goes on", || {
        let shown = shown.borrow_and_update();
        let owner = shown.addresses.get(&address()).and_then(|shown| shown.view.owner.clone());
        if owner.as_ref() == Some(&first.name) { Ok(()) } else { Err(format!("{owner:?}")) }
    });
    assert_eq!(epoch(&shown.borrow()), before, "nobody else had it");
    let others: Vec<&Node> = all.iter().copied().filter(|node| node.name != first.name).collect();
    for node in others {
        let shown = node.shown.borrow();
        let view = &shown.addresses[&address()].view;
        assert_eq!((view.owner.as_ref(), Some(view.epoch)), (Some(&first.name), before));
    }
    knows(&client, first);
}
