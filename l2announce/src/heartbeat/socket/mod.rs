//! Heartbeats over UDP on one link: peers are found by multicast, without any configuration. What is said, and whether it
//! is believed, is not known here.
//!
//! Both families are used where the link has both, with the same bytes: who hears both hears one of them twice, which
//! costs nothing. Nothing leaves the link (a hop limit of 1), and nothing that arrives on another one is heard.

mod neighbours;

use std::{
    io::{self, ErrorKind},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6},
    sync::Arc,
};

use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use self::neighbours::Neighbours;
use super::{LONGEST, LinkId};
use crate::{Moment, NodeName};

/// Where heartbeats go, by UDP; the link between nodes has the same number by TCP.
pub const PORT: u16 = 7947;
/// Of 224.0.0.0/24, which switches hand on to every port without being asked (RFC 4541, section 2.1.2); from what RFC 4727
/// leaves to those who want no assignment.
pub const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 254);
/// Transient and of link scope (RFC 4291, section 2.7).
pub const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff12, 0, 0, 0, 0, 0, 0x706f, 0x7374);

/// Heartbeats of which one goes to the group, where the others go to known peers alone.
const FINDING: u64 = 4;

/// What is known of the link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The kernel's number of it.
    pub link: LinkId,
    /// Its name.
    pub name: Arc<str>,
    /// It has an address of IPv4.
    pub v4: bool,
    /// It has an address of IPv6 that is valid on it alone.
    pub v6: bool,
    /// Multicast is slow and unsafe on it, as radios send it at their lowest rate and once: known peers are spoken to one
    /// by one.
    pub is_wireless: bool,
}

/// The system's: no heartbeats on a link.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No address to send from.
    #[error("{0} has neither an IPv4 nor a link-local IPv6 address, so heartbeats cannot be sent on it")]
    Addressless(Arc<str>),
    /// The port is somebody else's.
    #[error("UDP port {port} on {link} is in use by another program; heartbeats want one that is free on all nodes")]
    InUse {
        /// The link's name.
        link: Arc<str>,
        /// Which port.
        port: u16,
    },
    /// Anything else.
    #[error("a socket for heartbeats on {link}: {what}: {source}")]
    System {
        /// The link's name.
        link: Arc<str>,
        /// What was tried.
        what: &'static str,
        /// What the system says.
        source: io::Error,
    },
}

/// Sends and hears heartbeats on one link.
#[derive(Debug)]
pub struct LinkSocket {
    place: Place,
    port: u16,
    v4: Option<UdpSocket>,
    v6: Option<UdpSocket>,
    neighbours: Neighbours,
    beats: u64,
}

impl LinkSocket {
    /// At `place`, on `port`. Must be called within a runtime.
    pub fn open(place: Place, port: u16) -> Result<Self, OpenError> {
        if !place.v4 && !place.v6 {
            return Err(OpenError::Addressless(place.name));
        }
        let v4 = place.v4.then(|| open_v4(&place, port)).transpose()?;
        let v6 = place.v6.then(|| open_v6(&place, port)).transpose()?;
        Ok(Self { place, port, v4, v6, neighbours: Neighbours::default(), beats: 0 })
    }

    /// Where it is.
    pub const fn place(&self) -> &Place {
        &self.place
    }

    /// The next datagram, and who sent it. It may be anything. Can be dropped at any time without losing one.
    pub async fn receive(&self) -> io::Result<(Vec<u8>, SocketAddr)> {
        match (&self.v4, &self.v6) {
            (Some(v4), Some(v6)) => tokio::select! {
                received = receive(v4) => received,
                received = receive(v6) => received,
            },
            (Some(only), None) | (None, Some(only)) => receive(only).await,
            (None, None) => std::future::pending().await,
        }
    }

    /// Drops what waits to be received: after a pause of the process it would be taken for news.
    pub fn drop_waiting(&self) {
        let mut buffer = [0; 1];
        for socket in self.v4.iter().chain(&self.v6) {
            while socket.try_recv_from(&mut buffer).is_ok() {}
        }
    }

    /// `node` has proved who it is, and spoke from `address`.
    pub fn meet(&mut self, now: Moment, node: &NodeName, address: SocketAddr) {
        self.neighbours.meet(now, node, address);
    }

    /// Sends the datagrams of one heartbeat. What cannot be sent now is lost; an error only where nothing could be.
    pub fn send(&mut self, now: Moment, datagrams: &[Vec<u8>]) -> io::Result<()> {
        let mut targets: Vec<SocketAddr> = Vec::new();
        if self.place.is_wireless {
            targets.extend(self.neighbours.all(now));
        }
        if !self.place.is_wireless || targets.is_empty() || self.beats.is_multiple_of(FINDING) {
            targets.extend(self.groups());
        }
        self.beats += 1;
        let mut outcome = Err(io::Error::from(ErrorKind::NotConnected));
        for (target, datagram) in targets.iter().flat_map(|target| datagrams.iter().map(move |said| (target, said))) {
            let sent = self.send_to(datagram, *target);
            outcome = if outcome.is_ok() { outcome } else { sent };
        }
        outcome
    }

    /// Sends to `node` alone, from where it spoke last.
    pub fn send_to_node(&mut self, now: Moment, node: &NodeName, datagram: &[u8]) -> io::Result<()> {
        let target = self.neighbours.of(now, node).ok_or(ErrorKind::HostUnreachable)?;
        self.send_to(datagram, target)
    }

    fn groups(&self) -> impl Iterator<Item = SocketAddr> {
        let v4 = self.v4.as_ref().map(|_| SocketAddrV4::new(GROUP_V4, self.port).into());
        let v6 = self.v6.as_ref().map(|_| SocketAddrV6::new(GROUP_V6, self.port, 0, self.place.link).into());
        v4.into_iter().chain(v6)
    }

    fn send_to(&self, datagram: &[u8], target: SocketAddr) -> io::Result<()> {
        let socket = if target.is_ipv4() { &self.v4 } else { &self.v6 };
        let socket = socket.as_ref().ok_or(ErrorKind::NotConnected)?;
        socket.try_send_to(datagram, target).map(drop)
    }
}

async fn receive(socket: &UdpSocket) -> io::Result<(Vec<u8>, SocketAddr)> {
    // One byte more than any heartbeat has, so that what is longer is seen to be.
    let mut buffer = [0; LONGEST + 1];
    let (length, sender) = socket.recv_from(&mut buffer).await?;
    Ok((buffer.get(..length).unwrap_or_default().to_vec(), sender))
}

fn open_v4(place: &Place, port: u16) -> Result<UdpSocket, OpenError> {
    open(place, port, Domain::IPV4, (Ipv4Addr::UNSPECIFIED, port).into(), |socket| {
        socket.join_multicast_v4_n(&GROUP_V4, &InterfaceIndexOrAddress::Index(place.link))?;
        socket.set_multicast_loop_v4(false)?;
        socket.set_multicast_ttl_v4(1)?;
        socket.set_ttl_v4(1)
    })
}

fn open_v6(place: &Place, port: u16) -> Result<UdpSocket, OpenError> {
    open(place, port, Domain::IPV6, (Ipv6Addr::UNSPECIFIED, port).into(), |socket| {
        socket.join_multicast_v6(&GROUP_V6, place.link)?;
        socket.set_multicast_if_v6(place.link)?;
        socket.set_multicast_loop_v6(false)?;
        socket.set_multicast_hops_v6(1)?;
        socket.set_unicast_hops_v6(1)
    })
}

fn open(
    place: &Place,
    port: u16,
    domain: Domain,
    address: SocketAddr,
    join: impl FnOnce(&Socket) -> io::Result<()>,
) -> Result<UdpSocket, OpenError> {
    let failed = |what| {
        move |source: io::Error| match source.kind() {
            ErrorKind::AddrInUse => OpenError::InUse { link: place.name.clone(), port },
            _ => OpenError::System { link: place.name.clone(), what, source },
        }
    };
    let socket =
        Socket::new(domain, Type::DGRAM.nonblocking(), Some(Protocol::UDP)).map_err(failed("it cannot be had"))?;
    if domain == Domain::IPV6 {
        socket.set_only_v6(true).map_err(failed("it cannot be had"))?;
    }
    // A process that replaces this one listens beside it.
    socket.set_reuse_address(true).map_err(failed("it cannot be shared"))?;
    socket.bind_device(Some(place.name.as_bytes())).map_err(failed("it cannot be bound to the link"))?;
    socket.bind(&address.into()).map_err(failed("it cannot be bound"))?;
    join(&socket).map_err(failed("the group cannot be joined"))?;
    UdpSocket::from_std(socket.into()).map_err(failed("the runtime cannot have it"))
}
