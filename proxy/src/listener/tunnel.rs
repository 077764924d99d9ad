//! Copies bytes both ways between a client and a backend until both have ended or neither says anything.

use std::{
    cell::Cell,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes in flight per direction.
const BUFFER: usize = 16 * 1024;

/// Joins the two. Each direction ends by itself (half-close); both end when nothing has come from either side for `idle`.
/// Returns the bytes that came from the client and from the backend.
pub(super) async fn join<C, B>(client: C, backend: B, idle: Duration) -> (u64, u64)
where
    C: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let (from_client, from_backend) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let mut client = Counted { stream: client, count: from_client.clone() };
    let mut backend = Counted { stream: backend, count: from_backend.clone() };
    let copying = tokio::io::copy_bidirectional_with_sizes(&mut client, &mut backend, BUFFER, BUFFER);
    tokio::select! {
        biased;
        ended = copying => if let Err(error) = ended {
            tracing::debug!(%error, "a tunnel broke off");
        },
        () = silence(&from_client, &from_backend, idle) => {}
    }
    (from_client.get(), from_backend.get())
}

/// Ends when the counts have stayed the same for at least `idle`, and before twice that.
async fn silence(one: &Cell<u64>, other: &Cell<u64>, idle: Duration) {
    let mut before = None;
    while before != Some((one.get(), other.get())) {
        before = Some((one.get(), other.get()));
        tokio::time::sleep(idle).await;
    }
}

struct Counted<S> {
    stream: S,
    count: Rc<Cell<u64>>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.count.set(self.count.get() + (buf.filled().len() - before) as u64);
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
