//! A look at the first bytes of an answer before its head goes out.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;

use crate::exchange::{Body, BodyError};

/// Waits for the first bytes of `body`, which still brings them; `None` where it has none or breaks off.
pub(super) async fn first_data(body: &mut Body) -> Option<Bytes> {
    while let Some(frame) = body.frame().await {
        let data = frame.as_ref().ok().and_then(Frame::data_ref).cloned();
        if data.as_ref().is_some_and(Bytes::is_empty) {
            continue;
        }
        let rest = std::mem::take(body);
        *body = Body::boxed(Begun { first: Some(frame), rest });
        return data;
    }
    None
}

/// A body whose first frame was taken already.
struct Begun {
    first: Option<Result<Frame<Bytes>, BodyError>>,
    rest: Body,
}

impl http_body::Body for Begun {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        match this.first.take() {
            Some(first) => Poll::Ready(Some(first)),
            None => Pin::new(&mut this.rest).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let first = self.first.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()).map_or(0, Bytes::len) as u64;
        let rest = self.rest.size_hint();
        let mut hint = SizeHint::new();
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper + first);
        }
        hint.set_lower(rest.lower() + first);
        hint
    }
}

#[cfg(test)]
mod tests {
    use http_body::Body as _;

    use super::*;

    #[tokio::test]
    async fn the_body_is_the_same_afterwards() {
        let mut body = Body::from("hello");
        assert_eq!(first_data(&mut body).await, Some(Bytes::from_static(b"hello")));
        assert_eq!(body.size_hint().exact(), Some(5));
        assert_eq!(body.collect().await.expect("no error").to_bytes(), "hello");
    }

    #[tokio::test]
    async fn a_body_of_trailers_alone_has_no_first_bytes_and_keeps_them() {
        let trailers = http::HeaderMap::from_iter([(http::header::ETAG, http::HeaderValue::from_static("x"))]);
        let empty = http_body_util::Empty::<Bytes>::new().map_err(BodyError::from);
        let mut body = Body::boxed(empty.with_trailers(std::future::ready(Some(Ok(trailers.clone())))));
        assert_eq!(first_data(&mut body).await, None);
        assert_eq!(body.collect().await.expect("no error").trailers(), Some(&trailers));
    }
}
