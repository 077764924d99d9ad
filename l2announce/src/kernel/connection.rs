//! The TCP connections that this node has at given addresses, as the kernel tells them (`sock_diag`). Listing them in
//! `/proc/net/tcp` would cost ten times as much, and be torn.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

use netlink_packet_sock_diag::{
    SockDiagMessage,
    constants::{AF_INET, AF_INET6, IPPROTO_TCP},
    inet::{ExtensionFlags, InetRequest, SocketId, StateFlags},
};
use netlink_sys::protocols::NETLINK_SOCK_DIAG;

use super::{Error, netlink::Netlink};

/// One TCP connection, as seen from the node that has it. Both ends are of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flow {
    client: SocketAddr,
    local: SocketAddr,
}

impl Flow {
    /// Nothing if the two are of different families. IPv4 addresses that are written as IPv6 ones are IPv4 here: that is
    /// what their packets are.
    pub fn new(client: SocketAddr, local: SocketAddr) -> Option<Self> {
        let plain = |socket: SocketAddr| SocketAddr::new(socket.ip().to_canonical(), socket.port());
        let (client, local) = (plain(client), plain(local));
        (client.is_ipv4() == local.is_ipv4()).then_some(Self { client, local })
    }

    /// The far end.
    pub fn client(&self) -> SocketAddr {
        self.client
    }

    /// The end at the announced address.
    pub fn local(&self) -> SocketAddr {
        self.local
    }
}

/// All connections of `addresses` on this node whose client would notice if they vanished: established, half open, and
/// half closed ones. One whose client has such an address too is of this node alone, and left out. 50,000 take some
/// 200 ms, in which the thread is busy.
pub fn connections(addresses: &BTreeSet<IpAddr>) -> Result<Vec<Flow>, Error> {
    let mut netlink = Netlink::open(NETLINK_SOCK_DIAG)?;
    let mut found = Vec::new();
    // IPv4 connections of a socket that listens on `[::]` are listed as IPv6, so both are asked for in any case.
    for family in [AF_INET, AF_INET6] {
        let request = SockDiagMessage::InetRequest(InetRequest {
            family,
            protocol: IPPROTO_TCP,
            extensions: ExtensionFlags::empty(),
            states: alive(),
            socket_id: if family == AF_INET { SocketId::new_v4() } else { SocketId::new_v6() },
        });
        netlink.visit("list TCP connections", request, &mut |answer| found.extend(flow(&answer, addresses)))?;
    }
    Ok(found)
}

fn alive() -> StateFlags {
    StateFlags::ESTABLISHED
        | StateFlags::SYN_RECV
        | StateFlags::FIN_WAIT1
        | StateFlags::FIN_WAIT2
        | StateFlags::CLOSE_WAIT
        | StateFlags::LAST_ACK
        | StateFlags::CLOSING
}

fn flow(answer: &SockDiagMessage, addresses: &BTreeSet<IpAddr>) -> Option<Flow> {
    let SockDiagMessage::InetResponse(response) = answer else { return None };
    let id = &response.header.socket_id;
    let local = SocketAddr::new(id.source_address, id.source_port);
    let flow = Flow::new(SocketAddr::new(id.destination_address, id.destination_port), local)?;
    let is_far = !addresses.contains(&flow.client.ip());
    (is_far && addresses.contains(&flow.local.ip())).then_some(flow)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_has_one_family_and_mapped_addresses_are_plain() {
        let socket = |text: &str| text.parse::<SocketAddr>().expect("a socket address");
        assert_eq!(Flow::new(socket("10.0.0.1:5"), socket("[2001:db8::1]:443")), None);
        let mapped = Flow::new(socket("[::ffff:10.0.0.1]:5"), socket("[::ffff:10.0.0.2]:443"));
        assert_eq!(mapped, Flow::new(socket("10.0.0.1:5"), socket("10.0.0.2:443")));
        assert!(mapped.is_some_and(|flow| flow.client().is_ipv4() && flow.local().is_ipv4()));
    }
}
