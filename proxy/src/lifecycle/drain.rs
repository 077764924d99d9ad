//! Tells the connections of one worker to finish what they do and go.
//!
//! A [`Drain`] belongs to one worker and one listener; it is not `Send`, so that a connection pays one `Cell` read per
//! poll and no shared counter. Other threads ask for a drain through the worker's command channel.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    rc::Rc,
    task::{Context, Poll, Waker},
};

/// The side that asks.
#[derive(Clone, Debug, Default)]
pub struct Drain(Rc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    started: Cell<bool>,
    ended: Cell<bool>,
    seats: RefCell<Vec<Option<Waker>>>,
    free: RefCell<Vec<usize>>,
    live: Cell<usize>,
    finished: RefCell<Option<Waker>>,
}

/// A connection's side; the drain is over when all tickets are dropped.
#[derive(Debug)]
pub struct Ticket {
    drain: Rc<Inner>,
    seat: usize,
    seated: bool,
}

impl Drain {
    /// A ticket for one more connection.
    pub fn ticket(&self) -> Ticket {
        let seat = self.0.free.borrow_mut().pop().unwrap_or_else(|| {
            let mut seats = self.0.seats.borrow_mut();
            seats.push(None);
            seats.len() - 1
        });
        self.0.live.set(self.0.live.get() + 1);
        Ticket { drain: self.0.clone(), seat, seated: false }
    }

    /// Asks all connections to finish; those that come later are asked at once.
    pub fn start(&self) {
        self.0.started.set(true);
        self.wake_all();
    }

    /// Breaks all connections off.
    pub fn end(&self) {
        self.0.ended.set(true);
        self.start();
    }

    fn wake_all(&self) {
        for waker in self.0.seats.borrow().iter().flatten() {
            waker.wake_by_ref();
        }
    }

    /// Runs `connection` until it is over or [`Drain::end`] is called.
    pub async fn unless_ended(&self, connection: impl Future<Output = ()>) {
        let mut connection = std::pin::pin!(connection);
        let mut ticket = self.ticket();
        poll_fn(|cx| {
            if self.0.ended.get() {
                return Poll::Ready(());
            }
            // Takes the seat, so that the task is woken in either case.
            let _ = ticket.poll_started(cx);
            connection.as_mut().poll(cx)
        })
        .await;
    }

    /// Whether [`Drain::start`] was called.
    pub fn started(&self) -> bool {
        self.0.started.get()
    }

    /// Number of tickets.
    pub fn live(&self) -> usize {
        self.0.live.get()
    }

    /// Waits for the last ticket; one waiter at a time.
    pub async fn finished(&self) {
        poll_fn(|cx| {
            if self.live() == 0 {
                return Poll::Ready(());
            }
            *self.0.finished.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

impl Ticket {
    /// Whether to finish; if not yet, the task is woken when it is time. A ticket is polled by one task only.
    pub fn poll_started(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.drain.started.get() {
            return Poll::Ready(());
        }
        if !std::mem::replace(&mut self.seated, true)
            && let Some(seat) = self.drain.seats.borrow_mut().get_mut(self.seat)
        {
            *seat = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Waits for the drain.
    pub async fn started(&mut self) {
        poll_fn(|cx| self.poll_started(cx)).await;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(seat) = self.drain.seats.borrow_mut().get_mut(self.seat) {
            *seat = None;
        }
        self.drain.free.borrow_mut().push(self.seat);
        let left = self.drain.live.get() - 1;
        self.drain.live.set(left);
        if left == 0
            && let Some(waker) = self.drain.finished.borrow_mut().take()
        {
            waker.wake();
        }
    }
}
