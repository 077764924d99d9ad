//! Neighbour solicitations and advertisements (RFC 4861), with the probe of duplicate address detection (RFC 4862).
//!
//! Headers are read with pnet, options here: its iterator counts their lengths in a byte, which overflows.

use std::net::Ipv6Addr;

use pnet_packet::{
    Packet as _,
    icmpv6::{Icmpv6Code, Icmpv6Packet, Icmpv6Type, Icmpv6Types, MutableIcmpv6Packet, checksum},
    ip::IpNextHeaderProtocols,
    ipv6::{Ipv6Packet, MutableIpv6Packet},
};

use super::{Frame, MacAddr, Packet, Unfit, station};

/// Every station on the segment: `ff02::1`.
pub const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// What no router changes: a packet that has it was sent on this segment (RFC 4861, 7.1).
const HOP_LIMIT: u8 = 255;
const IPV6_HEADER: usize = Ipv6Packet::minimum_packet_size();
/// ICMPv6 header, flags or reserved bytes, target.
const FIXED: usize = 24;
const FLAGS_AT: usize = 4;
const TARGET_AT: usize = 8;
const SOURCE_LINK: u8 = 1;
const TARGET_LINK: u8 = 2;
/// Options are measured in these.
const OPTION_UNIT: usize = 8;
const ROUTER: u8 = 0x80;
const SOLICITED: u8 = 0x40;
const OVERRIDE: u8 = 0x20;

/// Asks who has `target`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Solicitation {
    /// Who asks; `::` in a probe of duplicate address detection.
    pub source: Ipv6Addr,
    /// The target's solicited-node group, or the target itself when a known neighbour is asked whether it is still there.
    pub destination: Ipv6Addr,
    /// The address that is asked for.
    pub target: Ipv6Addr,
    /// The asker's link-layer address, if it says it.
    pub source_link: Option<MacAddr>,
}

/// Says who has `target`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advertisement {
    /// Who says so.
    pub source: Ipv6Addr,
    /// Who asked, or all.
    pub destination: Ipv6Addr,
    /// The address that is spoken of.
    pub target: Ipv6Addr,
    /// Flag R: the sender is a router.
    pub router: bool,
    /// Flag S: it answers a solicitation, so it shows that the target is reachable.
    pub solicited: bool,
    /// Flag O: caches take it though they know another link-layer address.
    pub overriding: bool,
    /// The link-layer address of the target.
    pub target_link: Option<MacAddr>,
}

/// The group that whoever has `address` listens to (RFC 4291, 2.7.1).
pub const fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., high, low] = address.segments();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | (high & 0xff), low)
}

/// Where frames to a group go (RFC 2464, 7).
pub const fn multicast_mac(group: Ipv6Addr) -> MacAddr {
    let [.., a, b, c, d] = group.octets();
    MacAddr(0x33, 0x33, a, b, c, d)
}

/// Reads an IPv6 packet that holds one of the two. Padding behind it is left out.
pub(super) fn parse(bytes: &[u8]) -> Result<Packet, Unfit> {
    let ip = Ipv6Packet::new(bytes).ok_or(Unfit::Truncated)?;
    if ip.get_version() != 6 {
        return Err(Unfit::IpVersion(ip.get_version()));
    }
    if ip.get_next_header() != IpNextHeaderProtocols::Icmpv6 {
        return Err(Unfit::NextHeader(ip.get_next_header().0));
    }
    if ip.get_hop_limit() != HOP_LIMIT {
        return Err(Unfit::HopLimit(ip.get_hop_limit()));
    }
    let end = IPV6_HEADER + usize::from(ip.get_payload_length());
    let message = bytes.get(IPV6_HEADER..end).ok_or(Unfit::Truncated)?;
    let icmp = Icmpv6Packet::new(message).ok_or(Unfit::Truncated)?;
    if icmp.get_checksum() != checksum(&icmp, &ip.get_source(), &ip.get_destination()) {
        return Err(Unfit::Checksum);
    }
    Body::read(&ip, &icmp)?.packet(icmp.get_icmpv6_type())
}

/// What both kinds have in common.
struct Body<'p> {
    source: Ipv6Addr,
    destination: Ipv6Addr,
    target: Ipv6Addr,
    flags: u8,
    options: &'p [u8],
}

impl<'p> Body<'p> {
    fn read(ip: &Ipv6Packet<'_>, icmp: &'p Icmpv6Packet<'_>) -> Result<Self, Unfit> {
        if icmp.get_icmpv6_code() != Icmpv6Code(0) {
            return Err(Unfit::IcmpCode(icmp.get_icmpv6_code().0));
        }
        let (fixed, options) = icmp.packet().split_first_chunk::<FIXED>().ok_or(Unfit::Truncated)?;
        let target = fixed.last_chunk::<16>().expect("the target is the last of the fixed part");
        let body = Self {
            source: ip.get_source(),
            destination: ip.get_destination(),
            target: Ipv6Addr::from(*target),
            flags: fixed[FLAGS_AT],
            options,
        };
        body.check()
    }

    fn check(self) -> Result<Self, Unfit> {
        if self.source.is_multicast() {
            return Err(Unfit::MulticastSource);
        }
        if self.target.is_multicast() {
            return Err(Unfit::MulticastTarget);
        }
        Ok(self)
    }

    fn packet(self, kind: Icmpv6Type) -> Result<Packet, Unfit> {
        match kind {
            Icmpv6Types::NeighborSolicit => self.solicitation().map(Packet::Solicitation),
            Icmpv6Types::NeighborAdvert => self.advertisement().map(Packet::Advertisement),
            Icmpv6Type(other) => Err(Unfit::IcmpType(other)),
        }
    }

    fn solicitation(self) -> Result<Solicitation, Unfit> {
        let source_link = link_option(self.options, SOURCE_LINK)?;
        let is_wrong = source_link.is_some() || self.destination != solicited_node(self.target);
        if self.source.is_unspecified() && is_wrong {
            return Err(Unfit::Probe);
        }
        let Self { source, destination, target, .. } = self;
        Ok(Solicitation { source, destination, target, source_link })
    }

    fn advertisement(self) -> Result<Advertisement, Unfit> {
        let solicited = self.flags & SOLICITED != 0;
        if solicited && self.destination.is_multicast() {
            return Err(Unfit::SolicitedToGroup);
        }
        let target_link = link_option(self.options, TARGET_LINK)?;
        let Self { source, destination, target, flags, .. } = self;
        let router = flags & ROUTER != 0;
        let overriding = flags & OVERRIDE != 0;
        Ok(Advertisement { source, destination, target, router, solicited, overriding, target_link })
    }
}

/// The first link-layer address of this kind. All options are walked: one whose length is wrong spoils the packet.
fn link_option(mut options: &[u8], kind: u8) -> Result<Option<MacAddr>, Unfit> {
    let mut found = None;
    while !options.is_empty() {
        let [this, units, ..] = *options else { return Err(Unfit::OptionLength) };
        let length = usize::from(units) * OPTION_UNIT;
        let (option, rest) = options.split_at_checked(length).ok_or(Unfit::OptionLength)?;
        if length == 0 {
            return Err(Unfit::OptionLength);
        }
        if this == kind && found.is_none() {
            found = Some(link_address(option)?);
        }
        options = rest;
    }
    Ok(found)
}

fn link_address(option: &[u8]) -> Result<MacAddr, Unfit> {
    let [_, _, a, b, c, d, e, f] = *option else { return Err(Unfit::LinkLayerOption) };
    station(MacAddr(a, b, c, d, e, f))
}

impl Solicitation {
    /// Asks whether anybody has `address`, as duplicate address detection does (RFC 4862, 5.4.2): no cache changes by it.
    pub fn probe(mac: MacAddr, address: Ipv6Addr) -> Frame {
        let destination = solicited_node(address);
        let packet = Self { source: Ipv6Addr::UNSPECIFIED, destination, target: address, source_link: None };
        Frame { destination: multicast_mac(destination), source: mac, packet: Packet::Solicitation(packet) }
    }

    /// Answers this solicitation, which came from `asker`: its target is at `mac`. A probe is answered to all, since
    /// who sent it has no address yet (RFC 4861, 7.2.4).
    pub fn answer(&self, mac: MacAddr, asker: MacAddr) -> Frame {
        if self.source.is_unspecified() {
            return Advertisement::announcement(mac, self.target);
        }
        let packet =
            Advertisement { destination: self.source, solicited: true, ..Advertisement::ours(mac, self.target) };
        let destination = self.source_link.unwrap_or(asker);
        Frame { destination, source: mac, packet: Packet::Advertisement(packet) }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let option = self.source_link.map(|mac| (SOURCE_LINK, mac));
        encode(Icmpv6Types::NeighborSolicit, 0, [self.source, self.destination, self.target], option)
    }
}

impl Advertisement {
    /// Tells everybody that `address` is at `mac`, whether they asked or not (RFC 4861, 7.2.6).
    pub fn announcement(mac: MacAddr, address: Ipv6Addr) -> Frame {
        let packet = Self::ours(mac, address);
        Frame { destination: multicast_mac(ALL_NODES), source: mac, packet: Packet::Advertisement(packet) }
    }

    /// The source is the address itself, as Linux does it: a link without a link-local address can speak too.
    const fn ours(mac: MacAddr, address: Ipv6Addr) -> Self {
        Self {
            source: address,
            destination: ALL_NODES,
            target: address,
            router: false,
            solicited: false,
            overriding: true,
            target_link: Some(mac),
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let flag = |is_set: bool, bit: u8| if is_set { bit } else { 0 };
        let flags = flag(self.router, ROUTER) | flag(self.solicited, SOLICITED) | flag(self.overriding, OVERRIDE);
        let option = self.target_link.map(|mac| (TARGET_LINK, mac));
        encode(Icmpv6Types::NeighborAdvert, flags, [self.source, self.destination, self.target], option)
    }
}

fn encode(kind: Icmpv6Type, flags: u8, addresses: [Ipv6Addr; 3], option: Option<(u8, MacAddr)>) -> Vec<u8> {
    let [source, destination, target] = addresses;
    let message = message(kind, flags, target, option, |icmp| checksum(icmp, &source, &destination));
    let mut bytes = vec![0; IPV6_HEADER + message.len()];
    let mut ip = MutableIpv6Packet::new(&mut bytes).expect("the buffer holds the header");
    ip.set_version(6);
    ip.set_payload_length(u16::try_from(message.len()).expect("a message has at most 32 bytes"));
    ip.set_next_header(IpNextHeaderProtocols::Icmpv6);
    ip.set_hop_limit(HOP_LIMIT);
    ip.set_source(source);
    ip.set_destination(destination);
    ip.set_payload(&message);
    bytes
}

fn message(
    kind: Icmpv6Type,
    flags: u8,
    target: Ipv6Addr,
    option: Option<(u8, MacAddr)>,
    sum: impl FnOnce(&Icmpv6Packet<'_>) -> u16,
) -> Vec<u8> {
    let mut bytes = vec![0; FIXED];
    bytes[FLAGS_AT] = flags;
    bytes[TARGET_AT..].copy_from_slice(&target.octets());
    if let Some((kind, mac)) = option {
        bytes.extend([kind, 1]);
        bytes.extend(mac.octets());
    }
    let mut icmp = MutableIcmpv6Packet::new(&mut bytes).expect("the buffer holds the header");
    icmp.set_icmpv6_type(kind);
    let sum = sum(&icmp.to_immutable());
    icmp.set_checksum(sum);
    bytes
}
