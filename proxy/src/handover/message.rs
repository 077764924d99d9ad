//! The messages as bytes. One message is one datagram of a connection that keeps their borders (SOCK_SEQPACKET).
//!
//! Every message begins with [`MAGIC`], the version (2 bytes) and its kind (1 byte); numbers are big-endian. `Hello`,
//! `Refused` and `Vacate` are the same in every version, so that processes of different versions can part in good order.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What every message begins with.
pub const MAGIC: [u8; 8] = *b"postern\n";
/// The version that is spoken here.
pub const VERSION: u16 = 1;
/// More bytes than any message has.
pub const LONGEST: usize = 64;
/// Most sockets that a successor may ask for per group, as `workers` may be.
pub const MOST_WORKERS: u16 = 1024;

/// What one side says to the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// The successor's first: how many sockets of each group it can use. In every version.
    Hello {
        /// The version of who speaks.
        version: u16,
        /// Sockets per group, 1 to [`MOST_WORKERS`].
        workers: u16,
    },
    /// The predecessor hands nothing over. In every version.
    Refused {
        /// The version of who speaks.
        version: u16,
        /// Why.
        reason: Refusal,
    },
    /// The successor, of another version, has bound its own sockets beside: the predecessor is to give its own up. In
    /// every version.
    Vacate {
        /// The version of who speaks.
        version: u16,
    },
    /// A socket, which comes with the message.
    Offer(Place),
    /// All sockets have been offered.
    Complete,
    /// The successor does not want the sockets of this group.
    Decline {
        /// See [`Place::group`].
        group: u16,
    },
    /// The successor is ready to accept on all others.
    Take,
    /// The predecessor has stopped accepting.
    Rested,
    /// The successor is told to stop: the predecessor is to accept again.
    Resume,
    /// It does.
    Resumed,
    /// The successor has a successor of its own: the predecessor is not needed any more.
    Retire,
}

/// Why nothing is handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The versions differ.
    Version,
    /// Another process is about to take over, or has just done so.
    Busy,
}

/// What a socket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Connections of clients.
    Traffic,
    /// The admin server.
    Admin,
    /// The server for metrics alone.
    Metrics,
    /// The admin server, at a virtual address.
    AdminVip,
}

/// Which socket this is, in terms of what was asked for rather than of what is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// What for.
    pub purpose: Purpose,
    /// Number of its group in this conversation.
    pub group: u16,
    /// The port as objects name it; 0 where objects have no say.
    pub port: u16,
    /// The address that was to be bound, with port 0 where the system was to choose one.
    pub address: SocketAddr,
}

/// Bytes that are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Something else is spoken there.
    #[error("no message of a hand-over")]
    Foreign,
    /// A message that is of another version.
    #[error("version {0} of the hand-over, and version {VERSION} is spoken here")]
    Version(u16),
    /// A message of this version that is not as it must be.
    #[error("a message of kind {0} that is not well-formed")]
    Body(u8),
}

const HELLO: u8 = 1;
const REFUSED: u8 = 2;
const VACATE: u8 = 3;
const OFFER: u8 = 4;
const COMPLETE: u8 = 5;
const DECLINE: u8 = 6;
const TAKE: u8 = 7;
const RESTED: u8 = 8;
const RESUME: u8 = 9;
const RESUMED: u8 = 10;
const RETIRE: u8 = 11;

impl Message {
    /// What `bytes` say.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let rest = bytes.strip_prefix(&MAGIC).ok_or(Malformed::Foreign)?;
        let (&[high, low, kind], body) = rest.split_first_chunk().ok_or(Malformed::Foreign)?;
        let version = u16::from_be_bytes([high, low]);
        if version != VERSION && !matches!(kind, HELLO | REFUSED | VACATE) {
            return Err(Malformed::Version(version));
        }
        parse_body(version, kind, body).ok_or(Malformed::Body(kind))
    }

    /// As bytes.
    pub fn encode(&self) -> Vec<u8> {
        let (kind, version, body) = match self {
            Self::Hello { version, workers } => (HELLO, *version, workers.to_be_bytes().to_vec()),
            Self::Refused { version, reason } => (REFUSED, *version, vec![reason.code()]),
            Self::Vacate { version } => (VACATE, *version, Vec::new()),
            Self::Offer(place) => (OFFER, VERSION, place.encode()),
            Self::Complete => (COMPLETE, VERSION, Vec::new()),
            Self::Decline { group } => (DECLINE, VERSION, group.to_be_bytes().to_vec()),
            Self::Take => (TAKE, VERSION, Vec::new()),
            Self::Rested => (RESTED, VERSION, Vec::new()),
            Self::Resume => (RESUME, VERSION, Vec::new()),
            Self::Resumed => (RESUMED, VERSION, Vec::new()),
            Self::Retire => (RETIRE, VERSION, Vec::new()),
        };
        [&MAGIC[..], &version.to_be_bytes(), &[kind], &body].concat()
    }

    /// Its name, for people.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Hello { .. } => "Hello",
            Self::Refused { .. } => "Refused",
            Self::Vacate { .. } => "Vacate",
            Self::Offer(_) => "Offer",
            Self::Complete => "Complete",
            Self::Decline { .. } => "Decline",
            Self::Take => "Take",
            Self::Rested => "Rested",
            Self::Resume => "Resume",
            Self::Resumed => "Resumed",
            Self::Retire => "Retire",
        }
    }
}

fn parse_body(version: u16, kind: u8, body: &[u8]) -> Option<Message> {
    match (kind, body) {
        (HELLO, [high, low]) => {
            let workers = u16::from_be_bytes([*high, *low]);
            (1..=MOST_WORKERS).contains(&workers).then_some(Message::Hello { version, workers })
        }
        (REFUSED, [code]) => Some(Message::Refused { version, reason: Refusal::of(*code)? }),
        (VACATE, []) => Some(Message::Vacate { version }),
        (OFFER, body) => Place::parse(body).map(Message::Offer),
        (DECLINE, [high, low]) => Some(Message::Decline { group: u16::from_be_bytes([*high, *low]) }),
        (COMPLETE, []) => Some(Message::Complete),
        (TAKE, []) => Some(Message::Take),
        (RESTED, []) => Some(Message::Rested),
        (RESUME, []) => Some(Message::Resume),
        (RESUMED, []) => Some(Message::Resumed),
        (RETIRE, []) => Some(Message::Retire),
        _ => None,
    }
}

impl Refusal {
    fn of(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Version),
            2 => Some(Self::Busy),
            _ => None,
        }
    }

    fn code(self) -> u8 {
        match self {
            Self::Version => 1,
            Self::Busy => 2,
        }
    }
}

impl Purpose {
    fn of(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Traffic),
            2 => Some(Self::Admin),
            3 => Some(Self::Metrics),
            4 => Some(Self::AdminVip),
            _ => None,
        }
    }

    fn code(self) -> u8 {
        match self {
            Self::Traffic => 1,
            Self::Admin => 2,
            Self::Metrics => 3,
            Self::AdminVip => 4,
        }
    }
}

impl Place {
    /// Purpose (1 byte), group, port of the objects, port (2 bytes each), family (1 byte), address (4 or 16 bytes).
    fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![self.purpose.code()];
        for number in [self.group, self.port, self.address.port()] {
            bytes.extend(number.to_be_bytes());
        }
        match self.address.ip() {
            IpAddr::V4(address) => bytes.extend([&[4][..], &address.octets()].concat()),
            IpAddr::V6(address) => bytes.extend([&[6][..], &address.octets()].concat()),
        }
        bytes
    }

    fn parse(body: &[u8]) -> Option<Self> {
        let (&[purpose, g1, g2, o1, o2, p1, p2, family], address) = body.split_first_chunk()?;
        let ip = match family {
            4 => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(address).ok()?)),
            6 => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(address).ok()?)),
            _ => return None,
        };
        Some(Self {
            purpose: Purpose::of(purpose)?,
            group: u16::from_be_bytes([g1, g2]),
            port: u16::from_be_bytes([o1, o2]),
            address: SocketAddr::new(ip, u16::from_be_bytes([p1, p2])),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Message> {
        let place = |purpose, address: &str| Place {
            purpose,
            group: 258,
            port: 443,
            address: address.parse().expect("an address"),
        };
        vec![
            Message::Hello { version: VERSION, workers: 4 },
            Message::Hello { version: 7, workers: MOST_WORKERS },
            Message::Refused { version: 9, reason: Refusal::Version },
            Message::Refused { version: VERSION, reason: Refusal::Busy },
            Message::Vacate { version: 3 },
            Message::Offer(place(Purpose::Traffic, "192.0.2.1:443")),
            Message::Offer(place(Purpose::Admin, "[2001:db8::1]:9000")),
            Message::Offer(place(Purpose::Metrics, "0.0.0.0:0")),
            Message::Offer(place(Purpose::AdminVip, "192.0.2.2:443")),
            Message::Complete,
            Message::Decline { group: u16::MAX },
            Message::Take,
            Message::Rested,
            Message::Resume,
            Message::Resumed,
            Message::Retire,
        ]
    }

    #[test]
    fn every_message_is_read_as_it_was_written_and_no_part_of_it_is() {
        for message in all() {
            let bytes = message.encode();
            assert!(bytes.len() < LONGEST, "{message:?}");
            assert_eq!(Message::parse(&bytes), Ok(message));
            for length in 0..bytes.len() {
                assert!(Message::parse(&bytes[..length]).is_err(), "{message:?} cut to {length}");
            }
            assert!(Message::parse(&[&bytes[..], b"x"].concat()).is_err(), "{message:?} with a byte more");
        }
    }

    #[test]
    fn only_what_is_the_same_in_every_version_is_read_of_another() {
        for message in all() {
            let mut bytes = message.encode();
            bytes[MAGIC.len()] = 0x7f;
            let fixed = matches!(message, Message::Hello { .. } | Message::Refused { .. } | Message::Vacate { .. });
            match Message::parse(&bytes) {
                Ok(_) => assert!(fixed, "{message:?}"),
                Err(error) => assert!(!fixed && matches!(error, Malformed::Version(_)), "{message:?}: {error}"),
            }
        }
    }

    #[test]
    fn nobody_asks_for_more_sockets_than_there_can_be_workers() {
        for workers in [0, MOST_WORKERS + 1, u16::MAX] {
            let bytes = Message::Hello { version: VERSION, workers }.encode();
            assert_eq!(Message::parse(&bytes), Err(Malformed::Body(HELLO)));
        }
    }
}
