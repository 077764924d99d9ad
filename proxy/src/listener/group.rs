//! One group of sockets: the same address for every worker, and how far it has come.
//!
//! A group may have more sockets than there are workers, where a predecessor had more, or fewer, where the system gave no
//! more. Each is accepted from by exactly one worker: a socket that nobody reads would keep connections in its queue.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use postern_config::snapshot::{SocketKey, Transport};
use tokio::sync::watch;

use super::{Common, bind};

/// How far a group has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Connections are accepted.
    Accepting,
    /// A successor accepts, and the sockets are kept in case it dies.
    Resting,
    /// It comes to its end.
    Ending {
        /// What becomes of the sockets.
        farewell: Farewell,
        /// Connections that are still there are not waited for.
        at_once: bool,
    },
}

/// How sockets are given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Farewell {
    /// Nobody is to accept on them any more: what waits is taken in, then they are closed for all who hold copies.
    Close,
    /// Another process accepts on them from now on: our copies are closed, and nothing else.
    Yield,
}

impl Stage {
    pub(super) const CLOSING: Self = Self::Ending { farewell: Farewell::Close, at_once: false };
    pub(super) const YIELDING: Self = Self::Ending { farewell: Farewell::Yield, at_once: false };

    /// Whether connections are to be broken off.
    pub(super) fn is_over(self) -> bool {
        matches!(self, Self::Ending { at_once: true, .. })
    }

    /// The same, without waiting for connections.
    pub(super) fn at_once(self) -> Self {
        match self {
            Self::Ending { farewell, .. } => Self::Ending { farewell, at_once: true },
            Self::Accepting | Self::Resting => Self::Ending { farewell: Farewell::Close, at_once: true },
        }
    }
}

/// What a worker's accept loop knows of its group.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) id: u64,
    pub(super) key: SocketKey,
    /// What the listener was when it was bound: connections that come while it goes are still answered.
    pub(super) name: Arc<str>,
    pub(super) transport: Transport,
    pub(super) common: Arc<Common>,
}

/// A group that is bound.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) address: SocketAddr,
    pub(super) stage: watch::Sender<Stage>,
    /// Copies of all its sockets, to be handed over.
    sockets: Vec<TcpListener>,
    /// Whether a predecessor that still runs may have copies.
    pub(super) inherited: bool,
}

impl Group {
    /// Keeps copies of `sockets`, of which there is at least one.
    pub(super) fn new(sockets: &[TcpListener], inherited: bool) -> io::Result<Self> {
        let address = sockets.first().ok_or(io::ErrorKind::NotFound)?.local_addr()?;
        let sockets = copies(sockets)?;
        Ok(Self { address, stage: watch::Sender::new(Stage::Accepting), sockets, inherited })
    }

    /// Binds what lacks to `count` sockets; returns the new ones. Fewer are no harm: workers without one are given
    /// connections by the others.
    pub(super) fn widen(&mut self, count: usize) -> Vec<TcpListener> {
        let mut added = Vec::new();
        while self.sockets.len() < count {
            let pair = bind::bind_one(self.address, bind::Presence::Awaited)
                .and_then(|socket| Ok((socket.try_clone()?, socket)));
            match pair {
                Ok((copy, socket)) => {
                    self.sockets.push(copy);
                    added.push(socket);
                }
                Err(error) => {
                    tracing::warn!(address = %self.address, %error, "a successor gets fewer sockets than it has workers");
                    break;
                }
            }
        }
        added
    }

    /// Copies for a successor.
    pub(super) fn copies(&self) -> io::Result<Vec<TcpListener>> {
        copies(&self.sockets)
    }

    /// How it ends when the process does: a predecessor that accepts again goes on with what it had.
    pub(super) fn farewell(&self, handed_back: bool) -> Stage {
        let resting = *self.stage.borrow() == Stage::Resting;
        if resting || (handed_back && self.inherited) { Stage::YIELDING } else { Stage::CLOSING }
    }

    /// Whether all sockets still listen: a successor that gave the listener up has shut them down.
    pub(super) fn is_alive(&self) -> bool {
        self.sockets.iter().all(is_listening)
    }
}

/// Whether the kernel takes connections for it.
pub(super) fn is_listening(socket: &TcpListener) -> bool {
    rustix::net::sockopt::socket_acceptconn(socket).unwrap_or(false)
}

fn copies(sockets: &[TcpListener]) -> io::Result<Vec<TcpListener>> {
    sockets.iter().map(TcpListener::try_clone).collect()
}
