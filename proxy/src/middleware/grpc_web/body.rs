//! Bodies of gRPC-Web on their way: requests out of base64, answers with their trailers as the last frame.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{BufMut as _, Bytes, BytesMut};
use http::HeaderMap;
use http_body::Frame;

use super::{Form, base64_text};
use crate::exchange::{Body, BodyError};

/// A request's body out of base64.
pub(super) struct Decoded {
    body: Body,
    decoder: base64_text::Decoder,
}

impl Decoded {
    pub(super) fn new(body: Body) -> Self {
        Self { body, decoder: base64_text::Decoder::default() }
    }
}

impl http_body::Body for Decoded {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        loop {
            let Some(frame) = ready!(Pin::new(&mut this.body).poll_frame(cx)) else {
                return Poll::Ready(this.decoder.finish().err().map(|error| Err(error.into())));
            };
            // A browser has no trailers to send; whatever else comes has no meaning in gRPC-Web.
            let Ok(text) = frame?.into_data() else { continue };
            let bytes = this.decoder.feed(&text)?;
            if !bytes.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(bytes.into()))));
            }
        }
    }
}

/// An answer's body in the client's form.
pub(super) struct Framed {
    body: Body,
    form: Form,
}

impl Framed {
    pub(super) fn new(body: Body, form: Form) -> Self {
        Self { body, form }
    }

    /// Each piece is padded by itself, so that nothing is held back.
    fn write(&self, bytes: Bytes) -> Bytes {
        match self.form {
            Form::Binary => bytes,
            Form::Text => base64_text::encode(&bytes).into(),
        }
    }
}

impl http_body::Body for Framed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let Some(frame) = ready!(Pin::new(&mut this.body).poll_frame(cx)) else { return Poll::Ready(None) };
        let bytes = match frame?.into_data() {
            Ok(data) => data,
            Err(frame) => frame.into_trailers().map_or_else(|_| Bytes::new(), |trailers| trailer_frame(&trailers)),
        };
        Poll::Ready(Some(Ok(Frame::data(this.write(bytes)))))
    }
}

/// PROTOCOL-WEB: a frame whose flags have the highest bit, with the trailers as HTTP/1 writes fields, names in lower case.
fn trailer_frame(trailers: &HeaderMap) -> Bytes {
    let mut fields = BytesMut::new();
    for (name, value) in trailers {
        fields.put_slice(name.as_str().as_bytes());
        fields.put_slice(b": ");
        fields.put_slice(value.as_bytes());
        fields.put_slice(b"\r\n");
    }
    let mut frame = BytesMut::with_capacity(5 + fields.len());
    frame.put_u8(0x80);
    // Trailers are limited in size long before.
    frame.put_u32(u32::try_from(fields.len()).unwrap_or(u32::MAX));
    frame.put_slice(&fields);
    frame.freeze()
}
