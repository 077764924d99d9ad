//! When a connection that is asked to finish does so.
//!
//! A client may have sent a request in the very moment in which its idle connection is closed, and is not always able to
//! send it again (RFC 9112 section 9.5). So each client gets one more answer, which says that it is the last
//! (section 9.6); who asks for none for a while is let go.

use std::{
    cell::Cell,
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::Sleep;

use crate::lifecycle::drain::Ticket;

/// How long a connection without any request is kept when it is asked to finish.
const LAST_REQUEST: Duration = Duration::from_secs(2);

/// Ends when a connection that has not said anything should be closed.
pub(super) async fn first_request_overdue(ticket: &mut Ticket) {
    ticket.started().await;
    tokio::time::sleep(LAST_REQUEST).await;
}

/// Says once when to begin the graceful end of a connection.
pub(super) struct Closing {
    ticket: Ticket,
    last: Rc<Cell<bool>>,
    grace: Option<Pin<Box<Sleep>>>,
    told: bool,
}

impl Closing {
    /// `last` is set when it is asked to finish: the next answer should be the last one.
    pub(super) fn new(ticket: Ticket, last: Rc<Cell<bool>>) -> Self {
        Self { ticket, last, grace: None, told: false }
    }

    /// Ready once: now.
    pub(super) fn poll_begin(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.told || self.ticket.poll_started(cx).is_pending() {
            return Poll::Pending;
        }
        self.last.set(true);
        let grace = self.grace.get_or_insert_with(|| Box::pin(tokio::time::sleep(LAST_REQUEST)));
        ready!(grace.as_mut().poll(cx));
        self.told = true;
        Poll::Ready(())
    }
}
