//! What follows the Ethernet header of an ARP frame: what is read is written as it was, and a responder's frames can be
//! read.

use crate::segment;

/// Any ARP packet.
pub fn arp(data: &[u8]) {
    segment::hear(&[&segment::HEADER[..], &[0x08, 0x06], data].concat());
}
