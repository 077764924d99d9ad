//! What hand-over asks of the listeners: give copies of the sockets away, rest while another process accepts on them, go
//! on where that one dies, and take over what a predecessor gives.

use std::{
    net::{SocketAddr, TcpListener},
    rc::Rc,
};

use http::{Request, Response};
use hyper::body::Incoming;
use postern_config::snapshot::SocketKey;

use super::{
    Listeners,
    group::{Group, Stage, is_listening},
    wanted,
};
use crate::{
    exchange::{Body, Connection},
    worker::Worker,
};

/// Sockets of one group, as one process gives them to another.
#[derive(Debug)]
pub struct Heirloom {
    /// The port as objects name it.
    pub port: u16,
    /// What was to be bound: its port is 0 where the system was to choose.
    pub address: SocketAddr,
    /// All sockets of the group.
    pub sockets: Vec<TcpListener>,
}

impl<F, R> Listeners<F>
where
    F: Fn(Request<Incoming>, Rc<Connection>, Rc<Worker>) -> R + Clone + Send + 'static,
    R: Future<Output = Response<Body>> + 'static,
{
    /// Copies of all sockets, for a successor with `workers`: groups that have fewer are given more first, and those are
    /// accepted from here too, so that nothing waits in vain should the successor never come.
    pub fn bequeath(&mut self, workers: usize) -> Vec<Heirloom> {
        let groups: Vec<_> = self.groups.keys().copied().collect();
        groups.into_iter().filter_map(|at| self.heirloom(at, workers)).collect()
    }

    fn heirloom(&mut self, at: (SocketKey, SocketAddr), workers: usize) -> Option<Heirloom> {
        let mut group = self.groups.remove(&at)?;
        let added = group.widen(workers);
        if !added.is_empty() {
            self.start(at.0, &group, added);
        }
        let copies = group.copies().inspect_err(|error| {
            tracing::error!(listener = %at.0, %error, "cannot hand a listener over");
        });
        self.groups.insert(at, group);
        Some(Heirloom { port: at.0.port, address: at.1, sockets: copies.ok()? })
    }

    /// Accepts no more, and keeps the sockets in case the successor dies.
    pub fn rest(&mut self) {
        for group in self.groups.values() {
            group.stage.send_replace(Stage::Resting);
        }
    }

    /// Closes listeners as when they are not wanted any more.
    pub fn close(&mut self, which: impl Fn(u16, SocketAddr) -> bool) {
        let closed: Vec<_> = self.groups.keys().filter(|(key, address)| which(key.port, *address)).copied().collect();
        closed.into_iter().for_each(|at| self.give_up(at, Stage::CLOSING));
    }

    /// Accepts again. What the successor has closed meanwhile is bound anew by the next [`Listeners::reconcile`].
    pub fn resume(&mut self) {
        let dead: Vec<_> = self.groups.iter().filter(|(_, group)| !group.is_alive()).map(|(at, _)| *at).collect();
        dead.into_iter().for_each(|at| self.give_up(at, Stage::YIELDING));
        for group in self.groups.values() {
            group.stage.send_replace(Stage::Accepting);
        }
    }

    /// Lets go of sockets that a successor's successor has: they will not be needed again.
    pub fn renounce(&mut self) {
        let groups: Vec<_> = self.groups.keys().copied().collect();
        groups.into_iter().for_each(|at| self.give_up(at, Stage::YIELDING));
    }

    /// Whether the plan wants a listener there.
    pub fn wants(&self, port: u16, address: SocketAddr) -> bool {
        self.heir(port, address).is_some()
    }

    /// Accepts on `heirlooms` from now on, as far as they are wanted and still listen.
    pub fn inherit(&mut self, heirlooms: Vec<Heirloom>) {
        for Heirloom { port, address, mut sockets } in heirlooms {
            sockets.retain(is_listening);
            let Some(at) = self.heir(port, address) else { continue };
            match Group::new(&sockets, true) {
                Ok(group) => {
                    tracing::info!(listener = %at.0, address = %group.address, sockets = sockets.len(), "taken over");
                    self.start(at.0, &group, sockets);
                    self.groups.insert(at, group);
                }
                Err(error) => tracing::warn!(listener = %at.0, %error, "a listener that was handed over is of no use"),
            }
        }
    }

    /// Which wanted and missing group these sockets are for. A port that is known says it; where the system chose one,
    /// objects must name the same.
    fn heir(&self, port: u16, address: SocketAddr) -> Option<(SocketKey, SocketAddr)> {
        let fits = |(key, wanted): &(SocketKey, SocketAddr)| {
            *wanted == address
                && (address.port() != 0 || key.port == port)
                && !self.groups.contains_key(&(*key, *wanted))
        };
        wanted(&self.shared).into_iter().find(fits)
    }

    /// Whether copies of sockets may be in a predecessor's hands, which then may accept on them again.
    pub fn forget_predecessor(&mut self) {
        self.groups.values_mut().for_each(|group| group.inherited = false);
    }
}
