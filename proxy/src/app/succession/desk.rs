//! The TCP sockets at which operators are answered, as far as they are handed over.

use std::net::{SocketAddr, TcpListener};

use crate::{
    admin::Berth,
    handover::{Offered, Place, Purpose},
};

/// All of them.
#[derive(Debug)]
pub(in crate::app) struct Desk {
    berths: Vec<(Purpose, Berth)>,
    /// Whether it was said that one cannot be had.
    told: bool,
}

impl Desk {
    /// Of these.
    pub(in crate::app) fn new(berths: Vec<(Purpose, Berth)>) -> Self {
        Self { berths, told: false }
    }

    /// Where the one for `purpose` is.
    pub(super) fn address(&self, purpose: Purpose) -> Option<SocketAddr> {
        self.berths.iter().find(|(its, _)| *its == purpose)?.1.address()
    }

    /// Whether all have a socket.
    pub(super) fn is_complete(&self) -> bool {
        self.berths.iter().all(|(_, berth)| berth.address().is_some())
    }

    /// Binds those that have none, as far as others let us.
    pub(super) fn bind(&mut self) {
        let told = std::mem::replace(&mut self.told, true);
        self.each(|purpose, berth| {
            let address = berth.wanted();
            match berth.address().is_none().then(|| berth.bind()) {
                Some(Ok(())) => tracing::info!(?purpose, %address, "bound at last"),
                Some(Err(error)) if !told => tracing::warn!(?purpose, %address, %error, "cannot be had; trying on"),
                Some(Err(_)) | None => {}
            }
        });
        self.told = !self.is_complete();
    }

    /// Copies for a successor.
    pub(super) fn copies(&self) -> Vec<(Place, Vec<TcpListener>)> {
        let copy = |(purpose, berth): &(Purpose, Berth)| {
            let place = Place { purpose: *purpose, group: 0, port: 0, address: berth.wanted() };
            Some((place, vec![berth.copy()?]))
        };
        self.berths.iter().filter_map(copy).collect()
    }

    /// Leaves those to the successor that it has `taken`.
    pub(super) fn rest(&mut self, taken: impl Fn(Purpose, SocketAddr) -> bool) {
        self.each(|purpose, berth| {
            if taken(purpose, berth.wanted()) {
                berth.rest();
            }
        });
    }

    /// Accepts again.
    pub(super) fn resume(&mut self) {
        self.each(|purpose, berth| {
            if let Err(error) = berth.resume() {
                tracing::warn!(?purpose, address = %berth.wanted(), %error, "cannot be had again yet");
            }
        });
    }

    /// Gives all up.
    pub(super) fn release(&mut self) {
        self.each(|_, berth| berth.release());
    }

    /// Whether the one for `purpose` is to be there and has no socket.
    pub(super) fn wants(&self, purpose: Purpose, address: SocketAddr) -> bool {
        let is_it =
            |(its, berth): &(Purpose, Berth)| *its == purpose && berth.wanted() == address && berth.address().is_none();
        self.berths.iter().any(is_it)
    }

    /// Accepts on a socket that was handed over.
    pub(super) fn inherit(&mut self, offered: Offered) {
        let place = offered.place;
        for socket in offered.sockets {
            self.each(|purpose, berth| {
                if purpose != place.purpose || berth.wanted() != place.address || berth.address().is_some() {
                    return;
                }
                if let Err(error) = socket.try_clone().and_then(|socket| berth.accept_on(socket)) {
                    tracing::warn!(?purpose, address = %place.address, %error, "cannot accept on what was handed over");
                }
            });
        }
    }

    fn each(&mut self, mut act: impl FnMut(Purpose, &mut Berth)) {
        self.berths.iter_mut().for_each(|(purpose, berth)| act(*purpose, berth));
    }
}
