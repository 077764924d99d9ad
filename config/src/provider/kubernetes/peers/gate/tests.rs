//! Who is waited for, and for how long. Time is what a test says it is.

use std::path::Path;

use super::*;
use crate::{
    allocation::Ledger,
    kubernetes::{document, object::Kind, store::Change},
};

const GATEWAY: &str = "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n\
    metadata: {name: edge, namespace: shop, uid: UID, generation: GENERATION}\n\
    spec: {gatewayClassName: c, listeners: [{name: http, port: 80, protocol: HTTP}]}\n";

/// A gate of the Postern `a`, and the object that it is about.
struct World {
    gate: Gate,
    now: Instant,
    store: Store,
}

fn object(uid: &str, generation: u32) -> crate::kubernetes::object::Object {
    let text = GATEWAY.replace("UID", uid).replace("GENERATION", &generation.to_string());
    let parsed = document::parse_bytes(Path::new("g.yaml"), text.as_bytes());
    match parsed.changes.into_iter().next() {
        Some(Change::Set { object, .. }) => object,
        other => panic!("{other:?}"),
    }
}

fn key() -> Key {
    Key { kind: Kind::Gateway, namespace: "shop".into(), name: "edge".into() }
}

fn members(ready: &[(&str, bool)]) -> Members {
    let member = |(name, counts): &(&str, bool)| {
        let node = format!("node-{name}").into();
        (Arc::from(*name), Member { node, address: None, counts: *counts })
    };
    Members::Known(ready.iter().map(member).collect())
}

/// `a` holds the Lease since now, among these.
fn world(ready: &[(&str, bool)]) -> World {
    let now = Instant::now();
    let mut store = Store::default();
    store.insert(object("u1", 1));
    let mut gate = Gate::new("a".into(), Members::Unknown);
    gate.set_members(members(ready), now);
    gate.begin_term(&store, now);
    World { gate, now, store }
}

impl World {
    fn pass(&mut self, seconds: u64) -> Look {
        self.now += Duration::from_secs(seconds);
        self.look()
    }

    fn look(&mut self) -> Look {
        self.gate.look(self.now)
    }

    fn say(&mut self, member: &str, word: Word) {
        self.gate.hear(Heard { member: member.into(), word }, self.now);
    }

    fn join(&mut self, member: &str, serves: bool) {
        self.say(member, Word::Joined { node: format!("host-{member}").into(), serves, version: "1".into() });
    }

    /// `member` has the object in force as it is at hand.
    fn acknowledge(&mut self, member: &str) {
        let version = self.store.get(&key()).map(Version::of);
        self.say(member, Word::Acknowledged(vec![Acknowledgement { object: mark(&key()), version }]));
    }

    fn report(&mut self, member: &str) {
        self.join(member, true);
        self.acknowledge(member);
        self.say(member, Word::Reported);
        self.look();
    }

    fn change(&mut self, uid: &str, generation: u32) {
        self.store.insert(object(uid, generation));
        let news = InForce {
            ledger: Ledger::default(),
            store: self.store.clone(),
            report: Arc::default(),
            touched: BTreeSet::from([key()]),
            announcements: Default::default(),
            tells: Vec::new(),
        };
        self.gate.in_force(&news, self.now);
        self.look();
    }

    fn standing(&self) -> Standing {
        self.gate.standing(&key())
    }

    fn silent(&self) -> Vec<&str> {
        self.gate.silent().iter().map(|name| &**name).collect()
    }
}

fn pending() -> Standing {
    Standing::Pending(Arc::default())
}

#[test]
fn whoever_is_alone_waits_for_nobody() {
    for members in [Members::Alone, members(&[("a", true)]), members(&[("b", false)])] {
        let mut world = world(&[]);
        world.gate.set_members(members, world.now);
        world.look();
        assert_eq!(world.standing(), Standing::Programmed);
        assert_eq!(world.gate.wake(world.now), None, "nothing more can happen");
    }
}

#[test]
fn an_object_is_programmed_when_every_ready_node_has_that_generation_of_that_life_of_it() {
    let mut world = world(&[("a", true), ("b", true), ("c", true)]);
    world.report("b");
    assert_eq!(world.standing(), Standing::Undecided, "c has not reported");
    world.report("c");
    assert_eq!(world.standing(), Standing::Programmed);
    world.change("u1", 2);
    assert_eq!(world.standing(), pending());
    world.acknowledge("b");
    world.look();
    assert_eq!(world.standing(), pending());
    world.acknowledge("c");
    assert_eq!(world.look().objects, [key()]);
    assert_eq!(world.standing(), Standing::Programmed);
    world.change("u2", 2);
    assert_eq!(world.standing(), pending(), "another object of the same name");
}

#[test]
fn a_node_that_is_ahead_has_what_is_asked_for() {
    let mut world = world(&[("b", true)]);
    world.store.insert(object("u1", 5));
    world.report("b");
    world.change("u1", 4);
    assert_eq!(world.standing(), Standing::Programmed);
}

#[test]
fn a_silent_node_is_waited_for_ten_seconds_and_named_until_it_is_back() {
    let mut world = world(&[("b", true), ("c", true)]);
    world.report("b");
    world.report("c");
    world.pass(3);
    world.say("c", Word::Alive);
    world.change("u1", 2);
    world.acknowledge("b");
    assert!(!world.pass(9).nodes, "heard nine seconds ago");
    world.say("b", Word::Alive);
    let look = world.pass(1);
    assert!(look.nodes && look.objects == [key()]);
    assert_eq!((world.silent(), world.standing()), (vec!["node-c"], Standing::Programmed));
    world.say("c", Word::Left);
    assert!(!world.pass(1).nodes);
    world.report("c");
    assert_eq!((world.silent(), world.standing()), (vec![], Standing::Programmed));
}

#[test]
fn a_node_that_answers_and_does_not_serve_is_named_after_ten_seconds_and_waited_for() {
    let mut world = world(&[("b", true)]);
    world.report("b");
    world.change("u1", 2);
    for _ in 0..5 {
        world.pass(2);
        world.say("b", Word::Alive);
    }
    assert_eq!(world.gate.wake(world.now - Duration::from_secs(1)), Some(world.now));
    world.look();
    assert_eq!(world.standing(), Standing::Pending(Arc::from(["node-b".into()])));
    assert!(world.silent().is_empty());
}

#[test]
fn what_is_programmed_stays_so_when_nodes_come() {
    let mut world = world(&[("a", true)]);
    world.look();
    world.gate.set_members(members(&[("a", true), ("b", true)]), world.now);
    assert_eq!(world.look(), Look::default());
    assert_eq!(world.standing(), Standing::Programmed);
    world.change("u1", 2);
    assert_eq!(world.standing(), pending(), "what comes later waits for them");
    world.gate.set_members(members(&[("a", true), ("b", false)]), world.now);
    world.look();
    assert_eq!(world.standing(), Standing::Programmed, "a pod on its way out is not waited for");
}

#[test]
fn nobody_waits_for_a_process_that_does_not_serve() {
    let mut world = world(&[("b", true)]);
    world.join("b", false);
    world.look();
    assert_eq!(world.standing(), Standing::Programmed);
}

#[test]
fn two_pods_of_one_node_are_two_members() {
    let mut world = world(&[("b", true), ("b2", true)]);
    world.report("b2");
    assert_eq!(world.standing(), Standing::Undecided, "the old pod counts while it is ready");
    world.gate.set_members(members(&[("b", false), ("b2", true)]), world.now);
    world.look();
    assert_eq!(world.standing(), Standing::Programmed);
}

#[test]
fn a_new_holder_decides_nothing_before_all_have_reported_or_ten_seconds() {
    let mut world = world(&[("b", true), ("c", true)]);
    world.report("b");
    world.pass(9);
    world.say("b", Word::Alive);
    assert_eq!((world.standing(), world.silent()), (Standing::Undecided, vec![]));
    world.pass(1);
    assert_eq!((world.standing(), world.silent()), (Standing::Programmed, vec!["node-c"]));
    world.gate.end_term();
    world.gate.begin_term(&world.store, world.now);
    world.look();
    assert_eq!(world.standing(), Standing::Undecided);
    world.gate.settle(&key());
    assert_eq!(world.standing(), Standing::Programmed, "the cluster shows it already");
}

#[test]
fn a_list_that_cannot_be_read_leaves_those_that_have_joined() {
    let mut world = world(&[]);
    world.gate.members = Members::Unknown;
    world.report("b");
    assert_eq!(world.standing(), Standing::Undecided);
    world.pass(10);
    assert_eq!(world.standing(), Standing::Programmed);
}

#[test]
fn sockets_that_nodes_lack_are_told_with_the_names_of_nodes_that_count() {
    let mut world = world(&[("b", true)]);
    let problem = |port| (crate::snapshot::SocketKey { address: None, port }, Arc::from("taken"));
    world.report("b");
    world.join("stranger", true);
    world.say("stranger", Word::Unbound(vec![problem(1)]));
    world.say("b", Word::Unbound(vec![problem(443)]));
    world.gate.set_problems(vec![problem(80)]);
    assert!(world.look().nodes);
    let unbound: Vec<_> = world.gate.unbound().iter().map(|one| (&*one.node, one.socket.port)).collect();
    assert_eq!(unbound, [("a", 80), ("node-b", 443)]);
    world.say("b", Word::Unbound(Vec::new()));
    assert!(world.look().nodes);
    assert_eq!(world.gate.unbound().len(), 1);
}

#[test]
fn tables_are_the_same_number_where_the_same_is_in_force() {
    let mut world = world(&[("b", true)]);
    world.report("b");
    let tables = |world: &World| {
        let view = world.gate.view(world.now);
        (view.table, view.members.first().map_or(0, |member| member.table))
    };
    let (ours, theirs) = tables(&world);
    assert!(ours == theirs && ours != 0);
    world.change("u1", 2);
    let (ours, theirs) = tables(&world);
    assert_ne!(ours, theirs);
    world.acknowledge("b");
    let (ours, theirs) = tables(&world);
    assert_eq!(ours, theirs);
}
