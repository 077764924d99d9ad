//! The other side of a hand-over, played by the test with bytes of its own.

use std::{
    io::{IoSlice, IoSliceMut},
    mem::MaybeUninit,
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::{AsFd as _, OwnedFd},
    path::Path,
    time::Instant,
};

use postern_proxy::handover::message::{Message, Place, Purpose, Refusal};
use rustix::{
    cmsg_space,
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
        SendFlags, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, connect, listen, recvmsg, send, sendmsg,
        socket_with, sockopt::set_socket_timeout,
    },
};

use super::PATIENCE;

/// One end of the conversation, or the socket where it begins.
pub(crate) struct Speaker(OwnedFd);

fn new() -> OwnedFd {
    // No process that a test starts may have a copy: its end is what is waited for.
    let new = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).expect("a socket");
    set_socket_timeout(&new, rustix::net::sockopt::Timeout::Recv, Some(PATIENCE)).expect("set");
    new
}

impl Speaker {
    pub(crate) fn connect(path: &Path) -> Self {
        let ours = new();
        connect(&ours, &SocketAddrUnix::new(path).expect("short")).expect("somebody listens");
        Self(ours)
    }

    pub(crate) fn listen(path: &Path) -> Self {
        let ours = new();
        bind(&ours, &SocketAddrUnix::new(path).expect("short")).expect("free");
        listen(&ours, 4).expect("bound");
        Self(ours)
    }

    pub(crate) fn accept(&self) -> Self {
        Self(accept_with(&self.0, SocketFlags::CLOEXEC).expect("somebody connects"))
    }

    pub(crate) fn sends(&self, bytes: &[u8]) {
        send(&self.0, bytes, SendFlags::NOSIGNAL).expect("sent");
    }

    fn receives(&self) -> Option<(Message, Vec<OwnedFd>)> {
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(4))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut bytes = [0; 256];
        let received = recvmsg(&self.0, &mut [IoSliceMut::new(&mut bytes)], &mut control, RecvFlags::CMSG_CLOEXEC);
        let length = received.map_or(0, |received| received.bytes);
        let sockets = control.drain().flat_map(|ancillary| match ancillary {
            RecvAncillaryMessage::ScmRights(sockets) => sockets.collect(),
            _ => Vec::new(),
        });
        let sockets = sockets.collect();
        (length > 0).then(|| (Message::parse(&bytes[..length]).expect("a message"), sockets))
    }

    /// Whether the other side has closed it, or does.
    pub(crate) fn is_closed(&self) -> bool {
        self.receives().is_none()
    }

    pub(crate) fn hello(&self, version: u16, workers: u16) -> &Self {
        self.sends(&Message::Hello { version, workers }.encode());
        self
    }

    pub(crate) fn then_nothing(&self) -> Vec<OwnedFd> {
        Vec::new()
    }

    /// The sockets of the first `count` offers.
    pub(crate) fn some_offers(&self, count: usize) -> Vec<OwnedFd> {
        (0..count).flat_map(|_| self.receives().expect("an offer").1).collect()
    }

    /// All sockets.
    pub(crate) fn all_offers(&self) -> Vec<OwnedFd> {
        let mut all = Vec::new();
        loop {
            match self.receives().expect("an offer, or the last") {
                (Message::Offer(_), sockets) => all.extend(sockets),
                (Message::Complete, _) => return all,
                other => panic!("{other:?}"),
            }
        }
    }

    pub(crate) fn take(&self) {
        self.sends(&Message::Take.encode());
        assert!(matches!(self.receives(), Some((Message::Rested, _))));
    }

    pub(crate) fn is_refused(&self) {
        assert!(matches!(self.receives(), Some((Message::Refused { reason: Refusal::Version, .. }, _))));
    }

    pub(crate) fn vacates(&self, version: u16) {
        self.sends(&Message::Vacate { version }.encode());
    }

    pub(crate) fn reads_hello(&self) {
        assert!(matches!(self.receives(), Some((Message::Hello { .. }, _))));
    }

    pub(crate) fn reads_take(&self) {
        while !matches!(self.receives().expect("a message").0, Message::Take) {}
    }

    pub(crate) fn reads_vacate(&self) {
        assert!(matches!(self.receives(), Some((Message::Vacate { .. }, _))));
    }

    pub(crate) fn refuses(&self, version: u16) {
        self.sends(&Message::Refused { version, reason: Refusal::Version }.encode());
    }

    pub(crate) fn completes(&self) {
        self.sends(&Message::Complete.encode());
    }

    /// Offers `socket` for the port that objects call `port`, as one that the system chose a port for.
    pub(crate) fn offers(&self, port: u16, socket: &OwnedFd) {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let offer = Message::Offer(Place { purpose: Purpose::Traffic, group: 0, port, address }).encode();
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let sockets = [socket.as_fd()];
        assert!(control.push(SendAncillaryMessage::ScmRights(&sockets)));
        sendmsg(&self.0, &[IoSlice::new(&offer)], &mut control, SendFlags::NOSIGNAL).expect("sent");
    }
}

/// A socket that lets others of the same user beside it.
pub(crate) fn bind_beside(address: SocketAddr) -> TcpListener {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket.set_reuse_address(true).expect("set");
    socket.set_reuse_port(true).expect("set");
    socket.bind(&address.into()).expect("there is room beside it");
    socket.listen(128).expect("bound");
    socket.into()
}

/// A port that nobody has at the moment.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound").port()
}

/// Whether, in the end, `count` connections in a row come to `listener`.
pub(crate) fn accepts_all(listener: &TcpListener, address: SocketAddr, count: usize) -> bool {
    listener.set_nonblocking(true).expect("a live socket");
    let comes_here = || {
        let Ok(stream) = TcpStream::connect(address) else { return false };
        let ours = stream.local_addr().expect("connected");
        std::iter::from_fn(|| listener.accept().ok()).any(|(_, peer)| peer == ours)
    };
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if (0..count).all(|_| comes_here()) {
            return true;
        }
    }
    false
}

/// Waits until `holds`.
pub(crate) fn until(mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "not in time");
        std::thread::yield_now();
    }
}
