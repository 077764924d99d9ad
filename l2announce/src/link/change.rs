//! What the kernel says of links and addresses, taken from its messages.

use std::{net::IpAddr, sync::Arc};

use ipnet::IpNet;
use netlink_packet_route::{
    RouteNetlinkMessage,
    address::{AddressAttribute, AddressMessage},
    link::{InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkLayerType, LinkMessage, State},
};

use crate::wire::MacAddr;

/// One change to the links of the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A link is there, or is another one than before in what is said of it.
    Link {
        /// Its number.
        index: u32,
        /// All that is said of it.
        facts: Facts,
    },
    /// A link is gone, with its addresses.
    LinkGone(u32),
    /// A link has an address.
    Address {
        /// Its number.
        index: u32,
        /// The address, and how long the prefix of its subnet is.
        address: IpNet,
    },
    /// A link has an address no more.
    AddressGone {
        /// Its number.
        index: u32,
        /// The address, and how long the prefix of its subnet is.
        address: IpNet,
    },
}

/// What the kernel says of one link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Its name.
    pub name: Arc<str>,
    /// Its station.
    pub mac: Option<MacAddr>,
    /// Somebody set it up (`IFF_UP`).
    pub is_up: bool,
    /// It can carry frames: there is a carrier (`IFF_LOWER_UP`), and nothing such as 802.1X is waited for.
    pub has_carrier: bool,
    /// Its link layer is Ethernet or looks like it, as Wi-Fi does.
    pub is_ethernet: bool,
    /// It leads to this node alone.
    pub is_loopback: bool,
    /// It has a broadcast address.
    pub has_broadcast: bool,
    /// It was told to do without ARP.
    pub is_no_arp: bool,
    /// The bridge, bond or VRF that it belongs to.
    pub controller: Option<u32>,
    /// It is a VRF: what belongs to it is still a link of its own.
    pub is_vrf: bool,
    /// A radio, whose access point or driver may hold back what isn't for its own station.
    pub is_wireless: bool,
}

impl Change {
    /// What a message of the kernel says, if it is about links or addresses.
    pub fn read(message: &RouteNetlinkMessage, is_wireless: impl Fn(&str) -> bool) -> Option<Self> {
        match message {
            RouteNetlinkMessage::NewLink(link) => {
                Some(Self::Link { index: link.header.index, facts: Facts::read(link, is_wireless)? })
            }
            RouteNetlinkMessage::DelLink(link) => Some(Self::LinkGone(link.header.index)),
            RouteNetlinkMessage::NewAddress(address) => {
                Some(Self::Address { index: address.header.index, address: subnet(address)? })
            }
            RouteNetlinkMessage::DelAddress(address) => {
                Some(Self::AddressGone { index: address.header.index, address: subnet(address)? })
            }
            _ => None,
        }
    }
}

impl Facts {
    fn read(message: &LinkMessage, is_wireless: impl Fn(&str) -> bool) -> Option<Self> {
        let name = attribute(message, |attribute| match attribute {
            LinkAttribute::IfName(name) => Some(Arc::<str>::from(name.as_str())),
            _ => None,
        })?;
        let flags = message.header.flags;
        let state = attribute(message, |attribute| match attribute {
            LinkAttribute::OperState(state) => Some(*state),
            _ => None,
        });
        Some(Self {
            mac: attribute(message, station),
            is_up: flags.contains(LinkFlags::Up),
            // Drivers that know no states leave it at Unknown (RFC 2863).
            has_carrier: flags.contains(LinkFlags::LowerUp) && matches!(state, None | Some(State::Up | State::Unknown)),
            is_ethernet: message.header.link_layer_type == LinkLayerType::Ether,
            is_loopback: flags.contains(LinkFlags::Loopback),
            has_broadcast: flags.contains(LinkFlags::Broadcast),
            is_no_arp: flags.contains(LinkFlags::Noarp),
            controller: attribute(message, |attribute| match attribute {
                LinkAttribute::Controller(index) => Some(*index).filter(|index| *index != 0),
                _ => None,
            }),
            is_vrf: attribute(message, kind) == Some(InfoKind::Vrf),
            is_wireless: is_wireless(&name),
            name,
        })
    }
}

fn attribute<T>(message: &LinkMessage, read: impl Fn(&LinkAttribute) -> Option<T>) -> Option<T> {
    message.attributes.iter().find_map(read)
}

fn station(attribute: &LinkAttribute) -> Option<MacAddr> {
    let LinkAttribute::Address(bytes) = attribute else { return None };
    let [a, b, c, d, e, f] = *bytes.as_slice() else { return None };
    Some(MacAddr(a, b, c, d, e, f)).filter(|mac| !mac.is_zero())
}

fn kind(attribute: &LinkAttribute) -> Option<InfoKind> {
    let LinkAttribute::LinkInfo(infos) = attribute else { return None };
    infos.iter().find_map(|info| match info {
        LinkInfo::Kind(kind) => Some(kind.clone()),
        _ => None,
    })
}

/// The local address: what the message calls the address is the peer's on links to one peer.
fn subnet(message: &AddressMessage) -> Option<IpNet> {
    let find = |read: fn(&AddressAttribute) -> Option<IpAddr>| message.attributes.iter().find_map(read);
    let local = find(|attribute| match attribute {
        AddressAttribute::Local(address) => Some(*address),
        _ => None,
    });
    let address = local.or_else(|| {
        find(|attribute| match attribute {
            AddressAttribute::Address(address) => Some(*address),
            _ => None,
        })
    })?;
    IpNet::new(address, message.header.prefix_len).ok()
}
