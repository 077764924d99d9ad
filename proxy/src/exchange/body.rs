//! Message bodies on the request path: streamed, never collected unless a feature asks for it.

use std::{
    cell::Cell,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;

use super::completion::Completion;

/// Why a body ended early. Boxed, because it is only ever logged or turned into an aborted message.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// A request or response body. Not `Send`: it stays on its worker.
#[derive(Default)]
pub enum Body {
    /// Nothing.
    #[default]
    Empty,
    /// Known bytes.
    Full(Bytes),
    /// Straight from the other side.
    Incoming(Incoming),
    /// From the client, its bytes counted.
    Counted(Incoming, Rc<Cell<u64>>),
    /// To the client, its bytes counted and its end noted.
    Watched(Box<Completion>),
    /// Wrapped or transformed.
    Boxed(Pin<Box<dyn http_body::Body<Data = Bytes, Error = BodyError>>>),
}

impl Body {
    /// A body made of another one.
    pub fn boxed<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes> + 'static,
        B::Error: Into<BodyError>,
    {
        Self::Boxed(Box::pin(http_body_util::BodyExt::map_err(body, Into::into)))
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut *self {
            Self::Empty => Poll::Ready(None),
            Self::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                *self = Self::Empty;
                Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
            }
            Self::Incoming(incoming) => Pin::new(incoming).poll_frame(cx).map_err(Into::into),
            Self::Counted(incoming, count) => {
                let polled = Pin::new(incoming).poll_frame(cx);
                if let Poll::Ready(Some(Ok(frame))) = &polled
                    && let Some(data) = frame.data_ref()
                {
                    count.set(count.get() + data.len() as u64);
                }
                polled.map_err(Into::into)
            }
            Self::Watched(watched) => watched.poll_frame(cx),
            Self::Boxed(body) => body.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Full(bytes) => bytes.is_empty(),
            Self::Incoming(incoming) | Self::Counted(incoming, _) => incoming.is_end_stream(),
            Self::Watched(watched) => watched.is_end_stream(),
            Self::Boxed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Incoming(incoming) | Self::Counted(incoming, _) => incoming.size_hint(),
            Self::Watched(watched) => watched.size_hint(),
            Self::Boxed(body) => body.size_hint(),
        }
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Self::Full(Bytes::from_static(text.as_bytes()))
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Self::Full(text.into())
    }
}
