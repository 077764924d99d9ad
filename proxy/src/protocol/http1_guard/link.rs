//! What the two ends of one HTTP/1 connection tell each other: the guard in front of hyper and the service behind it.

use std::{
    future::poll_fn,
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    task::{Poll, Waker},
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
    /// Whether a tunnel is to end.
    broken: AtomicBool,
    /// Whether the guard is gone, and the stream with it.
    gone: AtomicBool,
    awaiting_end: AtomicWaker,
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

    /// Waits until the stream is closed. Dropping the wait before that ends a tunnel.
    pub async fn closed(&self) {
        let _broken = BreaksOff(self);
        poll_fn(|cx| {
            self.awaiting_end.register(cx.waker());
            if self.gone.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
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

    /// Whether a tunnel is to end; otherwise `waker` is woken when it is.
    pub(super) fn is_broken(&self, waker: &Waker) -> bool {
        self.waiting.register(waker);
        self.broken.load(Ordering::Acquire)
    }

    pub(super) fn leave(&self) {
        self.gone.store(true, Ordering::Release);
        self.awaiting_end.wake();
    }

    /// Takes the decision, or has `waker` woken when there is one.
    pub(super) fn take_decision(&self, waker: &Waker) -> Upgrade {
        self.waiting.register(waker);
        match self.decision.swap(Upgrade::Undecided as u8, Ordering::AcqRel) {
            1 => Upgrade::Granted,
            2 => Upgrade::Refused,
            _ => Upgrade::Undecided,
        }
    }
}

/// Nobody waits for a tunnel's end any more.
struct BreaksOff<'a>(&'a Link);

impl Drop for BreaksOff<'_> {
    fn drop(&mut self) {
        self.0.broken.store(true, Ordering::Release);
        self.0.waiting.wake();
    }
}
