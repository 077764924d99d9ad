//! Echoes WebSocket messages (RFC 6455): greets, sends each frame back, answers pings, closes when nothing comes.

use std::{io, time::Duration};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// A client that only looks (curl) is let go after this long.
const IDLE: Duration = Duration::from_secs(3);
/// Frames of a demo are small.
const MOST_BYTES: u64 = 64 * 1024;

const TEXT: u8 = 0x1;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;
const FIN: u8 = 0x80;

/// One frame, unmasked.
#[derive(Debug, PartialEq, Eq)]
struct Frame {
    /// FIN and operation code as they came.
    first: u8,
    payload: Vec<u8>,
}

/// Echoes until the client closes or says nothing for a while.
pub(super) async fn echo(mut stream: impl AsyncRead + AsyncWrite + Unpin, greeting: &str) -> io::Result<()> {
    send(&mut stream, FIN | TEXT, greeting.as_bytes()).await?;
    while let Ok(frame) = tokio::time::timeout(IDLE, receive(&mut stream)).await {
        let Frame { first, payload } = frame?;
        match first & 0x0f {
            CLOSE => return send(&mut stream, FIN | CLOSE, &payload).await,
            PING => send(&mut stream, FIN | PONG, &payload).await?,
            PONG => {}
            _ => send(&mut stream, first, &payload).await?,
        }
    }
    // 1000, normal closure.
    send(&mut stream, FIN | CLOSE, &1000_u16.to_be_bytes()).await?;
    stream.shutdown().await
}

async fn receive(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Frame> {
    let mut head = [0; 2];
    stream.read_exact(&mut head).await?;
    let [first, second] = head;
    let length = match second & 0x7f {
        126 => u64::from(stream.read_u16().await?),
        127 => stream.read_u64().await?,
        short => u64::from(short),
    };
    if second & 0x80 == 0 || length > MOST_BYTES {
        return Err(io::Error::other("an unmasked or too large frame"));
    }
    let mut mask = [0; 4];
    stream.read_exact(&mut mask).await?;
    let mut payload = Vec::new();
    stream.take(length).read_to_end(&mut payload).await?;
    payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    Ok(Frame { first, payload })
}

async fn send(stream: &mut (impl AsyncWrite + Unpin), first: u8, payload: &[u8]) -> io::Result<()> {
    let mut frame = vec![first];
    match u16::try_from(payload.len()) {
        Ok(short @ 0..=125) => frame.push(short as u8),
        Ok(middle) => {
            frame.push(126);
            frame.extend(middle.to_be_bytes());
        }
        Err(_) => {
            frame.push(127);
            frame.extend((payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(payload);
    stream.write_all(&frame).await?;
    stream.flush().await
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The masked "Hello" of RFC 6455 section 5.7.
    #[tokio::test]
    async fn a_masked_frame_comes_back_unmasked() {
        let (mut client, server) = tokio::io::duplex(1024);
        let echoing = echo(server, "hi");
        let talking = async move {
            let frame = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
            client.write_all(&frame).await.expect("written");
            client.write_all(&[0x88, 0x80, 0, 0, 0, 0]).await.expect("closed");
            let mut all = Vec::new();
            client.read_to_end(&mut all).await.expect("read");
            all
        };
        let (ended, all) = tokio::join!(echoing, talking);
        ended.expect("a clean end");
        assert_eq!(all, [&b"\x81\x02hi\x81\x05Hello"[..], b"\x88\x00"].concat());
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_client_is_let_go() {
        let (mut client, server) = tokio::io::duplex(1024);
        let (ended, all) = tokio::join!(echo(server, ""), async {
            let mut all = Vec::new();
            client.read_to_end(&mut all).await.expect("read");
            all
        });
        ended.expect("a clean end");
        assert_eq!(all, b"\x81\x00\x88\x02\x03\xe8");
    }
}
