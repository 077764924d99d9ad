//! What the two ends of one HTTP/1 connection tell each other: the guard in front of hyper and the service behind it.

use std::sync::{
    OnceLock,
    atomic::{AtomicU8, Ordering},
};

use futures_util::task::AtomicWaker;

use super::offence::Offence;
use crate::telemetry::metrics::Limit;

/// Shared by guard and service. `Sync`, because hyper asks that of connections that may be upgraded.
#[derive(Debug, Default)]
pub struct Link {
    decision: AtomicU8,
    waiting: AtomicWaker,
    offence: OnceLock<Offence>,
    overdue: OnceLock<Limit>,
}

/// What became of an upgrade request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upgrade {
    /// Not known yet.
    Undecided = 0,
    /// The answer was 101.
    Granted = 1,
    /// It was another one.
    Refused = 2,
}

impl Link {
    /// The service has answered an upgrade request.
    pub fn decide(&self, granted: bool) {
        let decision = if granted { Upgrade::Granted } else { Upgrade::Refused };
        self.decision.store(decision as u8, Ordering::Release);
        self.waiting.wake();
    }

    /// What the client did wrong, if anything.
    pub fn offence(&self) -> Option<Offence> {
        self.offence.get().copied()
    }

    /// Which limit in time has ended the connection, if one has.
    pub fn overdue(&self) -> Option<Limit> {
        self.overdue.get().copied()
    }

    pub(super) fn too_late(&self, limit: Limit) {
        // Only the first one ended the connection.
        let _ = self.overdue.set(limit);
    }

    pub(super) fn accuse(&self, offence: Offence) {
        // Only the first offence is seen, and only it matters.
        let _ = self.offence.set(offence);
    }

    /// Takes the decision, or has `waker` woken when there is one.
    pub(super) fn take_decision(&self, waker: &std::task::Waker) -> Upgrade {
        self.waiting.register(waker);
        match self.decision.swap(Upgrade::Undecided as u8, Ordering::AcqRel) {
            1 => Upgrade::Granted,
            2 => Upgrade::Refused,
            _ => Upgrade::Undecided,
        }
    }
}
