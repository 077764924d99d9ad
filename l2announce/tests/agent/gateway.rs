//! A node whose port is cut off from everything, though its carrier stays: it hears nobody, and must not answer.

use std::{net::IpAddr, time::Instant};

use postern_l2announce::wire::{Frame, Packet};

use crate::{
    address, knows,
    node::{Node, nodes, owner},
    segment::{self, Segment, eventually},
};

const GATEWAY: u8 = 254;

fn gateway() -> IpAddr {
    [192, 0, 2, GATEWAY].into()
}

/// Three nodes whose default route leads to a router of the segment.
fn routed(segment: &mut Segment) -> Vec<Node> {
    let nodes = nodes(segment, &[address()]);
    nodes.iter().for_each(|node| drop(node.host.ip(&format!("route add default via {}", gateway()))));
    nodes
}

fn is_withdrawn(node: &Node) -> Result<(), String> {
    let why = node.why_not(address());
    let is_named = why.as_ref().is_some_and(|why| why.contains("gateway does not answer"));
    if is_named && !node.owns(address()) { Ok(()) } else { Err(format!("{why:?}")) }
}

fn asks_for_gateway((_, frame): &(Instant, Frame)) -> bool {
    matches!(&frame.packet, Packet::Arp(arp) if IpAddr::from(arp.target) == gateway() && arp.sender.is_unspecified())
}

#[test]
fn an_owner_that_is_cut_off_withdraws_and_one_of_the_others_takes_the_address() {
    let Some(mut segment) = segment::segment() else { return };
    let (client, router) = (segment.host("client", 200), segment.host("router", GATEWAY));
    let heard = router.listen();
    let nodes = routed(&mut segment);
    let all: Vec<&Node> = nodes.iter().collect();
    let first = &nodes[owner(&all, address())];
    knows(&client, first);
    // Whoever starts asks until it hears the others.
    while heard.try_recv().is_ok() {}
    let before = first.shown.borrow().at;
    eventually("three seconds of quiet", || {
        let passed = first.shown.borrow().ago(before);
        if passed.as_secs() >= 3 { Ok(()) } else { Err(format!("{passed:?}")) }
    });
    let asked = std::iter::from_fn(|| heard.try_recv().ok()).filter(asks_for_gateway).count();
    assert_eq!(asked, 0, "nobody asks a gateway that has answered while others are heard");
    first.host.isolate();
    eventually("the one that is cut off withdraws", || is_withdrawn(first));
    let others: Vec<&Node> = all.iter().copied().filter(|node| node.name != first.name).collect();
    let next = others[owner(&others, address())];
    knows(&client, next);
    first.host.rejoin();
    eventually("it hears the others again", || {
        let found = first.owner(address());
        if found.as_ref() == Some(&next.name) { Ok(()) } else { Err(format!("{found:?}")) }
    });
    assert_eq!(owner(&all, address()), owner(&all, address()), "who comes back takes nothing");
    assert!(next.owns(address()));
}

#[test]
fn a_node_that_is_cut_off_claims_nothing_while_the_owner_goes_on() {
    let Some(mut segment) = segment::segment() else { return };
    let _router = segment.host("router", GATEWAY);
    let nodes = routed(&mut segment);
    let all: Vec<&Node> = nodes.iter().collect();
    let first = owner(&all, address());
    let other = &nodes[(first + 1) % 3];
    other.host.isolate();
    eventually("it knows that it is cut off", || is_withdrawn(other));
    let cut = other.shown.borrow().at;
    eventually("it counts the owner as lost for long enough to take over", || {
        let passed = other.shown.borrow().ago(cut);
        if passed.as_secs() >= 3 { is_withdrawn(other) } else { Err(format!("{passed:?}")) }
    });
    let shown = other.shown.borrow();
    assert_eq!(shown.addresses[&address()].view.takeover, None, "it never had it");
    assert!(nodes[first].owns(address()));
}
