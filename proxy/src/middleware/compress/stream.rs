//! A body that is compressed as it passes.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use async_compression::{
    Level, brotli,
    tokio::write::{BrotliEncoder, GzipEncoder, ZstdEncoder},
    zstd,
};
use bytes::{Buf as _, Bytes};
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use postern_config::model::middleware::compress::Encoding;
use tokio::io::AsyncWrite;

use crate::exchange::{Body, BodyError};

/// Bytes compressed between two looks at the rest of the worker: about 100 µs.
const SLICE: usize = 8 * 1024;
/// Window of 256 KiB: larger ones cost megabytes per answer.
const WINDOW_LOG: u32 = 18;

/// A body that is compressed as it passes.
pub(super) struct Compressed {
    body: Body,
    encoder: Encoder,
    /// What was taken from `body` and is not compressed yet.
    input: Bytes,
    stage: Stage,
    /// Bytes compressed since the last pause.
    unpaused: usize,
}

enum Stage {
    /// Nothing is held back by the encoder.
    Flushed,
    /// The encoder holds bytes back.
    Open,
    /// As much as may be was compressed without a pause; the rest waits for its turn.
    Turn,
    /// The body has ended, perhaps with trailers.
    Ending(Option<HeaderMap>),
    /// All is said but the trailers.
    Trailers(Option<HeaderMap>),
}

enum Encoder {
    Gzip(GzipEncoder<Vec<u8>>),
    Brotli(Box<BrotliEncoder<Vec<u8>>>),
    Zstd(ZstdEncoder<Vec<u8>>),
}

impl Encoder {
    fn new(encoding: Encoding) -> Self {
        match encoding {
            Encoding::Gzip => Self::Gzip(GzipEncoder::with_quality(Vec::new(), Level::Precise(4))),
            Encoding::Brotli => {
                let params = brotli::EncoderParams::default().quality(Level::Precise(3));
                let params = params.window_size(WINDOW_LOG as i32);
                Self::Brotli(Box::new(BrotliEncoder::with_params(Vec::new(), params)))
            }
            Encoding::Zstd => {
                let window = [zstd::CParameter::window_log(WINDOW_LOG)];
                Self::Zstd(ZstdEncoder::with_quality_and_params(Vec::new(), Level::Precise(3), &window))
            }
        }
    }

    fn writer(&mut self) -> Pin<&mut (dyn AsyncWrite + Unpin)> {
        match self {
            Self::Gzip(encoder) => Pin::new(encoder),
            Self::Brotli(encoder) => Pin::new(&mut **encoder),
            Self::Zstd(encoder) => Pin::new(encoder),
        }
    }

    /// What has come out.
    fn take(&mut self) -> Bytes {
        let out = match self {
            Self::Gzip(encoder) => encoder.get_mut(),
            Self::Brotli(encoder) => encoder.get_mut(),
            Self::Zstd(encoder) => encoder.get_mut(),
        };
        std::mem::take(out).into()
    }
}

impl Compressed {
    pub(super) fn new(body: Body, encoding: Encoding) -> Self {
        Self { body, encoder: Encoder::new(encoding), input: Bytes::new(), stage: Stage::Flushed, unpaused: 0 }
    }

    /// Compresses a slice of the input. The sink is memory, so writing never waits.
    fn compress(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        let slice = self.input.get(..self.input.len().min(SLICE)).unwrap_or_default();
        let written = ready!(self.encoder.writer().poll_write(cx, slice))?;
        self.input.advance(written);
        self.unpaused += written;
        self.stage = if self.unpaused < SLICE { Stage::Open } else { Stage::Turn };
        Poll::Ready(Ok(()))
    }

    /// Takes the next frame of the body, or flushes what the encoder holds back while there is none.
    fn fetch(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        match http_body::Body::poll_frame(Pin::new(&mut self.body), cx) {
            Poll::Ready(None) => self.stage = Stage::Ending(None),
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => self.input = data,
                Err(frame) => self.stage = Stage::Ending(frame.into_trailers().ok()),
            },
            Poll::Pending => match self.stage {
                Stage::Open => {
                    ready!(self.encoder.writer().poll_flush(cx))?;
                    self.stage = Stage::Flushed;
                }
                _ => return Poll::Pending,
            },
        }
        Poll::Ready(Ok(()))
    }

    /// One step; bytes may have come out.
    fn advance(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        match &mut self.stage {
            Stage::Ending(trailers) => {
                let trailers = trailers.take();
                ready!(self.encoder.writer().poll_shutdown(cx))?;
                self.stage = Stage::Trailers(trailers);
                Poll::Ready(Ok(()))
            }
            Stage::Turn => {
                self.stage = Stage::Open;
                self.unpaused = 0;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            _ if !self.input.is_empty() => self.compress(cx),
            _ => self.fetch(cx),
        }
    }
}

impl http_body::Body for Compressed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        loop {
            let out = this.encoder.take();
            if !out.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(out))));
            }
            if let Stage::Trailers(trailers) = &mut this.stage {
                return Poll::Ready(trailers.take().map(|trailers| Ok(Frame::trailers(trailers))));
            }
            if let Err(error) = ready!(this.advance(cx)) {
                return Poll::Ready(Some(Err(error)));
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

#[cfg(test)]
mod tests {
    use async_compression::tokio::bufread;
    use http_body_util::{BodyExt as _, StreamBody};
    use tokio::io::AsyncReadExt as _;

    use super::*;

    async fn decoded(encoding: Encoding, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        match encoding {
            Encoding::Gzip => bufread::GzipDecoder::new(bytes).read_to_end(&mut out).await,
            Encoding::Brotli => bufread::BrotliDecoder::new(bytes).read_to_end(&mut out).await,
            Encoding::Zstd => bufread::ZstdDecoder::new(bytes).read_to_end(&mut out).await,
        }
        .expect("a well-formed stream");
        out
    }

    #[tokio::test]
    async fn every_coding_gives_back_what_went_in() {
        let mut text = String::new();
        for n in 0..20_000 {
            text.push_str(&n.to_string());
        }
        for encoding in Encoding::ALL {
            for len in [0, 1, SLICE, SLICE + 1, text.len()] {
                let input = text.get(..len).expect("ASCII").to_owned();
                let body = Compressed::new(Body::from(input.clone()), encoding);
                let compressed = body.collect().await.expect("no error").to_bytes();
                assert_eq!(decoded(encoding, &compressed).await, input.as_bytes(), "{encoding:?} {len}");
            }
        }
    }

    #[tokio::test]
    async fn what_the_backend_has_sent_is_not_held_back() {
        for encoding in Encoding::ALL {
            let (sender, receiver) = tokio::sync::mpsc::unbounded_channel::<Result<Frame<Bytes>, BodyError>>();
            let stream = futures_util::stream::unfold(receiver, |mut receiver| async move {
                receiver.recv().await.map(|item| (item, receiver))
            });
            let mut body = std::pin::pin!(Compressed::new(Body::boxed(StreamBody::new(stream)), encoding));
            let mut so_far = Vec::new();
            for event in ["data: one\n\n", "data: two\n\n"] {
                sender.send(Ok(Frame::data(Bytes::from_static(event.as_bytes())))).expect("it is open");
                let flushed = tokio::time::timeout(std::time::Duration::from_secs(5), async {
                    loop {
                        let frame = body.frame().await.expect("more").expect("no error");
                        so_far.extend_from_slice(&frame.into_data().expect("data"));
                        if partially_decoded(encoding, &so_far).await.ends_with(event.as_bytes()) {
                            break;
                        }
                    }
                });
                flushed.await.expect("the event arrives before the next is sent");
            }
            let trailers =
                HeaderMap::from_iter([(http::HeaderName::from_static("x-sum"), http::HeaderValue::from_static("1"))]);
            sender.send(Ok(Frame::trailers(trailers.clone()))).expect("it is open");
            drop(sender);
            let rest = body.collect().await.expect("no error");
            assert_eq!(rest.trailers(), Some(&trailers));
        }
    }

    async fn partially_decoded(encoding: Encoding, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut buffer = [0; 1024];
        let mut reader: Pin<Box<dyn tokio::io::AsyncRead + '_>> = match encoding {
            Encoding::Gzip => Box::pin(bufread::GzipDecoder::new(bytes)),
            Encoding::Brotli => Box::pin(bufread::BrotliDecoder::new(bytes)),
            Encoding::Zstd => Box::pin(bufread::ZstdDecoder::new(bytes)),
        };
        // The stream is not at its end, so an error follows what is there.
        while let Ok(n @ 1..) = reader.read(&mut buffer).await {
            out.extend_from_slice(&buffer[..n]);
        }
        out
    }
}
