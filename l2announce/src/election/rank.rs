//! Who comes first for an address, the same in the eyes of all nodes that know the same: rendezvous hashing within the
//! class of those that can most and are preferred most.

use std::net::{IpAddr, Ipv4Addr};

use aws_lc_rs::digest::{SHA256, digest};

/// How a node stands to others for addresses that are elected together: the greatest comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Standing {
    pub(super) class: Class,
    pub(super) score: u128,
}

/// Of classes, only the greatest matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Class {
    /// How many of the addresses the node can announce.
    pub(super) covered: usize,
    /// The sum of its weights for them.
    pub(super) weight: u64,
}

/// Which of two owners of one epoch stays: the same for whatever they own, since they may not have been told alike yet what
/// is elected together.
pub(super) fn insistence(node: &str) -> u128 {
    score(IpAddr::V4(Ipv4Addr::UNSPECIFIED), node)
}

/// Of `node` for what is elected as `address` (highest random weight, Thaler and Ravishankar 1998): SHA-256 of both, so
/// that it never differs between versions or machines.
pub(super) fn score(address: IpAddr, node: &str) -> u128 {
    let text = format!("{node}#{address}");
    let digest = digest(&SHA256, text.as_bytes());
    let bytes = digest.as_ref().first_chunk().expect("SHA-256 has 32 bytes");
    u128::from_be_bytes(*bytes)
}
