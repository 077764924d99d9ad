//! What peers say, and how it is written.
//!
//! ```text
//! length: u32, big endian | type: u8 | counter: varint | body
//! ```
//!
//! The body is postcard: a wire format with a specification of its own, small, and read without trusting lengths. A type
//! that is not known is passed over, and so is what follows a body: later minor versions add types, and fields at the
//! end. Another major version is refused by its number, which the first two fields of [`Hello`] have for ever.

use std::{net::IpAddr, sync::Arc};

use postern_config::{
    provider::kubernetes::peers::{Acknowledgement, Portion, Problem, Version},
    snapshot::SocketKey,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::account;

/// Peers with another one are refused.
pub const MAJOR: u16 = 1;
/// Counts additions.
pub const MINOR: u16 = 1;
/// Longest frame, in bytes; the longest that is sent has about [`PORTION`] × 40.
pub const LONGEST: usize = 256 * 1024;
/// Acknowledgements in one frame.
pub const PORTION: usize = 2000;
/// Sockets that are named as unbound, each with the reason cut at [`LONGEST_REASON`] bytes.
const MOST_UNBOUND: usize = 256;
const LONGEST_REASON: usize = 512;

const HELLO: u8 = 1;
const REFUSED: u8 = 2;
const PING: u8 = 3;
const ACKNOWLEDGED: u8 = 4;
const REPORTED: u8 = 5;
const UNBOUND: u8 = 6;
const ACCOUNT: u8 = 7;

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Grows from frame to frame of one boot.
    pub counter: u64,
    /// What is said.
    pub message: Message,
}

/// What is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// First, from both sides.
    Hello(Hello),
    /// The stream ends, and why.
    Refused(String),
    /// We are here.
    Ping,
    /// What is in force.
    Acknowledged(Vec<Acknowledgement>),
    /// Everything that is in force has been said.
    Reported,
    /// Sockets that cannot be had: all of them.
    Unbound(Vec<Problem>),
    /// What it says of addresses, or a part of that.
    Account(Portion),
    /// Something that a later version says.
    Unknown(u8),
}

/// Who speaks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`MAJOR`].
    pub major: u16,
    /// [`MINOR`].
    pub minor: u16,
    /// The name among peers: of the pod.
    pub member: String,
    /// The name of the node, or host.
    pub node: String,
    /// When it started, in milliseconds since 1970: tells its words from those of an earlier boot.
    pub epoch: u64,
    /// Whether it serves traffic.
    pub serves: bool,
    /// The version of the program.
    pub version: String,
}

/// The peer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A frame without a type or counter.
    #[error("a frame without a head")]
    NoHead,
    /// A body that is none of its type.
    #[error("a frame of type {0} that is none")]
    Body(u8),
    /// Another major version.
    #[error("it speaks version {0} of the peer protocol, and this Postern version {MAJOR}; update the older of both")]
    Major(u16),
}

type WireAcknowledgement = ([u8; 16], Option<(u64, i64)>);
type WireProblem = (Option<IpAddr>, u16, String);

impl Frame {
    /// As bytes, without the length.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![self.message.kind()];
        append(&mut bytes, &self.counter);
        match &self.message {
            Message::Hello(hello) => append(&mut bytes, hello),
            Message::Refused(why) => append(&mut bytes, why),
            Message::Acknowledged(all) => append(&mut bytes, &all.iter().map(to_wire).collect::<Vec<_>>()),
            Message::Unbound(all) => {
                append(&mut bytes, &all.iter().take(MOST_UNBOUND).map(problem_to_wire).collect::<Vec<_>>());
            }
            Message::Account(portion) => append(&mut bytes, &account::to_wire(portion)),
            Message::Ping | Message::Reported | Message::Unknown(_) => {}
        }
        bytes
    }

    /// Of bytes, without the length.
    pub fn decode(bytes: &[u8]) -> Result<Self, FrameError> {
        let (kind, rest) = bytes.split_first().ok_or(FrameError::NoHead)?;
        let (counter, body) = postcard::take_from_bytes(rest).map_err(|_| FrameError::NoHead)?;
        let message = match *kind {
            HELLO => Message::Hello(hello(body)?),
            REFUSED => Message::Refused(read(*kind, body)?),
            PING => Message::Ping,
            ACKNOWLEDGED => {
                let all: Vec<WireAcknowledgement> = read(*kind, body)?;
                Message::Acknowledged(all.into_iter().map(from_wire).collect())
            }
            REPORTED => Message::Reported,
            UNBOUND => {
                let all: Vec<WireProblem> = read(*kind, body)?;
                Message::Unbound(all.into_iter().map(problem_from_wire).collect())
            }
            ACCOUNT => Message::Account(account::from_wire(read(*kind, body)?)),
            other => Message::Unknown(other),
        };
        Ok(Self { counter, message })
    }
}

impl Message {
    fn kind(&self) -> u8 {
        match self {
            Self::Hello(_) => HELLO,
            Self::Refused(_) => REFUSED,
            Self::Ping => PING,
            Self::Acknowledged(_) => ACKNOWLEDGED,
            Self::Reported => REPORTED,
            Self::Unbound(_) => UNBOUND,
            Self::Account(_) => ACCOUNT,
            Self::Unknown(kind) => *kind,
        }
    }
}

/// The version comes first: the rest of another major one may be anything.
fn hello(body: &[u8]) -> Result<Hello, FrameError> {
    match read(HELLO, body)? {
        MAJOR => read(HELLO, body),
        other => Err(FrameError::Major(other)),
    }
}

fn append(bytes: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    let appended = postcard::to_extend(value, std::mem::take(bytes));
    *bytes = appended.expect("sequences with a known length go into a vector");
}

/// What follows the value is a later version's.
fn read<T: DeserializeOwned>(kind: u8, body: &[u8]) -> Result<T, FrameError> {
    postcard::take_from_bytes(body).map(|(value, _)| value).map_err(|_| FrameError::Body(kind))
}

fn to_wire(acknowledgement: &Acknowledgement) -> WireAcknowledgement {
    let version = acknowledgement.version.map(|version| (version.uid, version.generation));
    (acknowledgement.object.to_be_bytes(), version)
}

fn from_wire((object, version): WireAcknowledgement) -> Acknowledgement {
    let version = version.map(|(uid, generation)| Version { uid, generation });
    Acknowledgement { object: u128::from_be_bytes(object), version }
}

fn problem_to_wire((socket, why): &Problem) -> WireProblem {
    let why = why.get(..why.floor_char_boundary(LONGEST_REASON)).unwrap_or_default();
    (socket.address, socket.port, why.to_owned())
}

fn problem_from_wire((address, port, why): WireProblem) -> Problem {
    (SocketKey { address, port }, Arc::from(why))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello() -> Hello {
        let (member, node, version) = ("pod".to_owned(), "node".to_owned(), "0.1.0".to_owned());
        Hello { major: MAJOR, minor: MINOR, member, node, epoch: 7, serves: true, version }
    }

    fn messages() -> Vec<Message> {
        let acknowledgement = |version| Acknowledgement { object: u128::MAX - 5, version };
        let known = acknowledgement(Some(Version { uid: u64::MAX, generation: 3 }));
        let socket = SocketKey { address: Some([192, 0, 2, 1].into()), port: 443 };
        vec![
            Message::Hello(hello()),
            Message::Refused("why".to_owned()),
            Message::Ping,
            Message::Acknowledged(vec![known, acknowledgement(None)]),
            Message::Reported,
            Message::Unbound(vec![(socket, "taken".into())]),
            Message::Account(account::tests::portion()),
            Message::Unknown(200),
        ]
    }

    #[test]
    fn what_is_said_is_what_is_heard() {
        for message in messages() {
            let frame = Frame { counter: 300, message };
            assert_eq!(Frame::decode(&frame.encode()), Ok(frame));
        }
    }

    #[test]
    fn what_a_later_minor_version_adds_is_passed_over() {
        for message in messages() {
            let frame = Frame { counter: 1, message };
            let longer = [frame.encode(), b"more".to_vec()].concat();
            assert_eq!(Frame::decode(&longer), Ok(frame));
        }
    }

    #[test]
    fn another_major_version_is_refused_by_its_number_whatever_else_it_says() {
        let mut bytes = vec![HELLO, 0];
        append(&mut bytes, &(MAJOR + 1));
        assert_eq!(Frame::decode(&bytes), Err(FrameError::Major(MAJOR + 1)));
        assert!(
            FrameError::Major(2).to_string().contains("version 2 of the peer protocol, and this Postern version 1")
        );
    }

    #[test]
    fn a_broken_frame_is_an_error() {
        for (bytes, wanted) in [
            (&[][..], FrameError::NoHead),
            (&[PING], FrameError::NoHead),
            (&[HELLO, 0, 1], FrameError::Body(HELLO)),
            (&[ACKNOWLEDGED, 0, 0xff, 0xff, 0xff, 0xff, 0x0f], FrameError::Body(ACKNOWLEDGED)),
        ] {
            assert_eq!(Frame::decode(bytes), Err(wanted), "{bytes:?}");
        }
    }

    #[test]
    fn the_longest_frames_fit() {
        let version = Some(Version { uid: u64::MAX, generation: i64::MAX });
        let all = vec![Acknowledgement { object: u128::MAX, version }; PORTION];
        let unbound = vec![(SocketKey { address: None, port: 1 }, "x".repeat(4096).into()); 1000];
        for message in [Message::Acknowledged(all), Message::Unbound(unbound), account::tests::longest()] {
            let length = Frame { counter: u64::MAX, message }.encode().len();
            assert!(length < LONGEST, "{length}");
        }
    }
}
