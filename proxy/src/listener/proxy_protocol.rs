//! The PROXY protocol header (versions 1 and 2) that a trusted load balancer puts in front of a connection.
//!
//! Exactly the header's bytes are taken from the socket, so that nothing behind it has to be put back.

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use ipnet::IpNet;
use ppp::{v1, v2};
use tokio::{io::AsyncReadExt, net::TcpStream};

/// Shortest header of any kind: `PROXY UNKNOWN\r\n`. One byte short of version 2's fixed part.
const SHORTEST: usize = 15;
/// Fixed part of version 2.
const FIXED: usize = 16;
/// Longest version 1 header (specification section 2.1).
const LONGEST_V1: usize = 107;
/// Longest version 2 header that is read: addresses and room for many TLVs (an AWS or Azure one is below 100 bytes).
const LONGEST_V2: usize = 4096;

/// Who is at the ends, as the load balancer says; `None`: the connection is its own (LOCAL, UNKNOWN).
pub type Ends = Option<(SocketAddr, SocketAddr)>;

/// Why a required header was not taken.
#[derive(Debug, thiserror::Error)]
pub enum HeaderError {
    /// The peer went away.
    #[error("connection ended in the PROXY protocol header: {0}")]
    Io(#[from] io::Error),
    /// Not a header of either version.
    #[error("no valid PROXY protocol header, which this peer must send (trust.proxyProtocol)")]
    Malformed,
    /// Longer than is read.
    #[error("PROXY protocol header too long")]
    TooLong,
}

/// Whether `peer` must send a header; from all others none is looked for.
pub(super) fn is_required(peer: IpAddr, trusted: &[IpNet]) -> bool {
    let peer = peer.to_canonical();
    trusted.iter().any(|net| net.contains(&peer))
}

/// Reads a header.
pub(super) async fn read(stream: &mut TcpStream) -> Result<Ends, HeaderError> {
    let mut bytes = vec![0; SHORTEST];
    stream.read_exact(&mut bytes).await?;
    if v2::PROTOCOL_PREFIX.starts_with(bytes.get(..v2::PROTOCOL_PREFIX.len()).unwrap_or_default()) {
        read_v2(stream, bytes).await
    } else if bytes.starts_with(v1::PROTOCOL_PREFIX.as_bytes()) {
        read_v1(stream, bytes).await
    } else {
        Err(HeaderError::Malformed)
    }
}

async fn read_v2(stream: &mut TcpStream, mut bytes: Vec<u8>) -> Result<Ends, HeaderError> {
    bytes.push(stream.read_u8().await?);
    let length = match bytes.get(FIXED - 2..FIXED) {
        Some(&[high, low]) => usize::from(u16::from_be_bytes([high, low])),
        _ => return Err(HeaderError::Malformed),
    };
    if FIXED + length > LONGEST_V2 {
        return Err(HeaderError::TooLong);
    }
    bytes.resize(FIXED + length, 0);
    stream.read_exact(bytes.get_mut(FIXED..).unwrap_or_default()).await?;
    ends_v2(&bytes)
}

/// What a complete header of either version says.
pub fn ends(header: &[u8]) -> Result<Ends, HeaderError> {
    if header.starts_with(v2::PROTOCOL_PREFIX) { ends_v2(header) } else { ends_v1(header) }
}

fn ends_v2(bytes: &[u8]) -> Result<Ends, HeaderError> {
    let header = v2::Header::try_from(bytes).map_err(|_| HeaderError::Malformed)?;
    Ok(match (header.command, header.protocol, header.addresses) {
        (v2::Command::Local, ..) => None,
        (_, v2::Protocol::Stream, v2::Addresses::IPv4(ends)) => Some(of_v4(ends)),
        (_, v2::Protocol::Stream, v2::Addresses::IPv6(ends)) => Some(of_v6(ends)),
        (_, v2::Protocol::Unspecified, _) | (_, _, v2::Addresses::Unspecified | v2::Addresses::Unix(_)) => None,
        _ => return Err(HeaderError::Malformed),
    })
}

async fn read_v1(stream: &mut TcpStream, mut bytes: Vec<u8>) -> Result<Ends, HeaderError> {
    let mut piece = [0; LONGEST_V1];
    while !bytes.ends_with(b"\n") {
        let room = LONGEST_V1 - bytes.len();
        if room == 0 {
            return Err(HeaderError::TooLong);
        }
        let peeked = stream.peek(piece.get_mut(..room).unwrap_or_default()).await?;
        if peeked == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        let seen = piece.get(..peeked).unwrap_or_default();
        let take = memchr::memchr(b'\n', seen).map_or(peeked, |end| end + 1);
        let before = bytes.len();
        bytes.resize(before + take, 0);
        stream.read_exact(bytes.get_mut(before..).unwrap_or_default()).await?;
    }
    ends_v1(&bytes)
}

fn ends_v1(bytes: &[u8]) -> Result<Ends, HeaderError> {
    let header = v1::Header::try_from(bytes).map_err(|_| HeaderError::Malformed)?;
    Ok(match header.addresses {
        v1::Addresses::Unknown => None,
        v1::Addresses::Tcp4(ends) => Some(of_v4(ends)),
        v1::Addresses::Tcp6(ends) => Some(of_v6(ends)),
    })
}

fn of_v4(ends: v2::IPv4) -> (SocketAddr, SocketAddr) {
    let source = SocketAddr::new(ends.source_address.into(), ends.source_port);
    (source, SocketAddr::new(ends.destination_address.into(), ends.destination_port))
}

fn of_v6(ends: v2::IPv6) -> (SocketAddr, SocketAddr) {
    let source = SocketAddr::new(ends.source_address.into(), ends.source_port);
    (source, SocketAddr::new(ends.destination_address.into(), ends.destination_port))
}
