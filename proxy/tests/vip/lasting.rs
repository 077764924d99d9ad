//! Clients that keep what they have: a connection with request after request, and a WebSocket.

use std::{
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use crate::{
    client::{Probe, ask},
    segment::Host,
};

/// Between two requests, or two messages.
const PACE: Duration = Duration::from_millis(20);
/// Longer than any answer takes here.
const LONG: Duration = Duration::from_secs(5);

/// What became of connections that a client keeps.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// Requests that were answered.
    pub(crate) answered: usize,
    /// When an answer said that it is the connection's last.
    pub(crate) farewells: Vec<Instant>,
    /// Requests without an answer, and why.
    pub(crate) broken: Vec<String>,
}

/// A connection with request after request, until an answer says that it was the last; then another one.
pub(crate) fn kept(client: &Host, address: Ipv4Addr) -> Probe<Kept> {
    Probe::start(client, move |over| {
        let mut kept = Kept::default();
        while !over.load(Relaxed) {
            if let Err(error) = keep(address, over, &mut kept) {
                kept.broken.push(error.to_string());
            }
        }
        kept
    })
}

fn keep(address: Ipv4Addr, over: &AtomicBool, kept: &mut Kept) -> io::Result<()> {
    let mut stream = connect(address)?;
    while !over.load(Relaxed) {
        let head = ask(&mut stream, "")?;
        kept.answered += 1;
        if head.lines().any(|line| line == "connection: close") {
            kept.farewells.push(Instant::now());
            return Ok(());
        }
        thread::sleep(PACE);
    }
    Ok(())
}

fn connect(address: Ipv4Addr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&SocketAddr::from((address, 80)), LONG)?;
    stream.set_read_timeout(Some(LONG))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// What became of a WebSocket.
#[derive(Debug)]
pub(crate) struct Lasted {
    /// Messages that came back.
    pub(crate) echoes: usize,
    /// When and by what it ended, if it did.
    pub(crate) end: Option<(Instant, String)>,
}

/// A WebSocket with message after message.
pub(crate) fn websocket(client: &Host, address: Ipv4Addr) -> Probe<Lasted> {
    Probe::start(client, move |over| {
        let mut stream = open(address).expect("a WebSocket");
        let mut echoes = 0;
        while !over.load(Relaxed) {
            if let Err(error) = echo(&mut stream) {
                return Lasted { echoes, end: Some((Instant::now(), error.to_string())) };
            }
            echoes += 1;
            thread::sleep(PACE);
        }
        Lasted { echoes, end: None }
    })
}

/// With the greeting read.
fn open(address: Ipv4Addr) -> io::Result<TcpStream> {
    let mut stream = connect(address)?;
    let request = "GET / HTTP/1.1\r\nHost: shop.example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(request.as_bytes())?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    if !head.starts_with(b"HTTP/1.1 101") {
        return Err(io::Error::other(String::from_utf8_lossy(&head).into_owned()));
    }
    let _greeting = message(&mut stream)?;
    Ok(stream)
}

/// One text message there and back (RFC 6455 section 5.2); masked with zeros, which changes nothing.
fn echo(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(&[0x81, 0x84, 0, 0, 0, 0, b'p', b'i', b'n', b'g'])?;
    let back = message(stream)?;
    if back == b"ping" { Ok(()) } else { Err(io::Error::other(format!("{back:?} came back"))) }
}

/// The next message, which is a short text.
fn message(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut head = [0; 2];
    stream.read_exact(&mut head)?;
    let [kind, length] = head;
    let mut payload = vec![0; length.into()];
    stream.read_exact(&mut payload)?;
    if kind == 0x81 { Ok(payload) } else { Err(io::Error::other(format!("a frame of kind {kind:#x}"))) }
}
