//! A connection between two processes of one user that carries messages and sockets.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    net::TcpListener,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream as Connection,
    },
    path::Path,
};

use rustix::{
    cmsg_space,
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType, recvmsg, sendmsg, socket_with,
    },
};
use tokio::{io::Interest, net::UnixStream};

use super::{
    Broken, STEP,
    message::{LONGEST, Malformed, Message},
};

/// One end. The types of the libraries call a connection of this kind a stream too; it is sent and received on here alone.
#[derive(Debug)]
pub(super) struct Channel(UnixStream);

/// A socket of this kind: it keeps the borders of messages.
pub(super) fn new_socket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    Ok(socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?)
}

impl Channel {
    /// Over a connection that is made. The user at its other end must be ours.
    pub(super) fn new(connection: UnixStream) -> io::Result<Self> {
        let (theirs, ours) = (connection.peer_cred()?.uid(), rustix::process::geteuid().as_raw());
        if theirs != ours {
            let why = format!("user {theirs} is at the other end, and only our own, {ours}, may be");
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
        }
        Ok(Self(connection))
    }

    /// To who listens at `path`.
    pub(super) fn connect(path: &Path) -> io::Result<Self> {
        let socket = new_socket()?;
        rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
        Self::new(UnixStream::from_std(Connection::from(socket))?)
    }

    /// Sends `message`, with a socket where it has one, as soon as the other side has room for it.
    pub(super) async fn send(&self, message: &Message, socket: Option<&TcpListener>) -> Result<(), Broken> {
        let bytes = message.encode();
        let sending = self.0.async_io(Interest::WRITABLE, || send(&self.0, &bytes, socket));
        match tokio::time::timeout(STEP, sending).await {
            Ok(Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => Err(Broken::Ended),
            Ok(sent) => Ok(sent?),
            Err(_) => Err(Broken::Silent),
        }
    }

    /// The next message, whenever it comes, and the socket that came with it.
    pub(super) async fn receive(&self) -> Result<(Message, Option<OwnedFd>), Broken> {
        let received = self.0.async_io(Interest::READABLE, || receive(&self.0)).await;
        match received {
            Ok(datagram) if datagram.length == 0 => Err(Broken::Ended),
            Ok(Datagram { bytes, length, socket, whole }) => {
                let bytes = bytes.get(..length).filter(|_| whole).ok_or(Malformed::Foreign)?;
                Ok((Message::parse(bytes)?, socket))
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Err(Broken::Ended),
            Err(error) => Err(error.into()),
        }
    }

    /// The same within [`STEP`].
    pub(super) async fn answer(&self) -> Result<(Message, Option<OwnedFd>), Broken> {
        tokio::time::timeout(STEP, self.receive()).await.map_err(|_| Broken::Silent)?
    }
}

struct Datagram {
    bytes: [u8; LONGEST],
    length: usize,
    socket: Option<OwnedFd>,
    /// Whether neither bytes nor sockets were cut off.
    whole: bool,
}

fn send(channel: impl AsFd, bytes: &[u8], socket: Option<&TcpListener>) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let sockets = socket.map(AsFd::as_fd);
    if let Some(socket) = &sockets {
        let fits = control.push(SendAncillaryMessage::ScmRights(std::slice::from_ref(socket)));
        assert!(fits, "there is room for one");
    }
    sendmsg(channel, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

fn receive(channel: impl AsFd) -> io::Result<Datagram> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut bytes = [0; LONGEST];
    let message = recvmsg(channel, &mut [IoSliceMut::new(&mut bytes)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let mut sockets = control.drain().flat_map(|ancillary| match ancillary {
        RecvAncillaryMessage::ScmRights(sockets) => sockets.collect(),
        _ => Vec::new(),
    });
    let socket = sockets.next();
    let cut = message.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC);
    let whole = !cut && sockets.next().is_none();
    Ok(Datagram { bytes, length: message.bytes, socket, whole })
}

#[cfg(test)]
mod tests {
    use rustix::net::socketpair;

    use super::*;
    use crate::handover::message::VERSION;

    fn pair() -> (Channel, OwnedFd) {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).expect("a pair");
        (channel(ours), theirs)
    }

    fn channel(end: OwnedFd) -> Channel {
        let stream = UnixStream::from_std(Connection::from(end)).expect("it can be watched");
        Channel::new(stream).expect("of our own user")
    }

    #[tokio::test]
    async fn a_socket_comes_with_its_message() {
        let (one, other) = pair();
        let other = channel(other);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        one.send(&Message::Take, Some(&listener)).await.expect("sent");
        one.send(&Message::Rested, None).await.expect("sent");
        let (message, socket) = other.receive().await.expect("received");
        let received = TcpListener::from(socket.expect("a socket"));
        assert_eq!((message, received.local_addr().ok()), (Message::Take, listener.local_addr().ok()));
        assert!(matches!(other.receive().await, Ok((Message::Rested, None))));
        drop(one);
        assert!(matches!(other.receive().await, Err(Broken::Ended)));
        assert!(matches!(other.send(&Message::Take, None).await, Err(Broken::Ended)));
    }

    #[tokio::test]
    async fn what_is_too_long_or_has_too_many_sockets_is_no_message() {
        let (channel, peer) = pair();
        let hello = Message::Hello { version: VERSION, workers: 1 }.encode();
        let long = [hello.as_slice(), &[0; LONGEST]].concat();
        rustix::net::send(&peer, &long, SendFlags::NOSIGNAL).expect("sent");
        assert!(matches!(channel.receive().await, Err(Broken::Malformed(_))));
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(2))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let two = [peer.as_fd(), peer.as_fd()];
        assert!(control.push(SendAncillaryMessage::ScmRights(&two)));
        sendmsg(&peer, &[IoSlice::new(&hello)], &mut control, SendFlags::NOSIGNAL).expect("sent");
        assert!(matches!(channel.receive().await, Err(Broken::Malformed(_))));
        rustix::net::send(&peer, &hello, SendFlags::NOSIGNAL).expect("sent");
        assert!(channel.receive().await.is_ok(), "what comes later is read as ever");
    }
}
