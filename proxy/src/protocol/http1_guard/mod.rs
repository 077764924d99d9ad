//! Stands between the socket and hyper's HTTP/1 server and lets only unambiguous messages through.
//!
//! hyper's parser is lenient (it takes bare LF, drops Content-Length behind Transfer-Encoding, folds equal lengths), and
//! what is lenient in front of another parser is a way to smuggle requests past it. [`Framing`] reads the same bytes
//! strictly before hyper does; on an offence the guard hands over something that hyper answers with 400 and ends the
//! stream. Time limits of the connection live here too, because only here is known what is being waited for.

mod chunk;
mod clock;
mod framing;
mod head;
mod link;
mod offence;
#[cfg(test)]
mod tests;

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

use clock::Clock;
pub use clock::Deadlines;
pub use framing::{Fed, Framing, HeadLimits, Phase};
pub use link::{Link, Upgrade};
pub use offence::Offence;

use crate::telemetry::metrics::Limit;

/// Ends a withheld head, so that a parser that waits for more looks at it.
const HEAD_TAIL: &[u8] = b"\r\n\r\n";
/// How long a closed connection is read on so that the last answer is not lost to a reset.
const LINGER: Duration = Duration::from_secs(2);

/// A guarded stream. Reads are judged, writes only timed.
#[derive(Debug)]
pub struct Guard<S> {
    inner: S,
    framing: Framing,
    clock: Clock,
    link: Arc<Link>,
    mode: Mode,
    /// Bytes that were read before their time: behind an upgrade request, or while the protocol was found out.
    early: BytesMut,
    linger_until: Option<Instant>,
}

#[derive(Debug)]
enum Mode {
    /// HTTP/1 messages.
    Following,
    /// After 101.
    Tunnel,
    /// After an offence: what is still to be handed over before the end of the stream.
    Ending(&'static [u8]),
}

impl<S> Guard<S> {
    /// Guards `inner`, of which `early` has already been read.
    pub fn new(inner: S, early: BytesMut, limits: HeadLimits, deadlines: Deadlines, link: Arc<Link>) -> Self {
        let (framing, clock) = (Framing::new(limits), Clock::new(deadlines));
        Self { inner, framing, clock, link, mode: Mode::Following, early, linger_until: None }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Guard<S> {
    /// Settles whether what follows an upgrade request is HTTP.
    fn poll_decision(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.framing.phase() == Phase::Held {
            match self.link.take_decision(cx.waker()) {
                Upgrade::Undecided => return Poll::Pending,
                Upgrade::Refused => self.framing.resume(),
                Upgrade::Granted => {
                    self.framing.let_go();
                    self.mode = Mode::Tunnel;
                }
            }
        }
        Poll::Ready(())
    }

    /// Reads on, from the early bytes or from the stream.
    fn poll_raw(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.early.is_empty() {
            return Pin::new(&mut self.inner).poll_read(cx, buf);
        }
        let n = self.early.len().min(buf.remaining());
        buf.put_slice(self.early.get(..n).unwrap_or_default());
        self.early.advance(n);
        if self.early.is_empty() {
            self.early = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_followed(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        match self.poll_raw(cx, buf) {
            Poll::Ready(done) => done?,
            Poll::Pending => return self.poll_overdue(cx),
        }
        let fresh = buf.filled_mut().get_mut(before..).unwrap_or_default();
        if fresh.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let kept = match self.framing.feed(fresh) {
            Fed::All => fresh.len(),
            Fed::Held(len) => {
                self.keep_early(fresh.get(len..).unwrap_or_default());
                len
            }
            Fed::Spoilt { len, offence, head } => {
                self.link.accuse(offence);
                self.mode = Mode::Ending(if head { HEAD_TAIL } else { b"" });
                len
            }
        };
        self.clock.read(self.framing.phase());
        buf.set_filled(before + kept);
        if kept == 0 { self.poll_tail(buf) } else { Poll::Ready(Ok(())) }
    }

    /// Puts bytes back in front of those still unread.
    fn keep_early(&mut self, bytes: &[u8]) {
        let rest = std::mem::take(&mut self.early);
        self.early.reserve(bytes.len() + rest.len());
        self.early.extend_from_slice(bytes);
        self.early.extend_from_slice(&rest);
    }

    /// Whether the client has taken too long: between requests and in heads the stream just ends.
    fn poll_overdue(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let phase = self.framing.phase();
        ready!(self.clock.poll_read_deadline(cx, phase));
        self.link.too_late(match phase {
            Phase::Body => Limit::BodyIdle,
            Phase::Head => Limit::HeaderDeadline,
            _ => Limit::Idle,
        });
        Poll::Ready(if phase == Phase::Body { Err(stalled("request body made no progress")) } else { Ok(()) })
    }

    fn poll_tail(&mut self, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Mode::Ending(tail) = &mut self.mode {
            let (now, later) = tail.split_at(tail.len().min(buf.remaining()));
            buf.put_slice(now);
            *tail = later;
        }
        Poll::Ready(Ok(()))
    }

    fn timed_write(&mut self, cx: &mut Context<'_>, wrote: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if wrote.is_pending() {
            if matches!(self.mode, Mode::Tunnel) {
                return Poll::Pending;
            }
            ready!(self.clock.poll_write_deadline(cx));
            self.link.too_late(Limit::BodyIdle);
            return Poll::Ready(Err(stalled("client does not read")));
        }
        self.clock.written();
        wrote
    }

    /// Reads what the client still sends after our last word; closing at once would reset the connection, and with it
    /// an answer that the client has not read yet.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let until = *self.linger_until.get_or_insert_with(|| Instant::now() + LINGER);
        let mut scratch = [0; 2048];
        for _ in 0..16 {
            let mut buf = ReadBuf::new(&mut scratch);
            match Pin::new(&mut self.inner).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => {}
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending => return self.clock.poll_until(cx, until).map(Ok),
            }
        }
        if Instant::now() < until {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S> Drop for Guard<S> {
    fn drop(&mut self) {
        self.link.leave();
    }
}

fn stalled(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what)
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Guard<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if matches!(this.mode, Mode::Following) {
            ready!(this.poll_decision(cx));
        }
        match this.mode {
            Mode::Following => this.poll_followed(cx, buf),
            Mode::Tunnel if this.link.is_broken(cx.waker()) => {
                Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()))
            }
            Mode::Tunnel => this.poll_raw(cx, buf),
            Mode::Ending(_) => this.poll_tail(buf),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guard<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let wrote = Pin::new(&mut this.inner).poll_write(cx, bytes);
        this.timed_write(cx, wrote)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let wrote = Pin::new(&mut this.inner).poll_write_vectored(cx, bytes);
        this.timed_write(cx, wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.linger_until.is_none() {
            ready!(Pin::new(&mut this.inner).poll_shutdown(cx))?;
        }
        let clean = matches!(this.mode, Mode::Tunnel) || this.framing.phase() == Phase::Idle;
        if clean { Poll::Ready(Ok(())) } else { this.poll_linger(cx) }
    }
}
