//! The least that reads answers with a length over HTTP/1.1, so that the load costs less than what it measures.

use memchr::memmem;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{ClientError, Load};

/// A byte stream of either kind.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for T {}

/// A kept connection.
pub(super) struct Connection {
    stream: Box<dyn Stream>,
    request: Vec<u8>,
    seen: Vec<u8>,
    /// The last answer said that it was the last.
    ends: bool,
}

impl Connection {
    pub(super) fn new(stream: Box<dyn Stream>, load: &Load) -> Self {
        Self { stream, request: request(load), seen: Vec::with_capacity(64 * 1024), ends: false }
    }

    /// Whether the server has said that it answers no more on this connection (RFC 9112 section 9.6).
    pub(super) fn ends(&self) -> bool {
        self.ends
    }

    /// One request; returns the length of the body.
    pub(super) async fn request(&mut self) -> Result<usize, ClientError> {
        self.stream.write_all(&self.request).await?;
        let head = self.read_head().await?;
        let Answer { status, length, ends } = parse(self.seen.get(..head).unwrap_or_default())?;
        self.ends = ends;
        self.drop_body(head, length).await?;
        if status == 200 { Ok(length) } else { Err(ClientError::Status(status)) }
    }

    async fn read_head(&mut self) -> Result<usize, ClientError> {
        loop {
            if let Some(at) = memmem::find(&self.seen, b"\r\n\r\n") {
                return Ok(at + 4);
            }
            self.read_more().await?;
        }
    }

    async fn drop_body(&mut self, head: usize, length: usize) -> Result<(), ClientError> {
        let mut left = head + length;
        loop {
            let taken = left.min(self.seen.len());
            self.seen.drain(..taken);
            left -= taken;
            if left == 0 {
                return Ok(());
            }
            self.read_more().await?;
        }
    }

    async fn read_more(&mut self) -> Result<(), ClientError> {
        match self.stream.read_buf(&mut self.seen).await? {
            0 => Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into()),
            _ => Ok(()),
        }
    }
}

fn request(load: &Load) -> Vec<u8> {
    let Load { host, path, upload, .. } = load;
    let fields = format!("Host: {host}\r\nUser-Agent: postern-benches\r\nAccept: */*\r\n");
    if *upload == 0 {
        return format!("GET {path} HTTP/1.1\r\n{fields}\r\n").into_bytes();
    }
    let mut request = format!("POST {path} HTTP/1.1\r\n{fields}Content-Length: {upload}\r\n\r\n").into_bytes();
    request.resize(request.len() + upload, b'x');
    request
}

/// What a head says.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: u16,
    length: usize,
    ends: bool,
}

fn parse(head: &[u8]) -> Result<Answer, ClientError> {
    let text = std::str::from_utf8(head).map_err(|_| ClientError::Malformed("the head is not text"))?;
    let mut lines = text.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|word| word.parse().ok());
    let status = status.ok_or(ClientError::Malformed("no status line"))?;
    let (mut length, mut ends) = (None, false);
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().ok();
        }
        ends |= name.eq_ignore_ascii_case("connection") && value.trim().eq_ignore_ascii_case("close");
    }
    let length = length.ok_or(ClientError::Malformed("an answer without a length"))?;
    Ok(Answer { status, length, ends })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_and_length_are_read_whatever_the_case_of_the_field() {
        let answer = parse(b"HTTP/1.1 503 No\r\nA: b\r\nContent-LENGTH:  12\r\n\r\n").expect("an answer");
        assert_eq!(answer, Answer { status: 503, length: 12, ends: false });
        assert!(parse(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n").expect("an answer").ends);
        assert!(parse(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
