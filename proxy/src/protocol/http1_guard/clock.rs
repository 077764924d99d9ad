//! The time limits of an HTTP/1 connection, on one timer that is armed only when the connection has to wait.
//!
//! A request that comes and goes without waiting costs no timer at all; a connection that waits keeps the timer armed
//! for the earliest limit it ever waited for and looks at the clock again when it fires.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Instant, Sleep};

use super::framing::Phase;

/// How long a client may take for what.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// From the first byte of a head to its last.
    pub head: Duration,
    /// Between two requests.
    pub idle: Duration,
    /// Without progress of a body, in either direction.
    pub body: Duration,
}

#[derive(Debug)]
pub(super) struct Clock {
    deadlines: Deadlines,
    head_since: Option<Instant>,
    reading_since: Option<Instant>,
    writing_since: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Clock {
    pub(super) fn new(deadlines: Deadlines) -> Self {
        Self { deadlines, head_since: None, reading_since: None, writing_since: None, timer: None }
    }

    /// Bytes came, and left the connection in `phase`.
    pub(super) fn read(&mut self, phase: Phase) {
        self.reading_since = None;
        if phase != Phase::Head {
            self.head_since = None;
        } else if self.head_since.is_none() {
            self.head_since = Some(Instant::now());
        }
    }

    /// Bytes went.
    pub(super) fn written(&mut self) {
        self.writing_since = None;
    }

    /// Nothing came: ready when it should have.
    pub(super) fn poll_read_deadline(&mut self, cx: &mut Context<'_>, phase: Phase) -> Poll<()> {
        let deadline = match (phase, self.head_since) {
            (Phase::Held | Phase::Lost, _) => return Poll::Pending,
            (Phase::Head, Some(since)) => since + self.deadlines.head,
            (phase, _) => {
                let limit = if phase == Phase::Body { self.deadlines.body } else { self.deadlines.idle };
                *self.reading_since.get_or_insert_with(Instant::now) + limit
            }
        };
        self.poll_until(cx, deadline)
    }

    /// Nothing went: ready when it should have.
    pub(super) fn poll_write_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let since = *self.writing_since.get_or_insert_with(Instant::now);
        self.poll_until(cx, since + self.deadlines.body)
    }

    /// Waits for `deadline`. The timer is moved only to an earlier time, or when it has fired.
    pub(super) fn poll_until(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if timer.deadline() > deadline {
            timer.as_mut().reset(deadline);
        }
        loop {
            ready!(timer.as_mut().poll(cx));
            if timer.deadline() >= deadline {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
        }
    }
}
