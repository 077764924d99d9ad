//! A TCP stream that sends small pieces with one plain `send`.
//!
//! `writev` costs the kernel about a tenth more than `send` for the few hundred bytes of a usual head or record, and
//! hyper hands over a small answer in two pieces. Large writes stay vectored: they are not copied.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// The most bytes that are put together on the stack.
const SMALL: usize = 1024;

/// See the module.
#[derive(Debug)]
pub struct Socket(TcpStream);

impl Socket {
    /// Over `stream`.
    pub fn new(stream: TcpStream) -> Self {
        Self(stream)
    }

    /// The stream itself.
    pub fn get_ref(&self) -> &TcpStream {
        &self.0
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().0).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let stream = Pin::new(&mut self.get_mut().0);
        if let [piece] = pieces {
            return stream.poll_write(cx, piece);
        }
        let mut small = [0; SMALL];
        match gather(pieces, &mut small) {
            Some(bytes) => stream.poll_write(cx, bytes),
            None => stream.poll_write_vectored(cx, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_shutdown(cx)
    }
}

/// All `pieces` in `room`; `None` when they do not fit.
fn gather<'r>(pieces: &[IoSlice<'_>], room: &'r mut [u8]) -> Option<&'r [u8]> {
    let mut len = 0;
    for piece in pieces {
        room.get_mut(len..len + piece.len())?.copy_from_slice(piece);
        len += piece.len();
    }
    room.get(..len)
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    #[test]
    fn what_fits_is_put_together() {
        let mut room = [0; 4];
        let pieces = |pieces: &[&'static [u8]]| pieces.iter().map(|piece| IoSlice::new(piece)).collect::<Vec<_>>();
        assert_eq!(gather(&pieces(&[b"ab", b"", b"cd"]), &mut room), Some(b"abcd".as_slice()));
        assert_eq!(gather(&pieces(&[b"abc", b"cd"]), &mut room), None);
        assert_eq!(gather(&pieces(&[]), &mut room), Some(b"".as_slice()));
    }

    #[tokio::test]
    async fn small_and_large_pieces_arrive_in_order() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let stream = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("it listens");
        let (mut other, _) = listener.accept().await.expect("a connection");
        let mut socket = Socket::new(stream);
        let large = vec![b'x'; 2 * SMALL];
        for pieces in [[b"one ".as_slice(), b"two "], [b"three ", &large], [b"four", b""]] {
            let pieces = pieces.map(IoSlice::new);
            let wanted = pieces.iter().map(|piece| piece.len()).sum::<usize>();
            assert_eq!(socket.write_vectored(&pieces).await.expect("it is open"), wanted, "an empty buffer takes all");
        }
        drop(socket);
        let mut seen = Vec::new();
        other.read_to_end(&mut seen).await.expect("it ends");
        assert_eq!(seen, [b"one two three ".as_slice(), &large, b"four"].concat());
    }
}
