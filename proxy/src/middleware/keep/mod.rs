//! Bodies that are read before they are passed on: whole and kept, so that they can be sent again, or given back with
//! what was read of them when they turn out too large. What does not fit into the memory that is allowed for one goes to
//! a file.

mod file;

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio::runtime::Handle;

use self::file::{Reading, Spilled};
use crate::exchange::{Body, BodyError};

/// How much of a body is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Larger bodies are not kept; `None` is no limit.
    pub(super) max: Option<u64>,
    /// What is beyond goes to a file.
    pub(super) memory: u64,
}

/// A whole body.
#[derive(Debug, Default)]
pub(super) struct Kept {
    chunks: Vec<Bytes>,
    file: Option<Spilled>,
    trailers: Option<HeaderMap>,
}

/// What became of a body.
pub(super) enum Read {
    /// All of it is here.
    Whole(Kept),
    /// It is larger than allowed: what was read of it, then the rest.
    TooLarge(Body),
}

/// Why a body could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    /// The sender's: it broke off, or was too slow.
    #[error("the body broke off: {0}")]
    Broken(BodyError),
    /// This node's.
    #[error("a temporary file for a body (TMPDIR) cannot be written or read: {0}")]
    File(#[source] io::Error),
}

/// Reads `body` unless it is larger than allowed. Files are written on `offload`.
pub(super) async fn read(mut body: Body, limits: Limits, offload: &Handle) -> Result<Read, ReadError> {
    let fits = |size: u64| limits.max.is_none_or(|max| size <= max);
    if !fits(body.size_hint().lower()) {
        return Ok(Read::TooLarge(body));
    }
    let mut kept = Kept::default();
    let (mut held, mut in_memory) = (0u64, 0u64);
    while let Some(frame) = body.frame().await.transpose().map_err(ReadError::Broken)? {
        let data = match frame.into_data() {
            Ok(data) => data,
            Err(frame) => {
                kept.trailers = frame.into_trailers().ok();
                continue;
            }
        };
        held += data.len() as u64;
        if kept.file.is_none() && in_memory + data.len() as u64 <= limits.memory {
            in_memory += data.len() as u64;
            kept.chunks.push(data);
        } else if fits(held) {
            kept.spill(data, offload).await.map_err(ReadError::File)?;
        } else {
            kept.chunks.push(data);
        }
        if !fits(held) {
            return Ok(Read::TooLarge(kept.then(body, offload)));
        }
    }
    if let Some(file) = &mut kept.file {
        file.flush(offload).await.map_err(ReadError::File)?;
    }
    Ok(Read::Whole(kept))
}

impl Kept {
    async fn spill(&mut self, data: Bytes, offload: &Handle) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(Spilled::create(offload).await?),
        };
        file.push(data, offload).await
    }

    /// The body once more; its bytes are shared.
    pub(super) fn body(&self, offload: &Handle) -> Body {
        match (&*self.chunks, &self.file, &self.trailers) {
            ([], None, None) => Body::Empty,
            ([only], None, None) => Body::Full(only.clone()),
            (chunks, file, trailers) => Body::boxed(Replay {
                first: chunks.iter().cloned().collect(),
                file: file.as_ref().map(|file| file.read(offload)),
                trailers: trailers.clone(),
                rest: Body::Empty,
            }),
        }
    }

    /// What was read, then `rest`. Only what is in memory: bodies that may be too large are read to be refused, or are
    /// not larger than memory allows.
    fn then(self, rest: Body, offload: &Handle) -> Body {
        let file = self.file.map(|file| file.read(offload));
        Body::boxed(Replay { first: self.chunks.into(), file, trailers: None, rest })
    }
}

/// What was read of a body, then what was not.
struct Replay {
    first: VecDeque<Bytes>,
    file: Option<Reading>,
    /// Those of a body that was read to its end.
    trailers: Option<HeaderMap>,
    rest: Body,
}

impl http_body::Body for Replay {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(data) = self.first.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        if let Some(file) = &mut self.file {
            if let Some(read) = ready!(file.poll_next(cx)) {
                return Poll::Ready(Some(read.map(Frame::data).map_err(Into::into)));
            }
            self.file = None;
        }
        if let Some(trailers) = self.trailers.take() {
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        Pin::new(&mut self.rest).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        let read = self.first.is_empty() && self.file.as_ref().is_none_or(|file| file.left() == 0);
        read && self.trailers.is_none() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let first: u64 = self.first.iter().map(|data| data.len() as u64).sum();
        let known = first + self.file.as_ref().map_or(0, Reading::left);
        let rest = self.rest.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(known + rest.lower());
        if let Some(upper) = rest.upper() {
            hint.set_upper(known + upper);
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::middleware::world::run;

    fn stream(chunks: &'static [&'static str]) -> Body {
        let frames = chunks.iter().map(|chunk| Ok::<_, BodyError>(Frame::data(Bytes::from_static(chunk.as_bytes()))));
        Body::boxed(http_body_util::StreamBody::new(futures_util::stream::iter(frames)))
    }

    async fn text(body: Body) -> String {
        String::from_utf8(body.collect().await.expect("a whole body").to_bytes().into()).expect("text")
    }

    #[test]
    fn what_is_kept_is_sent_as_often_as_needed_from_memory_and_file_alike() {
        run(async {
            let offload = Handle::current();
            for memory in [0, 1, 5, 7, 100] {
                let limits = Limits { max: Some(11), memory };
                let read = read(stream(&["hello", " ", "world"]), limits, &offload).await.expect("it can be read");
                let Read::Whole(kept) = read else { panic!("it is not too large") };
                for _ in 0..2 {
                    let body = kept.body(&offload);
                    assert_eq!(body.size_hint().exact(), Some(11), "{memory}");
                    assert_eq!(text(body).await, "hello world", "{memory}");
                }
            }
        });
    }

    #[test]
    fn what_is_too_large_is_given_back_whole() {
        run(async {
            let offload = Handle::current();
            for memory in [0, 5, 100] {
                let limits = Limits { max: Some(10), memory };
                let read = read(stream(&["hello", " world", "!"]), limits, &offload).await.expect("it can be read");
                let Read::TooLarge(body) = read else { panic!("it is too large") };
                if memory > 0 {
                    assert_eq!(text(body).await, "hello world!");
                }
            }
        });
    }

    #[test]
    fn large_files_come_back_in_order() {
        run(async {
            let offload = Handle::current();
            let frames =
                (0..3000u32).map(|n| Ok::<_, BodyError>(Frame::data(Bytes::from(n.to_be_bytes().repeat(100)))));
            let body = Body::boxed(http_body_util::StreamBody::new(futures_util::stream::iter(frames)));
            let read = read(body, Limits { max: None, memory: 1000 }, &offload).await.expect("it can be read");
            let Read::Whole(kept) = read else { panic!("it is not too large") };
            let bytes = kept.body(&offload).collect().await.expect("a whole body").to_bytes();
            let want: Vec<u8> = (0..3000u32).flat_map(|n| n.to_be_bytes().repeat(100)).collect();
            assert!(bytes == want, "{} of {} bytes", bytes.len(), want.len());
        });
    }
}
