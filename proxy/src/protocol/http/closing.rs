//! When a connection that is asked to finish does so.
//!
//! A client that connected just before has not had the time to ask: it gets its first answer. A client that has had an
//! answer knows that an idle connection may close at any time (RFC 9112 section 9.5).

use std::{
    cell::Cell,
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::Sleep;

use crate::lifecycle::drain::Ticket;

/// How long a connection without any request is kept when it is asked to finish.
const FIRST_REQUEST: Duration = Duration::from_secs(2);

/// Ends when a connection that has not said anything should be closed.
pub(super) async fn first_request_overdue(ticket: &mut Ticket) {
    ticket.started().await;
    tokio::time::sleep(FIRST_REQUEST).await;
}

/// Says once when to begin the graceful end of a connection.
pub(super) struct Closing {
    ticket: Ticket,
    asked: Rc<Cell<bool>>,
    grace: Option<Pin<Box<Sleep>>>,
    told: bool,
}

impl Closing {
    /// `asked` is set by the service with the first request.
    pub(super) fn new(ticket: Ticket, asked: Rc<Cell<bool>>) -> Self {
        Self { ticket, asked, grace: None, told: false }
    }

    /// Ready once: now.
    pub(super) fn poll_begin(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.told || self.ticket.poll_started(cx).is_pending() {
            return Poll::Pending;
        }
        if !self.asked.get() {
            let grace = self.grace.get_or_insert_with(|| Box::pin(tokio::time::sleep(FIRST_REQUEST)));
            if grace.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
        self.told = true;
        Poll::Ready(())
    }
}
