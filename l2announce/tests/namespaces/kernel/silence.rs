//! Nothing but us answers for an announced address.

use super::{Process, VIP4, VIP6, purposes};
use crate::world::{Namespace, Segment, knock};
use postern_l2announce::Purpose;

const NODE: &str = "10.77.0.1";

/// What the client learns of an address when it asks now.
fn asked(client: &Namespace, address: &str) -> Option<String> {
    for family in ["-4", "-6"] {
        client.sh(&format!("ip {family} neigh flush dev eth0"));
    }
    knock(client, address.parse().expect("an address"));
    client.neighbour(address)
}

#[test]
fn the_kernel_answers_for_its_own_address_and_for_no_virtual_one() {
    let Some(mut segment) = Segment::new() else { return };
    let (node, client) = (segment.host("node"), segment.host("client"));
    node.sh(&format!("ip route add local {VIP4}/32 dev lo table local"));
    assert!(asked(&client, VIP4).is_some(), "a kernel that was told nothing answers");
    node.sh(&format!("ip route del local {VIP4}/32 dev lo table local"));

    let directory = tempfile::tempdir().expect("a folder");
    let mut process = Process::start(&node, directory.path());
    process.announce_on(&["eth0"]);
    process.serve(&[VIP4]);
    assert_eq!(asked(&client, VIP4), None);
    assert!(asked(&client, NODE).is_some(), "the node goes on to answer for itself");

    node.sh("nft flush ruleset");
    assert_eq!(asked(&client, VIP4), None, "arp_ignore alone suffices");
    node.sh("sysctl -qw net.ipv4.conf.eth0.arp_ignore=0");
    assert!(asked(&client, VIP4).is_some(), "it was one of the two that kept it silent");
    process.settle();
    node.sh("sysctl -qw net.ipv4.conf.eth0.arp_ignore=0");
    assert_eq!(asked(&client, VIP4), None, "the table alone suffices, and had come back");
    assert!(asked(&client, NODE).is_some());
    process.settle();
    assert_eq!(node.sh("cat /proc/sys/net/ipv4/conf/eth0/arp_ignore"), "1\n", "what was changed back is set again");
}

#[test]
fn a_foreign_address_is_silenced_too_though_kube_proxy_has_it_on_a_link() {
    let Some(mut segment) = Segment::new() else { return };
    let (node, client) = (segment.host("node"), segment.host("client"));
    node.sh("ip link add kube-ipvs0 type bridge");
    node.sh(&format!("ip address add {VIP4}/32 dev kube-ipvs0"));
    assert!(asked(&client, VIP4).is_some(), "the kernel answers for addresses of other links");

    let directory = tempfile::tempdir().expect("a folder");
    let mut process = Process::start(&node, directory.path());
    let applied = process.call(|kernel| kernel.set_addresses(purposes(&[VIP4], Purpose::Foreign)));
    assert_eq!(applied.expect("the kernel does it").refused.len(), 0);
    assert_eq!(asked(&client, VIP4), None);
    assert_eq!(node.sh("ip route show table local proto 201"), "", "it is not for us to take its traffic");
}

#[test]
fn of_ipv6_the_kernel_is_silent_without_being_told() {
    let Some(mut segment) = Segment::new() else { return };
    let (node, client) = (segment.host("node"), segment.host("client"));
    let directory = tempfile::tempdir().expect("a folder");
    let mut process = Process::start(&node, directory.path());
    assert_eq!(process.serve(&[VIP6]).refused.len(), 0);
    assert_eq!(asked(&client, VIP6), None);
    assert!(asked(&client, "fd77::1").is_some(), "the node goes on to answer for itself");
    node.sh(&format!("ip address add {VIP6}/128 dev eth0 nodad"));
    assert!(asked(&client, VIP6).is_some(), "an address that the link has is answered for");
}

/// The client counts requests that name the virtual address as their sender: each would make its cache point here.
#[test]
fn answers_from_a_virtual_address_do_not_make_the_kernel_ask_with_it() {
    let Some(mut segment) = Segment::new() else { return };
    let (node, client) = (segment.host("node"), segment.host("client"));
    client.nft(&format!(
        "table arp seen {{ chain input {{ type filter hook input priority 0; arp saddr ip {VIP4} counter; }}; }}"
    ));
    let leaks = || !client.sh("nft list table arp seen").contains("packets 0 ");
    let send_from_vip = || {
        node.sh("ip neigh flush dev eth0");
        node.inside(|| {
            let socket = std::net::UdpSocket::bind((VIP4, 0)).expect("the address is local");
            socket.send_to(b"answer", "10.77.0.2:9").expect("it is sent");
        });
        node.neighbour("10.77.0.2")
    };
    let directory = tempfile::tempdir().expect("a folder");
    let mut process = Process::start(&node, directory.path());
    process.announce_on(&["eth0"]);
    process.serve(&[VIP4]);
    assert!(send_from_vip().is_some(), "the client was asked, and answered");
    assert!(!leaks());

    node.sh("sysctl -qw net.ipv4.conf.eth0.arp_announce=0");
    assert!(send_from_vip().is_some());
    assert!(leaks(), "a kernel that was told nothing asks with the address that it sends from");
}

#[test]
fn a_link_that_leaves_gets_back_what_it_had_and_one_that_is_not_there_is_named() {
    let Some(mut segment) = Segment::new() else { return };
    let node = segment.host("node");
    node.sh("ip link add late0 type bridge");
    node.sh("sysctl -qw net.ipv4.conf.late0.arp_ignore=2");
    let value = |link: &str, name: &str| node.sh(&format!("cat /proc/sys/net/ipv4/conf/{link}/{name}"));
    let directory = tempfile::tempdir().expect("a folder");
    let mut process = Process::start(&node, directory.path());

    let applied = process.announce_on(&["eth0", "late0", "gone0"]);
    assert_eq!(applied.absent.into_iter().map(|name| name.to_string()).collect::<Vec<_>>(), ["gone0"]);
    assert_eq!((value("eth0", "arp_ignore"), value("eth0", "arp_announce")), ("1\n".into(), "2\n".into()));
    assert_eq!((value("late0", "arp_ignore"), value("late0", "arp_announce")), ("2\n".into(), "2\n".into()));

    node.sh("ip link add gone0 type bridge");
    assert_eq!(process.settle().absent.len(), 0);
    assert_eq!(value("gone0", "arp_ignore"), "1\n");
    process.announce_on(&["eth0"]);
    assert_eq!((value("late0", "arp_ignore"), value("late0", "arp_announce")), ("2\n".into(), "0\n".into()));
    assert!(process.close());
    assert_eq!((value("eth0", "arp_ignore"), value("eth0", "arp_announce")), ("0\n".into(), "0\n".into()));
}
