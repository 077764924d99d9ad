//! The default gateways of this node, by its routes.

use std::{collections::BTreeSet, net::IpAddr};

use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    route::{RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteType},
};
use netlink_sys::protocols::NETLINK_ROUTE;

use super::{Error, netlink::Netlink};

/// Every default gateway of the main table, with the number of the link that it is on. Of a link with gateways of both
/// families, those of IPv4 alone: they are one machine.
pub fn gateways() -> Result<BTreeSet<(u32, IpAddr)>, Error> {
    let mut netlink = Netlink::open(NETLINK_ROUTE)?;
    let mut found = BTreeSet::new();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut question = RouteMessage::default();
        question.header =
            RouteHeader { address_family: family, table: RouteHeader::RT_TABLE_MAIN, ..RouteHeader::default() };
        let routes = netlink.list("list the routes", RouteNetlinkMessage::GetRoute(question))?;
        let of_family: Vec<_> = routes.iter().flat_map(default_gateways).collect();
        let has_other = |link: u32| found.iter().any(|(other, _)| *other == link);
        let new: Vec<_> = of_family.into_iter().filter(|(link, _)| !has_other(*link)).collect();
        found.extend(new);
    }
    Ok(found)
}

fn default_gateways(message: &RouteNetlinkMessage) -> Vec<(u32, IpAddr)> {
    let RouteNetlinkMessage::NewRoute(route) = message else { return Vec::new() };
    let header = &route.header;
    let is_default = header.destination_prefix_length == 0 && header.kind == RouteType::Unicast;
    if !is_default || header.table != RouteHeader::RT_TABLE_MAIN {
        return Vec::new();
    }
    let link = route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Oif(link) => Some(*link),
        _ => None,
    });
    let hops = route.attributes.iter().flat_map(|attribute| match attribute {
        RouteAttribute::MultiPath(hops) => hops.as_slice(),
        _ => &[],
    });
    let own = link.and_then(|link| Some((link, gateway(&route.attributes)?)));
    hops.filter_map(|hop| Some((hop.interface_index, gateway(&hop.attributes)?))).chain(own).collect()
}

fn gateway(attributes: &[RouteAttribute]) -> Option<IpAddr> {
    attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Gateway(RouteAddress::Inet(address)) => Some(IpAddr::V4(*address)),
        RouteAttribute::Gateway(RouteAddress::Inet6(address)) => Some(IpAddr::V6(*address)),
        _ => None,
    })
}
