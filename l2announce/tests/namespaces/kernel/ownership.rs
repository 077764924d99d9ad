//! The state belongs to the node: crashes, two processes, the last one that leaves, and cleaning up.

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
    sync::Arc,
};

use super::{Process, UNTOUCHED, VIP4, VIP6, purposes, state};
use crate::world::Segment;
use postern_l2announce::{
    Purpose,
    kernel::{Error, Kernel, Settings, undo},
};

const DIRECTORY: &str = "POSTERN_TEST_HOLDER_DIRECTORY";

/// Not a test but the process that the next one kills: this program, started again.
#[test]
fn holder() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let mut kernel = Kernel::open(&Settings { directory: directory.into(), notrack: true }).expect("it holds");
    kernel.set_links([Arc::from("eth0")].into()).expect("the link is silenced");
    kernel.set_addresses(purposes(&[VIP4, VIP6], Purpose::Served)).expect("they are served");
    println!("\nready");
    let _for_ever = std::io::stdin().read_line(&mut String::new());
}

#[test]
fn what_a_killed_process_leaves_is_adopted_and_put_right() {
    let Some(mut segment) = Segment::new() else { return };
    let node = segment.host("node");
    let directory = tempfile::tempdir().expect("a folder");
    let program = std::env::current_exe().expect("this program");
    let mut child = node
        .command(&program)
        .args(["--exact", "kernel::ownership::holder", "--nocapture"])
        .env(DIRECTORY, directory.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    assert!(lines.map_while(Result::ok).any(|line| line == "ready"));
    let held = state(&node);
    assert!(held.contains(VIP4) && held.contains(VIP6) && held.ends_with("1\n2\n"), "{held}");
    let path = directory.path().to_owned();
    assert!(
        matches!(node.inside(move || undo(&path, false)), Err(Error::Held { .. })),
        "nobody cleans up under a process"
    );

    child.kill().expect("it is ours");
    child.wait().expect("it is gone");
    assert_eq!(state(&node), held, "a kill leaves everything as it is");
    let mut process = Process::start(&node, directory.path());
    assert_eq!(state(&node), held, "nothing is changed before the addresses are known");
    process.announce_on(&["eth0"]);
    process.serve(&[VIP6]);
    let adopted = state(&node);
    assert!(!adopted.contains(VIP4) && adopted.contains(VIP6) && adopted.ends_with("1\n2\n"), "{adopted}");
    assert!(process.close());
    assert_eq!(state(&node), UNTOUCHED, "what the links had before the killed process is put back");
}

#[test]
fn a_second_process_changes_nothing_that_is_right_and_the_last_one_undoes_it() {
    let Some(mut segment) = Segment::new() else { return };
    let node = segment.host("node");
    let directory = tempfile::tempdir().expect("a folder");
    let mut old = Process::start(&node, directory.path());
    old.announce_on(&["eth0"]);
    assert!(!old.serve(&[VIP4]).shared);
    let held = state(&node);

    let mut new = Process::start(&node, directory.path());
    new.announce_on(&["eth0"]);
    assert!(new.serve(&[VIP4]).shared);
    assert_eq!(state(&node), held);
    new.serve(&[VIP6]);
    let both = state(&node);
    assert!(both.contains(VIP4) && both.contains(VIP6), "what the old one has is not the new one's to take: {both}");
    old.settle();
    assert_eq!(state(&node), both, "nor the other way round");

    assert!(!old.close(), "another one holds");
    assert_eq!(state(&node), both, "the one that leaves takes nothing with it");
    assert!(!new.settle().shared);
    assert!(!state(&node).contains(VIP4), "what was left over goes once there is nobody else");
    assert!(new.close());
    assert_eq!(state(&node), UNTOUCHED);
}

#[test]
fn cleaning_up_removes_everything_of_ours_and_nothing_else() {
    let Some(mut segment) = Segment::new() else { return };
    let node = segment.host("node");
    node.nft("table inet other { chain input { type filter hook input priority 0; }; }");
    node.sh("ip route add local 10.77.0.200/32 dev lo table local");
    let (rules, routes) = (node.sh("nft list ruleset"), node.sh("ip route show table local"));
    let directory = tempfile::tempdir().expect("a folder");
    let mut process = Process::start(&node, directory.path());
    process.announce_on(&["eth0"]);
    process.serve(&[VIP4, VIP6]);
    drop(process);
    assert_ne!(node.sh("nft list ruleset"), rules);
    let clean = |dry_run: bool| {
        let path = directory.path().to_owned();
        node.inside(move || undo(&path, dry_run)).expect("it is undone")
    };
    let left = clean(true);
    let named = [
        &format!("local route of {VIP4}"),
        &format!("local route of {VIP6}"),
        "table arp postern",
        "table inet postern",
        "arp_ignore and arp_announce of link eth0",
    ];
    assert_eq!(left, named);
    assert_ne!(node.sh("nft list ruleset"), rules, "it was only said");
    assert_eq!(clean(false), left);
    assert!(clean(false).is_empty(), "a second time finds nothing");
    assert_eq!((node.sh("nft list ruleset"), node.sh("ip route show table local")), (rules, routes));
    assert_eq!(node.sh("cat /proc/sys/net/ipv4/conf/eth0/arp_announce"), "0\n");
    assert!(!directory.path().join("links").exists());
}

#[test]
fn tables_of_another_shape_are_made_anew() {
    let Some(mut segment) = Segment::new() else { return };
    let node = segment.host("node");
    node.nft(
        "table arp postern { set silenced { type ether_addr; }; chain input { type filter hook output priority 9; }; }",
    );
    node.nft("table inet postern { set untracked4 { type ipv6_addr; }; }");
    let directory = tempfile::tempdir().expect("a folder");
    let mut process = Process::start(&node, directory.path());
    process.announce_on(&["eth0"]);
    process.serve(&[VIP4]);
    let held = state(&node);
    assert!(held.contains("hook input priority filter") && held.contains("notrack"), "{held}");
    assert!(process.close());
    assert_eq!(state(&node), UNTOUCHED);
}
