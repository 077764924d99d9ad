//! What the kernel says of addresses that are announced: that it is busy, or that it will not.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc, time::Duration};

use postern_l2announce::agent::Wishes;

use crate::{
    address, knows,
    node::{Node, nodes, owner, wishes},
    segment::{self, eventually},
};

fn other() -> IpAddr {
    "192.0.2.101".parse().expect("an address")
}

/// Each elected for itself.
fn both() -> Option<Arc<Wishes>> {
    let all = [address(), other()].into_iter().filter_map(|address| wishes(&[address]));
    Some(Arc::new(all.flat_map(|wishes| (*wishes).clone()).collect::<BTreeMap<_, _>>()))
}

fn epoch(node: &Node) -> Option<u64> {
    node.shown.borrow().addresses.get(&address()).map(|shown| shown.view.epoch)
}

#[test]
fn a_kernel_that_is_busy_for_seconds_delays_no_heartbeat_and_takes_no_address_away() {
    let Some(mut segment) = segment::segment() else { return };
    let client = segment.host("client", 200);
    let nodes = nodes(&mut segment, &[address()]);
    let all: Vec<&Node> = nodes.iter().collect();
    let first = &nodes[owner(&all, address())];
    let (before, since) = (epoch(first), first.shown.borrow().at);
    let turn = first.turn();
    first.wishes.send_replace(both());
    eventually("it is said that the kernel is busy", || {
        let why = first.why_not(other());
        if why.as_ref().is_some_and(|why| why.contains("changing the kernel state")) {
            Ok(())
        } else {
            Err(format!("{why:?}"))
        }
    });
    eventually("two seconds are over", || {
        let passed = first.shown.borrow().ago(since);
        if passed >= Duration::from_secs(2) { Ok(()) } else { Err(format!("{passed:?}")) }
    });
    client.ip("neigh flush all");
    knows(&client, first);
    assert_eq!(first.shown.borrow().pauses, 0, "its loop never waited for as long as two heartbeats");
    for node in &nodes {
        assert_eq!((node.owner(address()), epoch(node)), (Some(first.name.clone()), before), "nobody missed one");
    }
    assert!(!first.owns(other()));
    drop(turn);
    eventually("what was wanted meanwhile is in force", || {
        let why = first.why_not(other());
        if why.as_ref().is_none_or(|why| !why.contains("kernel")) { Ok(()) } else { Err(format!("{why:?}")) }
    });
    assert_eq!(epoch(first), before);
    nodes.iter().for_each(|node| drop(node.wishes.send_replace(both())));
    owner(&all, other());
}

#[test]
fn what_the_kernel_refuses_for_good_is_withdrawn_and_named() {
    let Some(mut segment) = segment::segment() else { return };
    let nodes = nodes(&mut segment, &[address()]);
    let all: Vec<&Node> = nodes.iter().collect();
    let first = &nodes[owner(&all, address())];
    first.host.ip(&format!("addr add {}/24 dev {}", address(), segment::LINK));
    eventually("the reason", || {
        let why = first.why_not(address());
        let is_named = why.as_ref().is_some_and(|why| why.contains("address of this node already"));
        if is_named && !first.owns(address()) { Ok(()) } else { Err(format!("{why:?}")) }
    });
}
