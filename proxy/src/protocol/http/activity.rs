//! What goes on in an HTTP/2 connection, by ticks of one slow clock: is it idle, does a stream stand still?
//!
//! A client that keeps its window at zero would hold its answers, and all that backs them, for ever (the "HTTP/2 bomb",
//! CVE-2026-105297). hyper does not poll a body while its stream has no window, so that a body which was last handed
//! over long ago and never asked for more is a stalled one.

use std::{
    cell::{Cell, RefCell},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use crate::exchange::{Body, BodyError};

/// Ticks of the clock within the limit on bodies; more ticks cut off sooner after it.
const TICKS: u32 = 4;

/// Counts of one connection; shared with its streams.
#[derive(Debug, Default)]
pub(super) struct Activity {
    now: Cell<u32>,
    /// Requests without answer yet.
    asked: Cell<usize>,
    last: Cell<u32>,
    /// By stream with an answer under way: the tick at which its body has given a frame; `None`: it is asked for one.
    bodies: RefCell<Vec<Slot>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    Free,
    /// Polled since the last frame.
    Wanted,
    /// Waits for window since that tick.
    Waiting(u32),
}

/// What to do about a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// Nothing.
    Well,
    /// No request for long.
    Idle,
    /// A stream has stood still for long.
    Stalled,
}

/// The clock of one connection.
pub(super) struct Clock {
    timer: Pin<Box<Sleep>>,
    tick: Duration,
    idle_ticks: u32,
}

impl Clock {
    pub(super) fn new(idle: Duration, body: Duration) -> Self {
        let tick = (body / TICKS).max(Duration::from_millis(1));
        let idle_ticks = u32::try_from(idle.as_millis() / tick.as_millis().max(1)).unwrap_or(u32::MAX).max(1);
        Self { timer: Box::pin(tokio::time::sleep(tick)), tick, idle_ticks }
    }

    /// Ready when there is something to do.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, activity: &Activity) -> Poll<Finding> {
        while self.timer.as_mut().poll(cx).is_ready() {
            self.timer.as_mut().reset(Instant::now() + self.tick);
            match activity.tick(self.idle_ticks) {
                Finding::Well => {}
                finding => return Poll::Ready(finding),
            }
        }
        Poll::Pending
    }
}

impl Activity {
    fn tick(&self, idle_ticks: u32) -> Finding {
        let now = self.now.get().wrapping_add(1);
        self.now.set(now);
        let bodies = self.bodies.borrow();
        let stalled = |slot: &Slot| matches!(slot, Slot::Waiting(since) if now.wrapping_sub(*since) > TICKS);
        if bodies.iter().any(stalled) {
            return Finding::Stalled;
        }
        if self.asked.get() > 0 || bodies.iter().any(|slot| *slot != Slot::Free) {
            self.last.set(now);
        }
        if now.wrapping_sub(self.last.get()) >= idle_ticks { Finding::Idle } else { Finding::Well }
    }

    /// A request has come.
    pub(super) fn ask(self: &Rc<Self>) -> Asked {
        self.asked.set(self.asked.get() + 1);
        Asked(self.clone())
    }

    fn seat(&self) -> usize {
        let slot = Slot::Waiting(self.now.get());
        let mut bodies = self.bodies.borrow_mut();
        match bodies.iter().position(|slot| *slot == Slot::Free) {
            Some(free) => {
                if let Some(seat) = bodies.get_mut(free) {
                    *seat = slot;
                }
                free
            }
            None => {
                bodies.push(slot);
                bodies.len() - 1
            }
        }
    }

    fn set(&self, seat: usize, slot: Slot) {
        if let Some(seat) = self.bodies.borrow_mut().get_mut(seat) {
            *seat = slot;
        }
    }
}

/// A request that is being answered.
pub(super) struct Asked(Rc<Activity>);

impl Asked {
    /// The answer is there; its body is watched.
    pub(super) fn watch(&self, body: Body) -> Watched {
        let seat = (!body.is_end_stream()).then(|| self.0.seat());
        Watched { body, seat, activity: self.0.clone() }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.0.asked.set(self.0.asked.get() - 1);
        self.0.last.set(self.0.now.get());
    }
}

/// A body that tells when it is asked for more.
pub(super) struct Watched {
    body: Body,
    seat: Option<usize>,
    activity: Rc<Activity>,
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Some(seat) = self.seat {
            let waits = matches!(polled, Poll::Ready(Some(Ok(_))));
            self.activity.set(seat, if waits { Slot::Waiting(self.activity.now.get()) } else { Slot::Wanted });
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some(seat) = self.seat {
            self.activity.set(seat, Slot::Free);
            self.activity.last.set(self.activity.now.get());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_without_window_is_found_and_one_that_waits_for_its_backend_is_not() {
        let activity = Rc::new(Activity::default());
        let watched = activity.ask().watch(Body::from("text"));
        let seat = watched.seat.expect("a body with bytes has a seat");
        activity.set(seat, Slot::Wanted);
        assert!((0..100).all(|_| activity.tick(1000) == Finding::Well));
        activity.set(seat, Slot::Waiting(activity.now.get()));
        assert!((0..TICKS).all(|_| activity.tick(1000) == Finding::Well));
        assert_eq!(activity.tick(1000), Finding::Stalled);
        drop(watched);
        assert_eq!(activity.tick(1000), Finding::Well);
    }

    #[test]
    fn a_connection_is_idle_only_without_requests_and_bodies() {
        let activity = Rc::new(Activity::default());
        let asked = activity.ask();
        assert!((0..10).all(|_| activity.tick(3) == Finding::Well));
        drop(asked);
        assert_eq!((activity.tick(3), activity.tick(3)), (Finding::Well, Finding::Well));
        assert_eq!(activity.tick(3), Finding::Idle);
    }
}
