//! Questions to the kernel and its answers, one at a time, over one netlink socket. What is asked is for the modules beside
//! this one to know.
//!
//! It blocks, and that is no loss: the kernel handles a request inside the system call that sends it, so that an answer
//! waits already when it is read.

use std::{
    fmt::Debug,
    io,
    time::{Duration, Instant},
};

use netlink_packet_core::{
    ErrorMessage, NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkDeserializable, NetlinkHeader,
    NetlinkMessage, NetlinkPayload, NetlinkSerializable,
};
use netlink_sys::{Socket, SocketAddr};
use rustix::net::sockopt::{Timeout, set_socket_timeout};

use super::Error;

/// How long an answer may take. Only a kernel that has lost a message takes any time at all.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often a listing is asked for that changes while it is read.
const LISTINGS: u32 = 5;

/// What can be said over netlink.
pub(super) trait Speech: NetlinkSerializable + NetlinkDeserializable + Debug + Clone {}

impl<M: NetlinkSerializable + NetlinkDeserializable + Debug + Clone> Speech for M {}

/// One socket of one netlink family.
pub(super) struct Netlink {
    socket: Socket,
    sequence: u32,
}

impl Netlink {
    /// `family` is one of `NETLINK_…`.
    pub(super) fn open(family: isize) -> Result<Self, Error> {
        let doing = "open a netlink socket";
        let opened = || -> io::Result<Socket> {
            let mut socket = Socket::new(family)?;
            socket.bind_auto()?;
            socket.connect(&SocketAddr::new(0, 0))?;
            // Kernels before 4.20 cannot; they answer with more than was asked for, and every reader here looks again.
            let _unknown_before_4_20 = socket.set_netlink_get_strict_chk(true);
            socket.set_cap_ack(true)?;
            set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
            Ok(socket)
        };
        opened().map(|socket| Self { socket, sequence: 0 }).map_err(|source| Error::Refused { doing, source })
    }

    /// Tells the kernel to do something.
    pub(super) fn tell<M: Speech>(&mut self, doing: &'static str, message: M, flags: u16) -> Result<(), Error> {
        self.ask(doing, message, NLM_F_ACK | flags).map(drop)
    }

    /// Asks for one thing; the answer comes with an acknowledgement.
    pub(super) fn ask<M: Speech>(&mut self, doing: &'static str, message: M, flags: u16) -> Result<Vec<M>, Error> {
        let last = self.send(doing, vec![(message, NLM_F_ACK | flags)])?;
        let mut answers = Vec::new();
        self.receive(doing, last, last, &mut |answer| answers.push(answer))?;
        Ok(answers)
    }

    /// Lists things. A listing that changed while it was read is read again.
    pub(super) fn list<M: Speech>(&mut self, doing: &'static str, message: M) -> Result<Vec<M>, Error> {
        for _ in 0..LISTINGS {
            let last = self.send(doing, vec![(message.clone(), NLM_F_DUMP)])?;
            let mut answers = Vec::new();
            if self.receive(doing, last, last, &mut |answer| answers.push(answer))? {
                return Ok(answers);
            }
        }
        Err(Error::Refused { doing, source: io::Error::other("the listing changes faster than it can be read") })
    }

    /// The first of a listing. The rest is not read, so that nothing can be asked after it.
    pub(super) fn first<M: Speech>(mut self, doing: &'static str, message: M) -> Result<Option<M>, Error> {
        let last = self.send(doing, vec![(message, NLM_F_DUMP)])?;
        let (bytes, _) = self.socket.recv_from_full().map_err(|source| Error::Refused { doing, source })?;
        let message = NetlinkMessage::<M>::deserialize(&bytes)
            .map_err(|source| Error::Unreadable { doing, reason: source.to_string() })?;
        let mut first = None;
        if message.header.sequence_number == last {
            end(doing, message.payload, &mut |answer| first = Some(answer))?;
        }
        Ok(first)
    }

    /// Lists things that come and go at any time, without keeping them.
    pub(super) fn visit<M: Speech>(
        &mut self,
        doing: &'static str,
        message: M,
        take: &mut impl FnMut(M),
    ) -> Result<(), Error> {
        let last = self.send(doing, vec![(message, NLM_F_DUMP)])?;
        self.receive(doing, last, last, take).map(drop)
    }

    /// Says several things as one datagram, each with its own flags, and waits for the acknowledgement of the last that
    /// asks for one.
    pub(super) fn tell_all<M: Speech>(&mut self, doing: &'static str, messages: Vec<(M, u16)>) -> Result<(), Error> {
        let count = messages.len();
        let awaited = messages.iter().rposition(|(_, flags)| flags & NLM_F_ACK != 0).unwrap_or_default();
        let last = self.send(doing, messages)?;
        let before = |distance: usize| last.wrapping_sub(u32::try_from(distance).unwrap_or(u32::MAX));
        self.receive::<M>(doing, before(count - 1), before(count - 1 - awaited), &mut drop).map(drop)
    }

    /// Sends `messages` in one datagram and returns the number of the last.
    fn send<M: Speech>(&mut self, doing: &'static str, messages: Vec<(M, u16)>) -> Result<u32, Error> {
        let mut bytes = Vec::new();
        for (message, flags) in messages {
            self.sequence = self.sequence.wrapping_add(1);
            let payload = NetlinkPayload::InnerMessage(message);
            let mut message = NetlinkMessage::new(NetlinkHeader::default(), payload);
            message.header.flags = NLM_F_REQUEST | flags;
            message.header.sequence_number = self.sequence;
            message.finalize();
            let start = bytes.len();
            bytes.resize(start + message.buffer_len().next_multiple_of(4), 0);
            message.serialize(bytes.get_mut(start..).expect("the buffer was made longer just now"));
        }
        self.socket.send(&bytes, 0).map_err(|source| Error::Refused { doing, source })?;
        Ok(self.sequence)
    }

    /// Reads answers to the messages `first..=last` until `last` is answered, or one was refused. False if the kernel
    /// says of a listing that it is torn.
    fn receive<M: Speech>(
        &mut self,
        doing: &'static str,
        first: u32,
        last: u32,
        take: &mut impl FnMut(M),
    ) -> Result<bool, Error> {
        let deadline = Instant::now() + PATIENCE;
        let mut whole = true;
        while Instant::now() < deadline {
            let (bytes, _) = self.socket.recv_from_full().map_err(|source| Error::Refused { doing, source })?;
            let mut rest = bytes.as_slice();
            while !rest.is_empty() {
                let message = NetlinkMessage::<M>::deserialize(rest)
                    .map_err(|source| Error::Unreadable { doing, reason: source.to_string() })?;
                let length = usize::try_from(message.header.length).unwrap_or(usize::MAX).next_multiple_of(4);
                rest = rest.get(length..).unwrap_or_default();
                let number = message.header.sequence_number;
                if number.wrapping_sub(first) > last.wrapping_sub(first) {
                    continue;
                }
                whole &= message.header.flags & NLM_F_DUMP_INTR == 0 || !is_part_of_listing(&message.payload);
                if end(doing, message.payload, take)? && number == last {
                    return Ok(whole);
                }
            }
        }
        Err(Error::Refused { doing, source: io::ErrorKind::TimedOut.into() })
    }
}

/// The flag of a torn listing has another meaning in acknowledgements.
fn is_part_of_listing<M>(payload: &NetlinkPayload<M>) -> bool {
    matches!(payload, NetlinkPayload::InnerMessage(_) | NetlinkPayload::Done(_))
}

/// Whether `payload` ends the answer to its request.
fn end<M: Speech>(doing: &'static str, payload: NetlinkPayload<M>, take: &mut impl FnMut(M)) -> Result<bool, Error> {
    match payload {
        NetlinkPayload::InnerMessage(message) => {
            take(message);
            Ok(false)
        }
        NetlinkPayload::Done(_) => Ok(true),
        NetlinkPayload::Error(ErrorMessage { code: None, .. }) => Ok(true),
        NetlinkPayload::Error(error) => Err(Error::Refused { doing, source: error.to_io() }),
        _ => Ok(false),
    }
}
