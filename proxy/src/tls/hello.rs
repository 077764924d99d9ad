//! Reads a ClientHello, however its records and segments are cut, and keeps its bytes for a backend that wants them.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::BytesMut;
use rustls::server::{Accepted, Acceptor};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio_rustls::LazyConfigAcceptor;

use super::HandshakeError;

/// Longest hello with its records; a post-quantum key share makes about 1.8 KiB, rustls takes no message beyond 64 KiB.
const MAX_RAW: usize = 64 * 1024 + 5 * 1024;
/// Fatal alert unrecognized_name (RFC 6066 section 3) as a plaintext record.
const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

/// A client that has said hello.
pub struct Hello<S> {
    /// The connection, behind the hello.
    pub stream: S,
    /// The hello, for the handshake.
    pub accepted: Accepted,
    /// All that was read.
    pub raw: BytesMut,
    /// Lower-case, without trailing dot.
    pub server_name: Option<Arc<str>>,
}

/// Reads from `stream` until the hello is complete.
pub async fn read<S>(stream: S) -> Result<Hello<S>, HandshakeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let recorded = Recorded { stream, raw: BytesMut::new() };
    let start = LazyConfigAcceptor::new(Acceptor::default(), recorded).await?;
    let server_name = start.client_hello().server_name().map(canonical);
    let tokio_rustls::StartHandshake { accepted, io, .. } = start;
    Ok(Hello { stream: io.stream, accepted, raw: io.raw, server_name })
}

/// Server names are compared without regard to case (RFC 6066 section 3).
fn canonical(name: &str) -> Arc<str> {
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.bytes().any(|b| b.is_ascii_uppercase()) { name.to_ascii_lowercase().into() } else { name.into() }
}

/// Tells the client that nobody here has that name.
pub(super) async fn refuse_name<S: AsyncWrite + Unpin>(mut stream: S) {
    // The client may be gone; it is refused either way.
    let _ = stream.write_all(&UNRECOGNIZED_NAME).await;
    let _ = stream.shutdown().await;
}

/// Keeps a copy of what is read.
struct Recorded<S> {
    stream: S,
    raw: BytesMut,
}

impl<S: AsyncRead + Unpin> AsyncRead for Recorded<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let this = &mut *self;
        let polled = Pin::new(&mut this.stream).poll_read(cx, buf);
        let fresh = buf.filled().get(before..).unwrap_or_default();
        if this.raw.len() + fresh.len() > MAX_RAW {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "ClientHello too long")));
        }
        this.raw.extend_from_slice(fresh);
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Recorded<S> {
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
