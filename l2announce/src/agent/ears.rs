//! The sockets of heartbeats: one per link that an address may be announced on.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
};

use futures_util::future::select_all;

use crate::{
    Moment, NodeName,
    heartbeat::{
        LinkId,
        socket::{LinkSocket, Place},
    },
    link::{Link, Links},
    wire::MacAddr,
};

/// What was received where, and from whom.
pub(super) type Received = (LinkId, Vec<u8>, SocketAddr);

/// All of them.
#[derive(Debug)]
pub(super) struct Ears {
    port: u16,
    sockets: BTreeMap<LinkId, LinkSocket>,
    /// Links that could not be opened, and why; told once each.
    deaf: BTreeMap<LinkId, String>,
}

impl Ears {
    pub(super) fn new(port: u16) -> Self {
        Self { port, sockets: BTreeMap::new(), deaf: BTreeMap::new() }
    }

    /// Opens those of `wanted` that lack, and closes the others.
    pub(super) fn reconcile(&mut self, wanted: &BTreeSet<LinkId>, links: &Links) {
        let places: BTreeMap<LinkId, Place> =
            wanted.iter().filter_map(|index| Some((*index, place(links.get(*index)?)?))).collect();
        self.sockets.retain(|index, socket| places.get(index) == Some(socket.place()));
        self.deaf.retain(|index, _| places.contains_key(index));
        for (index, place) in places {
            if self.sockets.contains_key(&index) {
                continue;
            }
            match LinkSocket::open(place, self.port) {
                Ok(socket) => {
                    self.deaf.remove(&index);
                    self.sockets.insert(index, socket);
                }
                Err(error) => {
                    let said = error.to_string();
                    if self.deaf.get(&index) != Some(&said) {
                        tracing::warn!(%error, "no heartbeats on a link");
                        self.deaf.insert(index, said);
                    }
                }
            }
        }
    }

    /// Why heartbeats cannot be exchanged on a link.
    pub(super) fn trouble(&self, link: LinkId) -> Option<&str> {
        self.deaf.get(&link).map(String::as_str)
    }

    /// Whether heartbeats are exchanged on it.
    pub(super) fn is_open(&self, link: LinkId) -> bool {
        self.sockets.contains_key(&link)
    }

    /// The next datagram. Can be dropped at any time without losing one.
    pub(super) async fn receive(&self) -> Received {
        if self.sockets.is_empty() {
            return std::future::pending().await;
        }
        let receiving = self.sockets.iter().map(|(link, socket)| {
            Box::pin(async move {
                loop {
                    // An error is of one datagram (ICMP told of an earlier one), or of a link that has gone, which links tell of.
                    if let Ok((bytes, sender)) = socket.receive().await {
                        return (*link, bytes, sender);
                    }
                    tokio::task::yield_now().await;
                }
            })
        });
        select_all(receiving).await.0
    }

    /// Drops what waits: it is older than a pause of the process.
    pub(super) fn drop_waiting(&self) {
        self.sockets.values().for_each(LinkSocket::drop_waiting);
    }

    /// `node` has proved who it is, and spoke from `address`.
    pub(super) fn meet(&mut self, now: Moment, link: LinkId, node: &NodeName, address: SocketAddr) {
        if let Some(socket) = self.sockets.get_mut(&link) {
            socket.meet(now, node, address);
        }
    }

    /// Links that are spoken on, with the hardware address of each first and all others after it.
    pub(super) fn speaking(&self, links: &Links) -> Vec<(LinkId, Vec<MacAddr>)> {
        let mac = |index: &LinkId| links.get(*index).and_then(Link::mac);
        let all: Vec<(LinkId, MacAddr)> = self.sockets.keys().filter_map(|index| Some((*index, mac(index)?))).collect();
        let others = |own: LinkId| all.iter().filter(move |(index, _)| *index != own).map(|(_, mac)| *mac);
        all.iter().map(|(index, mac)| (*index, std::iter::once(*mac).chain(others(*index)).collect())).collect()
    }

    /// Sends one datagram to `node` alone. It is lost where the node was not heard there lately.
    pub(super) fn send_to(&mut self, now: Moment, link: LinkId, node: &NodeName, datagram: &[u8]) {
        if let Some(socket) = self.sockets.get_mut(&link)
            && let Err(error) = socket.send_to_node(now, node, datagram)
        {
            tracing::debug!(%error, link, node = &**node, "a datagram could not be sent");
        }
    }

    /// Sends one heartbeat on `link`. What cannot be sent now is lost, as on any network.
    pub(super) fn send(&mut self, now: Moment, link: LinkId, datagrams: &[Vec<u8>]) {
        if let Some(socket) = self.sockets.get_mut(&link)
            && let Err(error) = socket.send(now, datagrams)
        {
            tracing::debug!(%error, link, "a heartbeat could not be sent");
        }
    }
}

fn place(link: &Link) -> Option<Place> {
    if !link.is_up() {
        return None;
    }
    let is_link_local = |ip: IpAddr| matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
    Some(Place {
        link: link.index,
        name: link.name().clone(),
        v4: link.subnets.iter().any(|subnet| subnet.addr().is_ipv4()),
        v6: link.subnets.iter().any(|subnet| is_link_local(subnet.addr())),
        is_wireless: link.facts.is_wireless,
    })
}
