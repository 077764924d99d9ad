//! What people are shown of the link.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use postern_config::provider::kubernetes::{
    Term,
    peers::{Holder, Link, View},
};
use tokio::sync::watch;

use crate::telemetry::rarely::Rarely;

/// Why somebody who dialed was turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Refusal {
    /// It did not prove that it has the key.
    Key,
    /// It did not say in time what it should.
    Greeting,
    /// It speaks another major version.
    Version,
    /// We do not hold the Lease.
    Lease,
    /// Too many at once.
    Limit,
}

impl Refusal {
    /// How many there are.
    pub const COUNT: usize = 5;
    /// All of them.
    pub const ALL: [Self; Self::COUNT] = [Self::Key, Self::Greeting, Self::Version, Self::Lease, Self::Limit];

    /// As metrics call it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Greeting => "greeting",
            Self::Version => "version",
            Self::Lease => "lease",
            Self::Limit => "limit",
        }
    }
}

/// The state of the link, readable from anywhere.
#[derive(Debug)]
pub struct Status {
    /// What we are called among peers.
    pub name: Arc<str>,
    /// Where we listen, if we do.
    pub listening: Option<SocketAddr>,
    /// Who there is, as far as the holder of the Lease knows.
    pub view: watch::Receiver<View>,
    terms: watch::Receiver<Option<Term>>,
    holder: watch::Receiver<Option<Holder>>,
    connected: AtomicBool,
    refused: [AtomicU64; Refusal::COUNT],
    pub(super) lines: Rarely,
}

impl Status {
    /// Of a link that has not begun.
    pub fn new(link: &Link, listening: Option<SocketAddr>) -> Self {
        Self {
            name: link.name.clone(),
            listening,
            view: link.view.clone(),
            terms: link.terms.clone(),
            holder: link.holder.clone(),
            connected: AtomicBool::new(false),
            refused: Default::default(),
            lines: Rarely::default(),
        }
    }

    /// Whether we hold the Lease.
    pub fn holds(&self) -> bool {
        self.terms.borrow().is_some()
    }

    /// Who holds the Lease.
    pub fn holder(&self) -> Option<Holder> {
        self.holder.borrow().clone()
    }

    /// Whether there is a stream from us to the holder.
    pub fn is_connected(&self) -> bool {
        self.connected.load(Relaxed)
    }

    /// How many were turned away for `refusal`.
    pub fn refused(&self, refusal: Refusal) -> u64 {
        self.refused.get(refusal as usize).map_or(0, |count| count.load(Relaxed))
    }

    pub(super) fn set_connected(&self, connected: bool) {
        self.connected.store(connected, Relaxed);
    }

    pub(super) fn refuse(&self, refusal: Refusal) {
        if let Some(count) = self.refused.get(refusal as usize) {
            count.fetch_add(1, Relaxed);
        }
    }
}
