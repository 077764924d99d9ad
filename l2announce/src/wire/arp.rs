//! ARP for IPv4 over Ethernet (RFC 826), with the probe and the announcement of RFC 5227.

use std::net::Ipv4Addr;

use pnet_packet::arp::{ArpHardwareTypes, ArpOperation, ArpOperations, ArpPacket, MutableArpPacket};
use pnet_packet::ethernet::EtherTypes;

use super::{Frame, MacAddr, Packet, Unfit, station};

/// One ARP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arp {
    /// Whether it asks or answers.
    pub operation: Operation,
    /// The station that it speaks for.
    pub sender_mac: MacAddr,
    /// The address that it says is that station's; 0.0.0.0 where it only asks (RFC 5227, 2.1.1).
    pub sender: Ipv4Addr,
    /// The station that is answered; means nothing in a request.
    pub target_mac: MacAddr,
    /// The address that is asked for, or that of the station that is answered.
    pub target: Ipv4Addr,
}

/// What an ARP packet does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// It asks who has the target.
    Request,
    /// It answers.
    Reply,
}

impl Arp {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Unfit> {
        let packet = ArpPacket::new(bytes).ok_or(Unfit::Truncated)?;
        if !is_ipv4_over_ethernet(&packet) {
            return Err(Unfit::ArpKind);
        }
        Ok(Self {
            operation: operation(packet.get_operation())?,
            sender_mac: station(packet.get_sender_hw_addr())?,
            sender: packet.get_sender_proto_addr(),
            target_mac: packet.get_target_hw_addr(),
            target: packet.get_target_proto_addr(),
        })
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; ArpPacket::minimum_packet_size()];
        let mut packet = MutableArpPacket::new(&mut bytes).expect("the buffer holds the packet");
        packet.set_hardware_type(ArpHardwareTypes::Ethernet);
        packet.set_protocol_type(EtherTypes::Ipv4);
        packet.set_hw_addr_len(6);
        packet.set_proto_addr_len(4);
        packet.set_operation(match self.operation {
            Operation::Request => ArpOperations::Request,
            Operation::Reply => ArpOperations::Reply,
        });
        packet.set_sender_hw_addr(self.sender_mac);
        packet.set_sender_proto_addr(self.sender);
        packet.set_target_hw_addr(self.target_mac);
        packet.set_target_proto_addr(self.target);
        bytes
    }

    /// Tells everybody that `address` is at `mac`, whether they asked or not. Both operations exist because a client
    /// whose entry is younger than a second takes a request only, and some take a reply only; the target's link-layer
    /// address is the broadcast one, as MetalLB has it.
    pub fn announcement(operation: Operation, mac: MacAddr, address: Ipv4Addr) -> Frame {
        let packet =
            Self { operation, sender_mac: mac, sender: address, target_mac: MacAddr::broadcast(), target: address };
        packet.broadcast(mac)
    }

    /// Asks who has `address` without saying that anybody has (RFC 5227, 2.1.1): no cache changes by it.
    pub fn probe(mac: MacAddr, address: Ipv4Addr) -> Frame {
        let packet = Self {
            operation: Operation::Request,
            sender_mac: mac,
            sender: Ipv4Addr::UNSPECIFIED,
            target_mac: MacAddr::zero(),
            target: address,
        };
        packet.broadcast(mac)
    }

    /// Answers this request: its target is at `mac`.
    pub fn answer(&self, mac: MacAddr) -> Frame {
        let packet = Self {
            operation: Operation::Reply,
            sender_mac: mac,
            sender: self.target,
            target_mac: self.sender_mac,
            target: self.sender,
        };
        Frame { destination: self.sender_mac, source: mac, packet: Packet::Arp(packet) }
    }

    fn broadcast(self, mac: MacAddr) -> Frame {
        Frame { destination: MacAddr::broadcast(), source: mac, packet: Packet::Arp(self) }
    }
}

fn is_ipv4_over_ethernet(packet: &ArpPacket<'_>) -> bool {
    packet.get_hardware_type() == ArpHardwareTypes::Ethernet
        && packet.get_protocol_type() == EtherTypes::Ipv4
        && packet.get_hw_addr_len() == 6
        && packet.get_proto_addr_len() == 4
}

fn operation(operation: ArpOperation) -> Result<Operation, Unfit> {
    match operation {
        ArpOperations::Request => Ok(Operation::Request),
        ArpOperations::Reply => Ok(Operation::Reply),
        ArpOperation(other) => Err(Unfit::ArpOperation(other)),
    }
}
