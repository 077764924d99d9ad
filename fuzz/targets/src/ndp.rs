//! What follows the Ethernet header of an IPv6 frame: neighbour discovery that is read is written as it was meant, and a
//! responder's frames can be read. The checksum is made right, or no input would get past it.

use std::net::Ipv6Addr;

use crate::segment;

const ICMP_AT: usize = 40;
const CHECKSUM_AT: usize = 42;

/// Any IPv6 packet.
pub fn ndp(data: &[u8]) {
    segment::hear(&[&segment::HEADER[..], &[0x86, 0xdd], data].concat());
    segment::hear(&[&segment::HEADER[..], &[0x86, 0xdd], &checksummed(data)].concat());
}

fn checksummed(data: &[u8]) -> Vec<u8> {
    let mut packet = data.to_vec();
    let (Some(source), Some(destination)) = (address(data, 8), address(data, 24)) else { return packet };
    let Some(announced) = packet.get(4..6).and_then(|length| <[u8; 2]>::try_from(length).ok()) else { return packet };
    let end = ICMP_AT + usize::from(u16::from_be_bytes(announced));
    let Some(message) = packet.get_mut(ICMP_AT..end).filter(|message| message.len() >= 4) else { return packet };
    message[2..4].fill(0);
    let sum = checksum(source, destination, message);
    packet[CHECKSUM_AT..CHECKSUM_AT + 2].copy_from_slice(&sum.to_be_bytes());
    packet
}

fn address(data: &[u8], at: usize) -> Option<Ipv6Addr> {
    data.get(at..)?.first_chunk::<16>().map(|octets| Ipv6Addr::from(*octets))
}

/// RFC 4443, 2.3: of the pseudo-header and the message.
fn checksum(source: Ipv6Addr, destination: Ipv6Addr, message: &[u8]) -> u16 {
    let words = |bytes: &[u8]| -> u64 {
        bytes.chunks(2).map(|pair| u64::from(pair[0]) << 8 | u64::from(pair.get(1).copied().unwrap_or(0))).sum()
    };
    let mut sum = words(&source.octets()) + words(&destination.octets()) + words(message) + message.len() as u64 + 58;
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).expect("it was folded to 16 bits")
}
