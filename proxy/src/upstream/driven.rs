//! HTTP/1.1 connections that the request itself drives.
//!
//! hyper splits a client connection into a handle and a future, and that future is usually a task of its own: each
//! request then wakes it, is woken by it, and wakes it once more for nothing when the answer's last bytes are taken. A
//! request without a body needs none of that: it polls the connection while it waits for its answer. Nobody polls a
//! connection between requests; that it was closed is found by the next request, before it has sent anything, or by
//! the sweep. As soon as something must go on beside the request (a body, an upgrade), the connection becomes a task.
//!
//! hyper's channels between handle and future are polled with a waker that does nothing, because whoever polls one
//! polls the other next. The socket must wake the request: [`with_io_waker`] hands it the right waker.

use std::{
    cell::RefCell,
    pin::Pin,
    task::{Context, Poll, Waker},
};

thread_local! {
    /// Whom sockets wake while a connection is driven.
    static IO_WAKER: RefCell<Option<Waker>> = const { RefCell::new(None) };
}

/// The future of a connection.
type Connection = Pin<Box<dyn Future<Output = hyper::Result<()>>>>;

/// Who sees to a connection's bytes.
pub(super) enum Driver {
    /// Whoever uses it.
    User(Connection),
    /// A task, or nobody any more.
    Task,
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if matches!(self, Self::User(_)) { "User" } else { "Task" })
    }
}

impl Driver {
    /// A connection that nobody drives yet.
    pub(super) fn new(connection: impl Future<Output = hyper::Result<()>> + 'static) -> Self {
        Self::User(Box::pin(connection))
    }

    /// Gives the connection a task, so that it goes on by itself.
    pub(super) fn detach(&mut self) {
        if let Self::User(connection) = std::mem::replace(self, Self::Task) {
            // What goes wrong on it is told to the request that uses it.
            tokio::task::spawn_local(connection);
        }
    }

    /// Looks at a connection between requests, so that its handle knows whether it was closed.
    pub(super) fn look(&mut self) {
        self.poll(&mut Context::from_waker(Waker::noop()));
    }

    /// Drives on: `cx` is woken when the socket has something.
    fn poll(&mut self, cx: &mut Context<'_>) {
        let Self::User(connection) = self else { return };
        let before = IO_WAKER.replace(Some(cx.waker().clone()));
        let polled = connection.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        IO_WAKER.replace(before);
        if polled.is_ready() {
            // Dropped now, which tells the handle.
            *self = Self::Task;
        }
    }

    /// Whether `answer`, which comes on this connection, is there.
    pub(super) fn poll_answer<F: Future>(&mut self, cx: &mut Context<'_>, answer: Pin<&mut F>) -> Poll<F::Output> {
        self.poll(cx);
        match self {
            Self::User(_) => answer.poll(&mut Context::from_waker(Waker::noop())),
            Self::Task => answer.poll(cx),
        }
    }
}

/// Polls a socket, which is to wake the driver of its connection if it has one.
pub(super) fn with_io_waker<R>(cx: &mut Context<'_>, poll: impl FnOnce(&mut Context<'_>) -> Poll<R>) -> Poll<R> {
    IO_WAKER.with_borrow(|waker| match waker {
        Some(waker) => poll(&mut Context::from_waker(waker)),
        None => poll(cx),
    })
}
