//! One stream: frames in both directions, each with a deadline.

use std::{io, time::Duration};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt as _};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, timeout, timeout_at},
};
use tokio_util::codec::{Framed, LengthDelimitedCodec};

use super::{
    SILENT,
    frame::{Frame, FrameError, LONGEST, Message},
};

/// Why a stream has ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum StreamError {
    /// The network's, or the peer's.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The peer's.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The peer's: it is gone.
    #[error("it has closed the stream")]
    Closed,
    /// The peer's, or the network's.
    #[error("nothing was heard of it for {SILENT:?}")]
    Silent,
    /// The peer's: it takes nothing any more.
    #[error("nothing could be said to it for {SILENT:?}")]
    Stuck,
    /// The peer's: it does not want us, for this reason.
    #[error("it refuses: {0}")]
    Refused(String),
    /// The peer's: something else should have come.
    #[error("it does not say who it is")]
    NoHello,
}

/// Frames over `T`.
pub(super) struct Stream<T> {
    frames: Framed<T, LengthDelimitedCodec>,
    heard: Instant,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Stream<T> {
    pub(super) fn new(io: T) -> Self {
        let codec = LengthDelimitedCodec::builder().max_frame_length(LONGEST).new_codec();
        Self { frames: Framed::new(io, codec), heard: Instant::now() }
    }

    /// What is below.
    pub(super) fn io(&self) -> &T {
        self.frames.get_ref()
    }

    /// The next frame. May be dropped and called again: nothing is lost, and the deadline is that of the last frame.
    pub(super) async fn next(&mut self) -> Result<Frame, StreamError> {
        let bytes = timeout_at(self.heard + SILENT, self.frames.next()).await;
        let bytes = bytes.map_err(|_| StreamError::Silent)?.ok_or(StreamError::Closed)?.map_err(closed)?;
        self.heard = Instant::now();
        Ok(Frame::decode(&bytes)?)
    }

    /// Says `message`.
    pub(super) async fn say(&mut self, counter: &mut u64, message: Message) -> Result<(), StreamError> {
        *counter += 1;
        let bytes = Bytes::from(Frame { counter: *counter, message }.encode());
        timeout(SILENT, self.frames.send(bytes)).await.map_err(|_| StreamError::Stuck)??;
        Ok(())
    }

    /// Says a last word, if that goes quickly.
    pub(super) async fn refuse(mut self, why: String) {
        let mut counter = 0;
        let last = async {
            let _gone = self.say(&mut counter, Message::Refused(why)).await;
            // What is still on its way would make the system reset the stream, and the word would be lost.
            let _gone = SinkExt::<Bytes>::close(&mut self.frames).await;
            while self.frames.next().await.is_some_and(|bytes| bytes.is_ok()) {}
        };
        let _in_time = timeout(Duration::from_secs(1), last).await;
    }
}

/// A process that ends says no farewell.
fn closed(error: io::Error) -> StreamError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => StreamError::Closed,
        _ => error.into(),
    }
}
