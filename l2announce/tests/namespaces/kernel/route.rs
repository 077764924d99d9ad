//! What is local, and what is not touched.

use std::{net::IpAddr, time::Instant};

use super::{Process, UNTOUCHED, VIP4, VIP6, state};
use crate::world::Segment;
use postern_l2announce::kernel::Refusal;

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

#[test]
fn served_addresses_are_local_and_on_no_link() {
    let Some(mut segment) = Segment::new() else { return };
    let node = segment.host("node");
    let directory = tempfile::tempdir().expect("a folder");
    let mut process = Process::start(&node, directory.path());
    let before = node.sh("ip address show");
    assert_eq!(process.serve(&[VIP4, VIP6]).refused.len(), 0);
    assert!(node.sh("ip -4 route show table local").contains(&format!("local {VIP4} dev lo proto 201 scope host")));
    assert!(node.sh("ip -6 route show table local").contains(&format!("local {VIP6} dev lo proto 201")));
    assert_eq!(node.sh("ip address show"), before);
    let first = state(&node);
    assert_eq!(process.serve(&[VIP4, VIP6]).refused.len(), 0);
    assert_eq!(state(&node), first, "the same again changes nothing");
    process.serve(&[VIP6]);
    assert!(!state(&node).contains(VIP4), "{}", state(&node));
    process.serve(&[]);
    assert!(!state(&node).contains(VIP6), "{}", state(&node));
}

#[test]
fn addresses_of_the_node_and_routes_of_others_are_refused_and_left_alone() {
    let Some(mut segment) = Segment::new() else { return };
    let node = segment.host("node");
    node.sh(&format!("ip route add local {VIP4}/32 dev lo table local proto 99"));
    node.sh(&format!("ip -6 route add local {VIP6}/128 dev lo table local proto 99"));
    let directory = tempfile::tempdir().expect("a folder");
    let mut process = Process::start(&node, directory.path());
    process.announce_on(&["eth0"]);
    let refused = process.serve(&["10.77.0.1", "fd77::1", VIP4, VIP6, "224.0.0.5", "127.0.0.9", "10.77.0.101"]).refused;
    let verdicts = [
        ("10.77.0.1", Refusal::OnLink("eth0".into())),
        ("fd77::1", Refusal::OnLink("eth0".into())),
        (VIP4, Refusal::ForeignRoute(99)),
        (VIP6, Refusal::ForeignRoute(99)),
        ("224.0.0.5", Refusal::NotUnicast),
        ("127.0.0.9", Refusal::NotUnicast),
    ];
    assert_eq!(refused, verdicts.map(|(text, refusal)| (address(text), refusal)).into());
    let rules = node.sh("nft list ruleset");
    assert!(rules.contains("10.77.0.101") && !rules.contains("10.77.0.1,") && !rules.contains("10.77.0.1 "), "{rules}");
    assert!(!rules.contains(VIP4) && !rules.contains("fd77::1"), "{rules}");

    assert!(process.close());
    for (family, vip) in [("-4", VIP4), ("-6", VIP6)] {
        let routes = node.sh(&format!("ip {family} route show table local proto 99"));
        assert!(routes.contains(vip), "{routes}");
    }
    assert_eq!(state(&node), UNTOUCHED);
}

#[test]
fn an_address_that_the_node_gets_later_loses_our_state_at_once() {
    let Some(mut segment) = Segment::new() else { return };
    let node = segment.host("node");
    let directory = tempfile::tempdir().expect("a folder");
    let mut process = Process::start(&node, directory.path());
    let other = Process::start(&node, directory.path());
    process.serve(&[VIP4, VIP6]);
    node.sh(&format!("ip address add {VIP4}/24 dev eth0"));
    node.sh(&format!("ip address add {VIP6}/64 dev eth0 nodad"));
    let applied = process.settle();
    assert!(applied.shared, "another process is no reason to keep a node from its own address");
    assert_eq!(applied.refused.len(), 2);
    assert!(!node.sh("nft list ruleset").contains(VIP4));
    assert!(!node.sh("ip route show table local proto 201").contains(VIP4));
    assert!(!node.sh("ip -6 route show table local proto 201").contains(VIP6));
    assert!(node.sh("ip route show table local").contains(VIP4), "the node's own is there");
    drop(other);
}

#[test]
fn two_hundred_addresses_come_and_go_at_once() {
    let Some(mut segment) = Segment::new() else { return };
    let node = segment.host("node");
    let directory = tempfile::tempdir().expect("a folder");
    let mut process = Process::start(&node, directory.path());
    let addresses: Vec<String> = (0..200).map(|number| format!("10.78.{}.{}", number / 100, number % 100)).collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    for wanted in [&addresses[..], &addresses[100..], &addresses[..]] {
        let start = Instant::now();
        assert_eq!(process.serve(wanted).refused.len(), 0);
        println!("{} addresses set in {:?}", wanted.len(), start.elapsed());
        assert_eq!(node.sh("ip route show table local proto 201").lines().count(), wanted.len());
    }
}
