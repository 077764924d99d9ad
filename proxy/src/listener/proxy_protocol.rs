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
/// Type of the TLV that holds the header's checksum, `PP2_TYPE_CRC32C` (specification section 2.2.3).
const CHECKSUM: u8 = 0x03;

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
    /// Not what the sender wrote.
    #[error("the checksum of the PROXY protocol header does not fit it")]
    Checksum,
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
    if header.command == v2::Command::Local {
        // Whatever stands behind the fixed part is to be passed over (specification section 2.2).
        return Ok(None);
    }
    verify(&header)?;
    Ok(match (header.protocol, header.addresses) {
        (v2::Protocol::Stream, v2::Addresses::IPv4(ends)) => Some(of_v4(ends)),
        (v2::Protocol::Stream, v2::Addresses::IPv6(ends)) => Some(of_v6(ends)),
        (v2::Protocol::Unspecified, _) | (_, v2::Addresses::Unspecified | v2::Addresses::Unix(_)) => None,
        _ => return Err(HeaderError::Malformed),
    })
}

/// The checksum, where there is one, is that of the header with zeros in its place. To find it, all TLVs must be whole.
fn verify(header: &v2::Header<'_>) -> Result<(), HeaderError> {
    let bytes = header.as_bytes();
    let mut at = FIXED + header.address_bytes().len();
    for tlv in header.tlvs() {
        let tlv = tlv.map_err(|_| HeaderError::Malformed)?;
        let begin = at + 3;
        at = begin + tlv.value.len();
        if tlv.kind == CHECKSUM {
            let written = <[u8; 4]>::try_from(&*tlv.value).map_err(|_| HeaderError::Malformed)?;
            let crc = crc::Crc::<u32>::new(&crc::CRC_32_ISCSI);
            let mut digest = crc.digest();
            digest.update(bytes.get(..begin).unwrap_or_default());
            digest.update(&[0; 4]);
            digest.update(bytes.get(at..).unwrap_or_default());
            if digest.finalize() != u32::from_be_bytes(written) {
                return Err(HeaderError::Checksum);
            }
        }
    }
    Ok(())
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
    // The parser takes a space for a CR and the reverse (specification section 2.1: CRLF, and single spaces before it).
    let line = bytes.strip_suffix(b"\r\n").ok_or(HeaderError::Malformed)?;
    if line.contains(&b'\r') {
        return Err(HeaderError::Malformed);
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A version 2 header over TCP and IPv4 (or, with `0x20`, LOCAL) with these TLVs.
    fn header(command: u8, tlvs: &[(u8, &[u8])]) -> Vec<u8> {
        let tlvs = tlvs.iter().flat_map(|(kind, value)| {
            let length = u16::try_from(value.len()).expect("a short value").to_be_bytes();
            [&[*kind][..], &length, value].concat()
        });
        let payload: Vec<u8> =
            [192, 0, 2, 1, 198, 51, 100, 2, 0x12, 0x34, 0x01, 0xbb].into_iter().chain(tlvs).collect();
        let length = u16::try_from(payload.len()).expect("a short header").to_be_bytes();
        [v2::PROTOCOL_PREFIX, &[command, 0x11], &length, &payload].concat()
    }

    /// CRC32C bit by bit, as RFC 3720 appendix B.4 describes it.
    fn checksum(bytes: &[u8]) -> u32 {
        let step = |crc: u32, _| if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
        !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
    }

    fn with_checksum(before: &[(u8, &[u8])], after: &[(u8, &[u8])]) -> Vec<u8> {
        let tlvs = |sum: &'static [u8]| [before, &[(CHECKSUM, sum)], after].concat();
        let mut bytes = header(0x21, &tlvs(&[0; 4]));
        let sum = checksum(&bytes).to_be_bytes();
        let at = header(0x21, before).len() + 3;
        bytes[at..at + 4].copy_from_slice(&sum);
        bytes
    }

    #[test]
    fn a_line_ends_with_crlf_and_its_words_with_a_space() {
        assert!(matches!(ends(b"PROXY TCP4 192.0.2.1 198.51.100.2 1 44\r\n"), Ok(Some(_))));
        assert!(matches!(ends(b"PROXY UNKNOWN\r\n"), Ok(None)));
        for line in [
            "PROXY TCP4 192.0.2.1 198.51.100.2 1 44 \n",
            "PROXY TCP4 192.0.2.1 198.51.100.2 1 44\n",
            "PROXY TCP4 192.0.2.1\r198.51.100.2 1 44\r\n",
            "PROXY\rTCP4 192.0.2.1 198.51.100.2 1 44\r\n",
            "PROXY UNKNOWN \n",
        ] {
            assert!(matches!(ends(line.as_bytes()), Err(HeaderError::Malformed)), "{line:?}");
        }
    }

    #[test]
    fn a_checksum_that_fits_is_taken_wherever_it_stands() {
        assert_eq!(checksum(b"123456789"), 0xe306_9283, "the check value of CRC-32/ISCSI");
        let ends_of = |bytes: &[u8]| ends(bytes).expect("a valid header").expect("both ends").0;
        let source: SocketAddr = "192.0.2.1:4660".parse().expect("an address");
        for (before, after) in [
            (&[][..], &[][..]),
            (&[(0x01, &b"h2"[..])][..], &[][..]),
            (&[(0x02, &b"a.example.com"[..])][..], &[(0x04, &[0; 7][..]), (0xea, &b"vpce"[..])][..]),
        ] {
            assert_eq!(ends_of(&with_checksum(before, after)), source);
        }
        assert_eq!(ends_of(&header(0x21, &[(0x01, b"h2")])), source, "without one nothing is checked");
    }

    #[test]
    fn a_checksum_that_does_not_fit_refuses_the_header() {
        let good = with_checksum(&[(0x01, b"h2")], &[(0xea, b"vpce")]);
        for at in FIXED..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            // What is changed may be a type or a length too: no such header is taken for one without a checksum, but
            // where its type is what was changed.
            let type_of_checksum = FIXED + 12 + 5;
            assert_eq!(ends(&bad).is_ok(), at == type_of_checksum, "byte {at}");
        }
    }

    #[test]
    fn tlvs_that_are_not_whole_refuse_the_header_but_for_local_ones() {
        for tlvs in [&[(CHECKSUM, &[0; 3][..])][..], &[(CHECKSUM, &[0; 5][..])][..]] {
            assert!(matches!(ends(&header(0x21, tlvs)), Err(HeaderError::Malformed)));
            assert!(matches!(ends(&header(0x20, tlvs)), Ok(None)));
        }
        let mut cut = header(0x21, &[(0x01, b"h2")]);
        let length = cut.len();
        cut[length - 3] = 9;
        assert!(matches!(ends(&cut), Err(HeaderError::Malformed)));
    }
}
