//! An address moves as planned: nothing is lost, refused or reset, whatever else goes wrong.

use std::{
    collections::BTreeSet,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use postern_l2announce::heartbeat::Readiness;

use crate::{
    node::{Node, nodes, owner, wishes},
    segment::{self, Host, Segment, eventually},
    traffic::{Traffic, serve},
};

/// Each of these tests alone keeps a small machine busy.
static ALONE: Mutex<()> = Mutex::new(());

struct World {
    nodes: Vec<Node>,
    client: Host,
    addresses: [IpAddr; 2],
    _segment: Segment,
}

impl World {
    fn new() -> Option<Self> {
        let mut segment = segment::segment()?;
        let client = segment.host("client", 200);
        let addresses = ["192.0.2.100", "2001:db8::100"].map(|address| address.parse().expect("an address"));
        let nodes = nodes(&mut segment, &addresses);
        nodes.iter().for_each(|node| serve(&node.host, &addresses));
        let world = Self { nodes, client, addresses, _segment: segment };
        world.owner();
        Some(world)
    }

    /// Begins once the client knows who has the addresses.
    fn traffic(&self) -> Traffic {
        let mac = self.nodes[self.owner()].host.mac.to_string();
        for address in self.addresses {
            eventually("the client knows the owner", || match self.client.neighbour(address) {
                known if known.contains("lladdr") && !known.contains(&mac) => Err(known),
                _ => Ok(()),
            });
        }
        Traffic::start(&self.client, &self.addresses)
    }

    fn owner(&self) -> usize {
        owner(&self.nodes.iter().collect::<Vec<_>>(), self.addresses[0])
    }

    /// Drains the owner, and takes it back once another one has the addresses; which one has.
    fn drain(&self, from: usize) -> usize {
        self.nodes[from].readiness.send_replace(Readiness::Draining);
        let to = self.moved(from);
        self.nodes[from].readiness.send_replace(Readiness::Ready);
        to
    }

    fn moved(&self, from: usize) -> usize {
        let mut to = None;
        eventually("another owner, by its own account", || {
            let owners = self.nodes.iter().enumerate().filter(|(_, node)| node.owns(self.addresses[0]));
            to = owners.map(|(at, _)| at).find(|at| *at != from);
            to.map(drop).ok_or_else(|| "the same owns it".to_owned())
        });
        to.expect("it was found")
    }

    fn handed_back(&self, node: usize) -> usize {
        self.nodes[node].shown.borrow().hand_back.flows
    }
}

#[test]
fn five_planned_moves_in_a_row_lose_refuse_and_reset_nothing() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(world) = World::new() else { return };
    let traffic = world.traffic();
    let (mut at, mut before) = (world.owner(), None);
    let mut had = BTreeSet::from([at]);
    for number in 1..=5 {
        let start = Instant::now();
        // The one before stays drained until then, so that all three have had the addresses in the end.
        world.nodes[at].readiness.send_replace(Readiness::Draining);
        let to = world.moved(at);
        println!("move {number}: node {at} to node {to} in {:?}", start.elapsed());
        if let Some(before) = before.replace(at) {
            world.nodes[before].readiness.send_replace(Readiness::Ready);
        }
        at = to;
        had.insert(at);
        traffic.go_on();
    }
    assert_eq!(had.len(), 3);
    println!("{} flows are handed back in the end", world.handed_back(at));
    traffic.end_whole("five moves");
    let late: u64 = world.nodes.iter().map(|node| node.shown.borrow().hand_back.late).sum();
    assert_eq!(late, 0, "everything was told in time");
    eventually("nothing is handed back once all has ended", || match world.handed_back(at) {
        0 => Ok(()),
        flows => Err(format!("{flows} flows")),
    });
}

#[test]
fn a_process_that_ends_gives_everything_away_first_and_the_balance_is_restored_without_a_loss() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(world) = World::new() else { return };
    let first = world.owner();
    let traffic = world.traffic();
    let second = world.drain(first);
    eventually("the first in line has it again", || {
        // Who has come back must have been there for a while.
        world.nodes[second].agent.rebalance();
        let owner = world.owner();
        if owner == first { Ok(()) } else { Err(format!("{owner} has it")) }
    });
    traffic.go_on();
    world.nodes[first].agent.leave();
    let next = world.moved(first);
    assert_eq!(next, second);
    traffic.go_on();
    traffic.end_whole("rebalance and leave");
}

#[test]
fn where_the_old_owner_dies_its_own_connections_break_and_no_others() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(world) = World::new() else { return };
    let first = world.owner();
    let lost = world.traffic();
    let second = world.drain(first);
    let kept = world.traffic();
    lost.go_on();
    let connections = lost.count();
    world.nodes[first].host.cut();
    eventually("its connections break", || {
        let broken = lost.broken();
        if broken == connections { Ok(()) } else { Err(format!("{broken} are broken")) }
    });
    kept.go_on();
    let broken: Vec<u64> = lost.end("old owner dead, its clients").iter().map(|counts| counts.bad_new()).collect();
    assert_eq!(broken, [0, 0], "new connections are not concerned");
    kept.end_whole("old owner dead, others' clients");
    assert!(world.nodes[second].owns(world.addresses[0]));
}

#[test]
fn where_the_next_owner_dies_before_it_announces_another_one_takes_it_and_nothing_is_lost() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(world) = World::new() else { return };
    let first = world.owner();
    let second = world.drain(first);
    assert_eq!(world.drain(second), first, "the first in line");
    let traffic = world.traffic();
    traffic.go_on();
    world.nodes[second].host.cut();
    world.nodes[first].readiness.send_replace(Readiness::Draining);
    let third = 3 - first - second;
    let left = [&world.nodes[first], &world.nodes[third]];
    let start = Instant::now();
    eventually("the third has it", || {
        if left.iter().all(|node| node.owner(world.addresses[0]) == Some(world.nodes[third].name.clone())) {
            Ok(())
        } else {
            Err("it has not".to_owned())
        }
    });
    let shown = world.nodes[third].shown.borrow().clone();
    println!(
        "taken by the one after the next in {:?}, by its own account {:?}, {:?}",
        start.elapsed(),
        shown.addresses[&world.addresses[0]].view.takeover,
        shown.hand_back
    );
    traffic.go_on();
    traffic.end_whole("next owner dead");
}

#[test]
fn where_flows_are_not_handed_back_the_move_is_made_and_its_connections_are_reset() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(mut segment) = segment::segment() else { return };
    let client = segment.host("client", 200);
    let addresses = ["192.0.2.100", "2001:db8::100"].map(|address| address.parse().expect("an address"));
    let nodes: Vec<Node> =
        (1..=2).map(|number| Node::start_with(&mut segment, number, |settings| settings.hand_back = false)).collect();
    for node in &nodes {
        serve(&node.host, &addresses);
        node.wishes.send_replace(wishes(&addresses));
    }
    let both: Vec<&Node> = nodes.iter().collect();
    let first = owner(&both, addresses[0]);
    let traffic = Traffic::start(&client, &addresses);
    nodes[first].readiness.send_replace(Readiness::Draining);
    eventually("its connections are reset", || {
        let broken = traffic.broken();
        if broken == traffic.count() { Ok(()) } else { Err(format!("{broken} are broken")) }
    });
    assert!(nodes[1 - first].shown.borrow().hand_back.off.is_some());
    for counts in traffic.end("switched off") {
        assert_eq!(counts.bad_new(), 0);
    }
}

#[test]
fn what_is_handed_back_ends_with_the_time_that_it_is_given() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(mut segment) = segment::segment() else { return };
    let client = segment.host("client", 200);
    let addresses = ["192.0.2.100", "2001:db8::100"].map(|address| address.parse().expect("an address"));
    let drain = Duration::from_secs(3);
    let nodes: Vec<Node> =
        (1..=2).map(|number| Node::start_with(&mut segment, number, |settings| settings.drain = drain)).collect();
    for node in &nodes {
        serve(&node.host, &addresses);
        node.wishes.send_replace(wishes(&addresses));
    }
    let both: Vec<&Node> = nodes.iter().collect();
    let first = owner(&both, addresses[0]);
    let traffic = Traffic::start(&client, &addresses);
    nodes[first].readiness.send_replace(Readiness::Draining);
    let start = Instant::now();
    eventually("its connections are reset", || {
        let broken = traffic.broken();
        if broken == traffic.count() { Ok(()) } else { Err(format!("{broken} are broken")) }
    });
    println!("the last connection ended {:?} after the drain began", start.elapsed());
    assert!(start.elapsed() >= drain, "not before the time is over");
    traffic.end("deadline");
}
