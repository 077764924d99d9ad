//! Local routes: they make the node take what is sent to an address that none of its links has.
//!
//! Ours carry a protocol number of our own. By it they are found again after a crash, and only they are ever removed.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::IpAddr,
    sync::Arc,
};

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    address::{AddressAttribute, AddressMessage},
    link::{LinkAttribute, LinkMessage},
    route::{RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType},
};

use super::{Error, netlink::Netlink};

/// The protocol number of our routes, as `ip route` shows it. Numbers of others are listed in iproute2's `rt_protos`.
pub const ROUTE_PROTOCOL: u8 = 201;

/// `RT_TABLE_LOCAL`, which the kernel asks before every other.
const TABLE_LOCAL: u8 = 255;

/// The index of `lo`, the first link of every network namespace.
const LOOPBACK: u32 = 1;

/// Addresses that have a local route of just that address.
#[derive(Default)]
pub(super) struct LocalRoutes {
    /// By us.
    pub(super) ours: BTreeSet<IpAddr>,
    /// By others, with the protocol number that tells by whom.
    pub(super) foreign: BTreeMap<IpAddr, u8>,
}

/// All addresses for which there is a local route of just that address.
pub(super) fn local_routes(netlink: &mut Netlink) -> Result<LocalRoutes, Error> {
    let mut found = LocalRoutes::default();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut question = RouteMessage::default();
        question.header = RouteHeader { address_family: family, table: TABLE_LOCAL, ..RouteHeader::default() };
        let routes = netlink.list("list the local routes", RouteNetlinkMessage::GetRoute(question))?;
        for (address, protocol) in routes.iter().filter_map(local) {
            if protocol == ROUTE_PROTOCOL {
                found.ours.insert(address);
            } else {
                found.foreign.insert(address, protocol);
            }
        }
    }
    Ok(found)
}

/// The address that `message` makes local, if it does so for one address alone.
fn local(message: &RouteNetlinkMessage) -> Option<(IpAddr, u8)> {
    let RouteNetlinkMessage::NewRoute(route) = message else { return None };
    let header = &route.header;
    let address = route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Destination(RouteAddress::Inet(address)) => Some(IpAddr::V4(*address)),
        RouteAttribute::Destination(RouteAddress::Inet6(address)) => Some(IpAddr::V6(*address)),
        _ => None,
    })?;
    let is_local = header.table == TABLE_LOCAL && header.kind == RouteType::Local;
    (is_local && header.destination_prefix_length == prefix_length(address)).then(|| (address, header.protocol.into()))
}

/// All addresses of all links, each with the name of its link.
pub(super) fn link_addresses(netlink: &mut Netlink) -> Result<BTreeMap<IpAddr, Arc<str>>, Error> {
    let names = link_names(netlink)?;
    let question = RouteNetlinkMessage::GetAddress(AddressMessage::default());
    let answers = netlink.list("list the addresses of all links", question)?;
    let mut found = BTreeMap::new();
    for answer in answers {
        let RouteNetlinkMessage::NewAddress(message) = answer else { continue };
        let name = names.get(&message.header.index).cloned();
        let name = name.unwrap_or_else(|| format!("number {}", message.header.index).into());
        found.extend(own_address(&message).map(|address| (address, name)));
    }
    Ok(found)
}

/// On a point-to-point link the address proper is the peer's, and `Local` is ours.
fn own_address(message: &AddressMessage) -> Option<IpAddr> {
    let mut own = None;
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(address) => return Some(*address),
            AddressAttribute::Address(address) => own = Some(*address),
            _ => {}
        }
    }
    own
}

fn link_names(netlink: &mut Netlink) -> Result<BTreeMap<u32, Arc<str>>, Error> {
    let links = netlink.list("list the links", RouteNetlinkMessage::GetLink(LinkMessage::default()))?;
    let named = links.into_iter().filter_map(|answer| match answer {
        RouteNetlinkMessage::NewLink(link) => {
            let name = link.attributes.iter().find_map(|attribute| match attribute {
                LinkAttribute::IfName(name) => Some(Arc::from(name.as_str())),
                _ => None,
            })?;
            Some((link.header.index, name))
        }
        _ => None,
    });
    Ok(named.collect())
}

/// Makes `address` local. False if somebody else did so in the meantime.
pub(super) fn add(netlink: &mut Netlink, address: IpAddr) -> Result<bool, Error> {
    let message = RouteNetlinkMessage::NewRoute(route(address));
    match netlink.tell("add a local route", message, NLM_F_CREATE | NLM_F_EXCL) {
        Err(Error::Refused { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        other => other.map(|()| true),
    }
}

/// Removes our route of `address`; it is well if there is none.
pub(super) fn remove(netlink: &mut Netlink, address: IpAddr) -> Result<(), Error> {
    let message = RouteNetlinkMessage::DelRoute(route(address));
    match netlink.tell("remove a local route", message, 0) {
        Err(Error::Refused { source, .. }) if is_absent(&source) => Ok(()),
        other => other,
    }
}

/// `ESRCH`: there is no such route.
fn is_absent(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error())
}

/// The protocol is part of what is removed by, so that the kernel itself spares the routes of others.
fn route(address: IpAddr) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header = RouteHeader {
        address_family: if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 },
        destination_prefix_length: prefix_length(address),
        table: TABLE_LOCAL,
        protocol: RouteProtocol::from(ROUTE_PROTOCOL),
        scope: if address.is_ipv4() { RouteScope::Host } else { RouteScope::Universe },
        kind: RouteType::Local,
        ..RouteHeader::default()
    };
    message.attributes = vec![RouteAttribute::Destination(address.into()), RouteAttribute::Oif(LOOPBACK)];
    message
}

fn prefix_length(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}
