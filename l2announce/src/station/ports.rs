//! The links that are in use, opened and closed as addresses may be on them.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::poll_fn,
    net::IpAddr,
    sync::Arc,
    task::{Context, Poll},
};

use super::port::Port;
use crate::{
    link::{Links, Placement, Unfit},
    moment::Moment,
    responder,
    socket::SocketError,
};

/// As long as the longest frame that is looked at: what is cut off is no part of it.
const BUFFER: usize = 2048;

#[derive(Debug)]
pub(super) struct Ports {
    open: BTreeMap<u32, Port>,
    /// Links that can't be used though they should, and why.
    failed: BTreeMap<u32, Unfit>,
    buffer: Vec<u8>,
}

impl Ports {
    pub(super) fn new() -> Self {
        Self { open: BTreeMap::new(), failed: BTreeMap::new(), buffer: vec![0; BUFFER] }
    }

    pub(super) fn get(&mut self, link: u32) -> Option<&mut Port> {
        self.open.get_mut(&link)
    }

    pub(super) fn all(&mut self) -> impl Iterator<Item = (u32, &mut Port)> {
        self.open.iter_mut().map(|(link, port)| (*link, port))
    }

    pub(super) fn has_failed(&self) -> bool {
        !self.failed.is_empty()
    }

    /// Opens what is needed and not open, and closes what isn't needed. What failed before is tried again.
    pub(super) fn keep(&mut self, needed: &BTreeSet<u32>, links: &Links, settings: &responder::Settings, now: Moment) {
        let own = Arc::new(links.stations());
        self.open.retain(|link, _| needed.contains(link));
        self.failed.retain(|link, _| needed.contains(link));
        for (link, mac) in
            needed.iter().filter_map(|index| links.get(*index)).filter_map(|link| Some((link, link.mac()?)))
        {
            if !self.open.contains_key(&link.index) {
                let opened = Port::open(link, mac, settings, now);
                self.opened(link.index, opened);
            }
            if let Some(port) = self.open.get_mut(&link.index) {
                port.set_stations(now, mac, &own);
            }
        }
    }

    fn opened(&mut self, link: u32, opened: Result<Port, SocketError>) {
        match opened {
            Ok(port) => {
                self.failed.remove(&link);
                self.open.insert(link, port);
            }
            Err(error) => self.fail(link, &error),
        }
    }

    /// Gives up a link until it is tried again.
    pub(super) fn fail(&mut self, link: u32, error: &SocketError) {
        self.open.remove(&link);
        let said = error.to_string().into();
        let unfit =
            if matches!(error, SocketError::Permission) { Unfit::Capability(said) } else { Unfit::Unusable(said) };
        if self.failed.insert(link, unfit.clone()).as_ref() != Some(&unfit) {
            tracing::warn!(%error, "addresses cannot be announced on a link");
        }
    }

    /// A placement without the links that can't be used.
    pub(super) fn usable(&self, mut placement: Placement) -> Placement {
        let (places, failed) =
            std::mem::take(&mut placement.places).into_iter().partition(|place| self.open.contains_key(&place.index));
        placement.places = places;
        placement.refused.extend(failed.into_iter().map(|place: crate::link::Place| {
            let unfit = self.failed.get(&place.index).cloned();
            (place.name, unfit.unwrap_or_else(|| Unfit::Unusable(Arc::from("the interface is gone"))))
        }));
        placement.refused.sort_by(|one, other| one.0.cmp(&other.0));
        placement
    }

    /// Waits for a frame; tells on which link, and how long it is. May be dropped while it waits.
    pub(super) async fn readable(&mut self) -> (u32, Result<usize, SocketError>) {
        poll_fn(|context| self.poll_receive(context)).await
    }

    fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<(u32, Result<usize, SocketError>)> {
        for (link, port) in &self.open {
            if let Poll::Ready(result) = port.poll_receive(context, &mut self.buffer) {
                return Poll::Ready((*link, result));
            }
        }
        Poll::Pending
    }

    /// Takes in the frame that [`Self::readable`] has told of.
    pub(super) fn receive(&mut self, now: Moment, link: u32, length: usize) {
        let frame = self.buffer.get(..length).unwrap_or_default();
        if let Some(port) = self.open.get_mut(&link) {
            port.receive(now, frame);
        }
    }

    pub(super) fn catch_up(&mut self, now: Moment) {
        self.open.values_mut().for_each(|port| port.catch_up(now, &mut self.buffer));
    }

    pub(super) fn forget_heard(&mut self) -> usize {
        self.open.values_mut().map(Port::forget_heard).sum()
    }

    pub(super) fn discard(&self) -> usize {
        self.open.values().map(Port::discard).sum()
    }

    pub(super) fn withdraw(&mut self, address: IpAddr) {
        self.open.values_mut().for_each(|port| port.withdraw(address));
    }

    pub(super) fn wakes(&self) -> Option<Moment> {
        self.open.values().filter_map(Port::wakes).min()
    }
}
