//! What is missing is named, and nothing is promised without it.

use std::net::IpAddr;

use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

use super::{Process, UNTOUCHED, VIP4, VIP6, purposes, state};
use crate::world::Segment;
use postern_l2announce::{
    Purpose,
    kernel::{Kernel, Lack, Refusal, Settings, undo},
};

/// Takes a capability from this thread.
fn without(capability: CapabilitySet) {
    let mut sets = capabilities(None).expect("they can be read");
    sets.effective.remove(capability);
    set_capabilities(None, sets).expect("less is always allowed");
}

#[test]
fn a_missing_capability_is_what_addresses_are_refused_for() {
    let Some(mut segment) = Segment::new() else { return };
    let node = segment.host("node");
    let cases = [
        (CapabilitySet::NET_ADMIN, Purpose::Served, Some(Lack::NetAdmin), "CAP_NET_ADMIN"),
        (CapabilitySet::NET_ADMIN, Purpose::Foreign, None, ""),
        (CapabilitySet::NET_RAW, Purpose::Served, Some(Lack::NetRaw), "CAP_NET_RAW"),
        (CapabilitySet::NET_RAW, Purpose::Foreign, Some(Lack::NetRaw), "CAP_NET_RAW"),
    ];
    for (capability, purpose, lack, name) in cases {
        let directory = tempfile::tempdir().expect("a folder");
        let settings = Settings { directory: directory.path().to_owned(), notrack: true };
        let refused = node.inside(move || {
            without(capability);
            let mut kernel = Kernel::open(&settings).expect("it is no error");
            let applied = kernel.set_addresses(purposes(&[VIP4, VIP6], purpose)).expect("nor is this");
            kernel.close().expect("there is nothing to undo");
            applied.refused
        });
        let wanted = lack.into_iter().flat_map(|lack| {
            [VIP4, VIP6].map(|address| (address.parse::<IpAddr>().expect("an address"), Refusal::Lacks(lack)))
        });
        assert_eq!(refused, wanted.collect(), "{capability:?} {purpose:?}");
        assert!(refused.values().all(|refusal| refusal.to_string().contains(name)));
        let left = state(&node);
        assert!(!left.contains(VIP4) && !left.contains("proto"), "{left}");
    }
}

#[test]
fn to_look_what_can_be_done_changes_nothing() {
    let Some(mut segment) = Segment::new() else { return };
    let node = segment.host("node");
    let directory = tempfile::tempdir().expect("a folder");
    let process = Process::start(&node, directory.path());
    assert_eq!(state(&node), UNTOUCHED);
    drop(process);
}

#[test]
fn an_undo_that_may_not_names_the_capability() {
    let Some(mut segment) = Segment::new() else { return };
    let node = segment.host("node");
    let directory = tempfile::tempdir().expect("a folder");
    let path = directory.path().to_owned();
    let mut process = Process::start(&node, directory.path());
    process.serve(&[VIP4]);
    drop(process);
    let error = node.inside(move || {
        without(CapabilitySet::NET_ADMIN);
        undo(&path, false)
    });
    assert!(error.is_err_and(|error| error.to_string().contains("CAP_NET_ADMIN")));
}
