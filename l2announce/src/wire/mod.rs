//! Frames of ARP and neighbour discovery as exact types: bytes are read to them with every check that the RFCs ask of a
//! receiver, and written from them. What a frame means for an address is decided in `responder`.
//!
//! Frames are as the kernel gives them on a link: it has taken off the VLAN tag of a frame that belongs to a VLAN link,
//! so one that still has a tag belongs to another link and is unfit.

mod arp;
mod ndp;
#[cfg(test)]
mod tests;

use pnet_packet::{
    Packet as _,
    ethernet::{EtherTypes, EthernetPacket, MutableEthernetPacket},
};

pub use self::{
    arp::{Arp, Operation},
    ndp::{ALL_NODES, Advertisement, Solicitation, multicast_mac, solicited_node},
};
pub use pnet_base::MacAddr;

const ETHERNET_HEADER: usize = EthernetPacket::minimum_packet_size();

/// One Ethernet frame of a kind that is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Whom it is for, by its Ethernet header.
    pub destination: MacAddr,
    /// Who sent it, by its Ethernet header.
    pub source: MacAddr,
    /// What it says.
    pub packet: Packet,
}

/// What a frame says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet {
    /// ARP, for IPv4 over Ethernet (RFC 826).
    Arp(Arp),
    /// A neighbour solicitation (RFC 4861, 4.3): ARP's request of IPv6.
    Solicitation(Solicitation),
    /// A neighbour advertisement (RFC 4861, 4.4): ARP's reply of IPv6.
    Advertisement(Advertisement),
}

/// Why a frame is not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Fewer bytes than its headers or lengths promise.
    #[error("the frame ends before what its headers promise")]
    Truncated,
    /// Neither ARP nor IPv6.
    #[error("EtherType {0:#06x} is neither ARP nor IPv6")]
    EtherType(u16),
    /// The sender's link-layer address names more than one station, or none.
    #[error("the sender's link-layer address {0} is no station's")]
    Station(MacAddr),
    /// ARP of other link or network layers.
    #[error("ARP for other than IPv4 over Ethernet")]
    ArpKind,
    /// ARP that neither asks nor answers.
    #[error("ARP operation {0} is neither request nor reply")]
    ArpOperation(u16),
    /// The version field says otherwise.
    #[error("IP version {0} behind the EtherType of IPv6")]
    IpVersion(u8),
    /// Not ICMPv6. Neighbour discovery behind extension headers is not looked at, as no system sends it.
    #[error("next header {0} is not ICMPv6")]
    NextHeader(u8),
    /// It may have come from another segment (RFC 4861, 7.1).
    #[error("hop limit {0} instead of 255: a router may have forwarded it")]
    HopLimit(u8),
    /// The ICMPv6 checksum is wrong.
    #[error("the ICMPv6 checksum is wrong")]
    Checksum,
    /// ICMPv6, but neither solicitation nor advertisement.
    #[error("ICMPv6 type {0} is no neighbour solicitation or advertisement")]
    IcmpType(u8),
    /// Must be 0 (RFC 4861, 7.1).
    #[error("ICMPv6 code {0} instead of 0")]
    IcmpCode(u8),
    /// The source is a multicast address.
    #[error("the source is a multicast address")]
    MulticastSource,
    /// Neighbours have unicast addresses (RFC 4861, 7.1).
    #[error("the target is a multicast address")]
    MulticastTarget,
    /// An option of length 0 (RFC 4861, 4.6), or one that is longer than what is left.
    #[error("an option's length does not fit the packet")]
    OptionLength,
    /// A link-layer address option whose content is no Ethernet address.
    #[error("a link-layer address option that does not hold an Ethernet address")]
    LinkLayerOption,
    /// A probe (source `::`) that isn't sent to the target's solicited-node group, or names a link-layer address
    /// (RFC 4861, 7.1.1).
    #[error("a probe that goes elsewhere than to the solicited-node group, or that names a link-layer address")]
    Probe,
    /// Only what goes to one station can answer it (RFC 4861, 7.1.2).
    #[error("an advertisement to a group that claims to be solicited")]
    SolicitedToGroup,
}

impl Frame {
    /// Reads a whole Ethernet frame.
    pub fn parse(bytes: &[u8]) -> Result<Self, Unfit> {
        let ethernet = EthernetPacket::new(bytes).ok_or(Unfit::Truncated)?;
        let source = station(ethernet.get_source())?;
        let packet = match ethernet.get_ethertype() {
            EtherTypes::Arp => Packet::Arp(Arp::parse(ethernet.payload())?),
            EtherTypes::Ipv6 => ndp::parse(ethernet.payload())?,
            other => return Err(Unfit::EtherType(other.0)),
        };
        Ok(Self { destination: ethernet.get_destination(), source, packet })
    }

    /// The bytes to send.
    pub fn encode(&self) -> Vec<u8> {
        let (kind, payload) = match &self.packet {
            Packet::Arp(arp) => (EtherTypes::Arp, arp.encode()),
            Packet::Solicitation(solicitation) => (EtherTypes::Ipv6, solicitation.encode()),
            Packet::Advertisement(advertisement) => (EtherTypes::Ipv6, advertisement.encode()),
        };
        let mut bytes = vec![0; ETHERNET_HEADER + payload.len()];
        let mut ethernet = MutableEthernetPacket::new(&mut bytes).expect("the buffer holds the header");
        ethernet.set_destination(self.destination);
        ethernet.set_source(self.source);
        ethernet.set_ethertype(kind);
        ethernet.set_payload(&payload);
        bytes
    }
}

/// Whether a frame is to be sent as IPv6 rather than as ARP.
pub(crate) fn is_ipv6(frame: &[u8]) -> bool {
    EthernetPacket::new(frame).is_some_and(|ethernet| ethernet.get_ethertype() == EtherTypes::Ipv6)
}

/// A link-layer address that one station can have.
fn station(mac: MacAddr) -> Result<MacAddr, Unfit> {
    if mac.is_multicast() || mac.is_broadcast() || mac.is_zero() { Err(Unfit::Station(mac)) } else { Ok(mac) }
}
