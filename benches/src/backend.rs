//! A backend that costs as little as possible: fixed answers over keep-alive HTTP/1.1, on a thread of its own.
//!
//! `/` answers 100 bytes, `/1m` answers 1 MiB. Request bodies are read and dropped. It trusts its only client, the
//! proxy under test, and is no model for a server.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener as StdListener},
    sync::LazyLock,
    thread::JoinHandle,
};

use memchr::memmem;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
};

use crate::{
    measure::pin,
    result::{Context, Result},
};

/// Bytes of the body that `/1m` answers.
pub(crate) const LARGE: usize = 1 << 20;

static SMALL_ANSWER: LazyLock<Vec<u8>> = LazyLock::new(|| answer(100));
static LARGE_ANSWER: LazyLock<Vec<u8>> = LazyLock::new(|| answer(LARGE));

/// A running backend; stops when dropped.
pub(crate) struct Backend {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Backend {
    /// Starts one on a free port of loopback, pinned to `core`.
    pub(crate) fn start(core: usize) -> Result<Self> {
        Self::start_on(Ipv4Addr::LOCALHOST.into(), core)
    }

    /// Starts one on a free port of `address`, pinned to `core`.
    pub(crate) fn start_on(address: IpAddr, core: usize) -> Result<Self> {
        let listener = StdListener::bind((address, 0)).context("binding the backend")?;
        listener.set_nonblocking(true).context("preparing the backend's socket")?;
        let address = listener.local_addr().context("reading the backend's address")?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            pin::this_thread(core);
            if let Err(error) = serve(listener, stopped) {
                eprintln!("backend: {error}");
            }
        });
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Runs one in the foreground.
pub(crate) fn run(bind: SocketAddr) -> Result<()> {
    let listener = StdListener::bind(bind).context(format!("binding {bind}"))?;
    listener.set_nonblocking(true).context("preparing the socket")?;
    let (_never, stopped) = oneshot::channel();
    serve(listener, stopped)
}

fn serve(listener: StdListener, stopped: oneshot::Receiver<()>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting a runtime")?;
    runtime.block_on(async {
        let listener = TcpListener::from_std(listener).context("registering the socket")?;
        tokio::select! {
            () = accept(&listener) => {}
            _ = stopped => {}
        }
        Ok(())
    })
}

async fn accept(listener: &TcpListener) {
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            tokio::spawn(answer_all(stream));
        }
    }
}

async fn answer_all(mut stream: TcpStream) {
    let mut seen = Vec::with_capacity(64 * 1024);
    loop {
        let Some(head) = read_head(&mut stream, &mut seen).await else { return };
        let large = seen.starts_with(b"GET /1m ");
        let body = Body::of(seen.get(..head).unwrap_or_default());
        seen.drain(..head);
        if body.drop_from(&mut stream, &mut seen).await.is_none() {
            return;
        }
        let answer: &[u8] = if large { &LARGE_ANSWER } else { &SMALL_ANSWER };
        if stream.write_all(answer).await.is_err() {
            return;
        }
    }
}

/// Reads until `seen` holds a head and returns its length.
async fn read_head(stream: &mut TcpStream, seen: &mut Vec<u8>) -> Option<usize> {
    loop {
        if let Some(at) = memmem::find(seen, b"\r\n\r\n") {
            return Some(at + 4);
        }
        read_more(stream, seen).await?;
    }
}

async fn read_more(stream: &mut TcpStream, seen: &mut Vec<u8>) -> Option<()> {
    match stream.read_buf(seen).await {
        Ok(0) | Err(_) => None,
        Ok(_) => Some(()),
    }
}

/// How a request's body ends.
enum Body {
    Length(usize),
    Chunked,
}

impl Body {
    fn of(head: &[u8]) -> Self {
        let text = String::from_utf8_lossy(head).to_ascii_lowercase();
        if text.contains("\r\ntransfer-encoding: chunked") {
            return Self::Chunked;
        }
        let length = text.split_once("\r\ncontent-length:").and_then(|(_, rest)| rest.split("\r\n").next());
        Self::Length(length.and_then(|digits| digits.trim().parse().ok()).unwrap_or(0))
    }

    async fn drop_from(self, stream: &mut TcpStream, seen: &mut Vec<u8>) -> Option<()> {
        match self {
            Self::Length(mut left) => loop {
                let taken = left.min(seen.len());
                seen.drain(..taken);
                left -= taken;
                if left == 0 {
                    return Some(());
                }
                read_more(stream, seen).await?;
            },
            Self::Chunked => loop {
                if let Some(end) = end_of_chunks(seen) {
                    seen.drain(..end);
                    return Some(());
                }
                read_more(stream, seen).await?;
            },
        }
    }
}

/// Where a chunked body ends, trailers included; no body of ours holds the bytes of a last chunk.
fn end_of_chunks(seen: &[u8]) -> Option<usize> {
    let last = if seen.starts_with(b"0\r\n") { 0 } else { memmem::find(seen, b"\r\n0\r\n")? + 2 };
    let rest = seen.get(last + 1..)?;
    Some(last + 1 + memmem::find(rest, b"\r\n\r\n")? + 4)
}

fn answer(length: usize) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\n\r\n");
    let mut bytes = head.into_bytes();
    bytes.resize(bytes.len() + length, b'x');
    bytes
}
