//! The ClientHello, however its bytes arrive: the same server name, and a copy that a backend can be given.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::FutureExt;
use postern_proxy::tls::hello;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The first byte says how the rest is cut.
pub fn client_hello(data: &[u8]) {
    let Some((cut, bytes)) = data.split_first() else { return };
    let whole = read(bytes, bytes.len().max(1));
    assert_eq!(whole, read(bytes, usize::from(*cut).max(1)), "in pieces of {cut}");
    let Some(Some(name)) = whole else { return };
    assert!(!name.bytes().any(|byte| byte.is_ascii_uppercase()), "{name:?} is in lower case");
    assert!(!name.is_empty(), "a name that is there says something");
}

/// `None`: refused. A name of `None`: accepted without one.
fn read(bytes: &[u8], size: usize) -> Option<Option<Arc<str>>> {
    let pieces = Pieces { left: bytes, size };
    let hello = hello::read(pieces).now_or_never().expect("a stream that never waits ends").ok()?;
    assert!(bytes.starts_with(&hello.raw), "the copy is what was read");
    Some(hello.server_name)
}

/// A client that sends `size` bytes at a time, reads nothing, and then goes away.
struct Pieces<'a> {
    left: &'a [u8],
    size: usize,
}

impl AsyncRead for Pieces<'_> {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let length = self.size.min(self.left.len()).min(buffer.remaining());
        let (piece, left) = self.left.split_at(length);
        buffer.put_slice(piece);
        self.left = left;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pieces<'_> {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
