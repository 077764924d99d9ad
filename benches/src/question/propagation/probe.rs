//! When a new route answers.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use crate::result::{Context, Error, Result};

const DEADLINE: Duration = Duration::from_secs(60);

/// Asks for a host until it is there, over one kept connection.
pub(super) struct Probe {
    target: SocketAddr,
    request: String,
}

impl Probe {
    /// Of `host` at `target`.
    pub(super) fn new(target: SocketAddr, host: &str) -> Self {
        Self { target, request: format!("GET /propagation HTTP/1.1\r\nHost: {host}\r\nX-Probe: 1\r\n\r\n") }
    }

    /// Waits for the first 200; how long after `since` it came.
    pub(super) fn wait(&self, since: Instant) -> Result<Duration> {
        let mut stream = None;
        while since.elapsed() < DEADLINE {
            if self.ask(&mut stream)? == 200 {
                return Ok(since.elapsed());
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        Err(Error::Unexpected(format!(
            "not served after {} s: {}",
            DEADLINE.as_secs(),
            self.request.lines().nth(1).unwrap_or_default()
        )))
    }

    fn ask(&self, stream: &mut Option<TcpStream>) -> Result<u16> {
        let mut open = match stream.take() {
            Some(open) => open,
            None => TcpStream::connect(self.target).context("connecting the probe")?,
        };
        open.write_all(self.request.as_bytes()).context("writing the probe")?;
        let mut answer = [0; 4096];
        let read = open.read(&mut answer).context("reading the probe")?;
        let text = String::from_utf8_lossy(answer.get(..read).unwrap_or_default()).into_owned();
        let status = text.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
        if !text.to_ascii_lowercase().contains("connection: close") {
            *stream = Some(open);
        }
        Ok(status)
    }
}
