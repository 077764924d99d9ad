//! Whole nodes on a real segment: who owns an address, what the kernel of a client makes of it, and how it moves.

mod gateway;
mod kernel;
mod moves;
mod node;
#[path = "../segment/mod.rs"]
mod segment;
mod traffic;

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use postern_l2announce::agent::Shown;

use node::{Node, nodes, owner, wishes};
use segment::{Host, PATIENCE, eventually};

const CLIENT: &str = "192.0.2.200";

fn address() -> IpAddr {
    "192.0.2.100".parse().expect("an address")
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
    late.wishes.send_replace(wishes(&[address()]));
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
