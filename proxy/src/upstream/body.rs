//! Bodies on their way through: what must happen when an answer ends, and whether a request may be sent again.

use std::{
    cell::RefCell,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until};

use super::{
    live::InFlight,
    pool::{Home, Idle, Keep, Pools, Stream},
};
use crate::{
    exchange::{Body, BodyError},
    respond::Failure,
};

/// An HTTP/1.1 connection that goes back to its pool when the answer is complete. Dropped before, it is closed: what
/// would come next on it is the rest of this answer.
pub(super) struct Return {
    pub(super) pools: Rc<Pools>,
    pub(super) home: Home,
    pub(super) idle: Idle,
    pub(super) keep: Keep,
}

impl Return {
    /// Not ready means that the request's body is still under way: such a connection is not used again.
    fn run(self) {
        if self.idle.sender.is_ready() {
            self.pools.give_back(self.home, self.idle, self.keep);
        }
    }
}

/// What is held until an answer has ended.
#[derive(Default)]
pub(super) struct Held {
    pub(super) on_end: Option<Return>,
    pub(super) stream: Option<Stream>,
    pub(super) in_flight: Option<InFlight>,
    pub(super) deadline: Option<Instant>,
}

/// `incoming`, holding `held` until its end; nothing is wrapped when nothing is held.
pub(super) fn answer(incoming: Incoming, mut held: Held) -> Body {
    if incoming.is_end_stream() {
        if let Some(on_end) = held.on_end.take() {
            on_end.run();
        }
        return Body::Empty;
    }
    if held.on_end.is_none() && held.stream.is_none() && held.in_flight.is_none() && held.deadline.is_none() {
        return Body::Incoming(incoming);
    }
    let deadline = held.deadline.map(|deadline| Box::pin(sleep_until(deadline)));
    Body::Boxed(Box::pin(Answer { incoming, held, deadline }))
}

struct Answer {
    incoming: Incoming,
    held: Held,
    deadline: Option<Pin<Box<Sleep>>>,
}

impl Answer {
    fn end(&mut self) {
        if let Some(on_end) = self.held.on_end.take() {
            on_end.run();
        }
        self.held = Held::default();
        self.deadline = None;
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        if let Some(deadline) = &mut this.deadline
            && deadline.as_mut().poll(cx).is_ready()
        {
            this.held = Held::default();
            return Poll::Ready(Some(Err(Failure::TimedOut("request").into())));
        }
        let frame = ready!(Pin::new(&mut this.incoming).poll_frame(cx));
        match &frame {
            None => this.end(),
            // Nobody polls again after the last byte of a counted body, or after trailers.
            Some(Ok(frame)) if frame.is_trailers() || this.incoming.is_end_stream() => this.end(),
            Some(Ok(_)) => {}
            Some(Err(_)) => this.held = Held::default(),
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

/// A request body that can be taken back as long as nobody has begun to read it.
#[derive(Clone)]
pub(super) struct Tracked(Rc<RefCell<Progress>>);

struct Progress {
    body: Body,
    begun: bool,
    ended: Option<Instant>,
}

impl Tracked {
    pub(super) fn new(body: Body) -> Self {
        Self(Rc::new(RefCell::new(Progress { body, begun: false, ended: None })))
    }

    /// The body to send.
    pub(super) fn body(&self) -> Body {
        Body::Boxed(Box::pin(self.clone()))
    }

    /// The same body for one more try. What still holds it from a former one gets nothing any more.
    pub(super) fn renew(&mut self) {
        if Rc::strong_count(&self.0) > 1 {
            let body = std::mem::take(&mut self.0.borrow_mut().body);
            *self = Self::new(body);
        }
    }

    /// Whether nothing of it has been read.
    pub(super) fn is_untouched(&self) -> bool {
        !self.0.borrow().begun
    }

    /// When the last of it was read.
    pub(super) fn ended(&self) -> Option<Instant> {
        self.0.borrow().ended
    }
}

impl http_body::Body for Tracked {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let progress = &mut *self.0.borrow_mut();
        progress.begun = true;
        let frame = ready!(Pin::new(&mut progress.body).poll_frame(cx));
        let more = matches!(&frame, Some(Ok(frame)) if !frame.is_trailers() && !progress.body.is_end_stream());
        if !more {
            progress.ended = Some(Instant::now());
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.0.borrow().body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.borrow().body.size_hint()
    }
}
