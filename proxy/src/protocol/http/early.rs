//! Finds out what a plaintext client speaks, from its first bytes, and gives them back.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use super::Spoken;

/// The client connection preface of HTTP/2 (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Room for the first bytes: most request heads fit.
const FIRST_READ: usize = 1024;

/// What is spoken, and what was read to find out; `None` when the client left or said nothing until `deadline`.
pub(super) async fn find_out<S>(stream: &mut S, spoken: Spoken, deadline: Duration) -> Option<(Spoken, BytesMut)>
where
    S: AsyncRead + Unpin,
{
    if spoken != Spoken::Unknown {
        return Some((spoken, BytesMut::new()));
    }
    tokio::time::timeout(deadline, read_preface(stream)).await.ok()?
}

async fn read_preface<S: AsyncRead + Unpin>(stream: &mut S) -> Option<(Spoken, BytesMut)> {
    let mut early = BytesMut::with_capacity(FIRST_READ);
    loop {
        if stream.read_buf(&mut early).await.ok()? == 0 {
            return (!early.is_empty()).then_some((Spoken::Http1, early));
        }
        let n = early.len().min(PREFACE.len());
        if early.get(..n) != PREFACE.get(..n) {
            return Some((Spoken::Http1, early));
        }
        if n == PREFACE.len() {
            return Some((Spoken::Http2, early));
        }
    }
}

/// A stream of which the beginning has already been read.
#[derive(Debug)]
pub(super) struct Begun<S> {
    pub(super) early: BytesMut,
    pub(super) stream: S,
}

impl<S: AsyncRead + Unpin> AsyncRead for Begun<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.early.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let n = self.early.len().min(buf.remaining());
        buf.put_slice(self.early.get(..n).unwrap_or_default());
        self.early.advance(n);
        if self.early.is_empty() {
            self.early = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Begun<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
