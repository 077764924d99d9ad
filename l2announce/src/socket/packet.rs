//! A packet socket on one link, for ARP or for neighbour discovery (packet(7)).

use std::{
    io::{self, Read as _},
    mem::size_of,
    os::fd::AsRawFd as _,
    sync::Arc,
    task::{Context, Poll, ready},
};

use socket2::{Domain, SockAddr, SockAddrStorage, Socket, Type};
use tokio::io::{Interest, unix::AsyncFd};

use super::{SocketError, filter};
use crate::wire::MacAddr;

/// What a socket sees and sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// ARP.
    Arp,
    /// Neighbour solicitations and advertisements.
    Ndp,
}

/// A socket that sees and sends whole frames of one link. What the link was told for its sake ends with it.
#[derive(Debug)]
pub struct PacketSocket {
    socket: AsyncFd<Socket>,
    index: i32,
    link: Arc<str>,
}

impl PacketSocket {
    /// On the link with this number; its name is for messages. Needs `CAP_NET_RAW` and a tokio runtime.
    pub fn open(index: u32, link: &Arc<str>, protocol: Protocol) -> Result<Self, SocketError> {
        let failed = |what| move |error| SocketError::new(what, link, error);
        // Without a protocol it sees nothing until it is bound, when its filter is in place.
        let socket = Socket::new(Domain::PACKET, Type::RAW.nonblocking().cloexec(), None)
            .map_err(failed("open a packet socket"))?;
        let tests = if protocol == Protocol::Arp { filter::ARP } else { filter::NDP };
        socket.attach_filter(&filter::program(tests)).map_err(failed("filter a packet socket"))?;
        let index = i32::try_from(index).map_err(|_| SocketError::Gone { link: Arc::clone(link) })?;
        socket.bind(&address(index, protocol)).map_err(failed("bind a packet socket"))?;
        let socket = watched(socket).map_err(failed("wait for frames"))?;
        Ok(Self { socket, index, link: Arc::clone(link) })
    }

    /// The next frame, cut to the buffer. Errors that mean that the link went down are passed over: links are followed
    /// elsewhere, and the socket goes on when the link is up again.
    pub fn poll_receive(&self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Result<usize, SocketError>> {
        loop {
            let mut guard = ready!(self.socket.poll_read_ready(context)).map_err(|error| self.failed("wait", error))?;
            match guard.try_io(|socket| socket.get_ref().read(buffer)) {
                Ok(Ok(length)) => return Poll::Ready(Ok(length)),
                Ok(Err(error)) if is_passing(&error) => {}
                Ok(Err(error)) => return Poll::Ready(Err(self.failed("receive", error))),
                Err(_would_block) => {}
            }
        }
    }

    /// A frame that waits already, whether the runtime knows of it or not.
    pub fn receive_now(&self, buffer: &mut [u8]) -> Option<usize> {
        loop {
            match self.socket.get_ref().read(buffer) {
                Ok(length) => return Some(length),
                Err(error) if is_passing(&error) => {}
                Err(_) => return None,
            }
        }
    }

    /// Throws away what waits to be received, and says how many frames it was.
    pub fn discard(&self) -> usize {
        let mut buffer = [0; 1];
        let mut discarded = 0;
        loop {
            match self.socket.get_ref().read(&mut buffer) {
                Ok(_) => discarded += 1,
                Err(error) if is_passing(&error) => {}
                Err(_) => return discarded,
            }
        }
    }

    /// Sends a frame at once or not at all: one that has to wait may be wrong when it leaves.
    pub fn send(&self, frame: &[u8]) -> Result<(), SocketError> {
        self.socket.get_ref().send(frame).map(drop).map_err(|error| self.failed("send a frame", error))
    }

    /// Receives what is for any station: some radios hold back what is for all otherwise.
    pub fn receive_everything(&self) -> Result<(), SocketError> {
        let request = self.membership(libc::PACKET_MR_PROMISC, None);
        self.change_membership(libc::PACKET_ADD_MEMBERSHIP, &request)
            .map_err(|error| self.failed("receive all frames", error))
    }

    /// Receives what is for this group of stations.
    pub fn join(&self, group: MacAddr) -> Result<(), SocketError> {
        let request = self.membership(libc::PACKET_MR_MULTICAST, Some(group));
        self.change_membership(libc::PACKET_ADD_MEMBERSHIP, &request)
            .map_err(|error| self.failed("join a group", error))
    }

    /// Ends what [`Self::join`] began.
    pub fn leave(&self, group: MacAddr) -> Result<(), SocketError> {
        let request = self.membership(libc::PACKET_MR_MULTICAST, Some(group));
        self.change_membership(libc::PACKET_DROP_MEMBERSHIP, &request)
            .map_err(|error| self.failed("leave a group", error))
    }

    fn failed(&self, what: &'static str, error: io::Error) -> SocketError {
        SocketError::new(what, &self.link, error)
    }

    fn membership(&self, kind: libc::c_int, group: Option<MacAddr>) -> libc::packet_mreq {
        let mut address = [0; 8];
        if let Some(group) = group {
            address[..6].copy_from_slice(&group.octets());
        }
        libc::packet_mreq {
            mr_ifindex: self.index,
            mr_type: u16::try_from(kind).expect("kinds of membership are small"),
            mr_alen: if group.is_some() { 6 } else { 0 },
            mr_address: address,
        }
    }

    #[expect(unsafe_code, reason = "PACKET_ADD_MEMBERSHIP is in no library")]
    fn change_membership(&self, option: libc::c_int, request: &libc::packet_mreq) -> io::Result<()> {
        let length = libc::socklen_t::try_from(size_of::<libc::packet_mreq>()).expect("it is small");
        // SAFETY: the pointer is to a `packet_mreq` that lives through the call, and the length is its own; the kernel
        // reads it and keeps no pointer. No library has this option.
        let result = unsafe {
            libc::setsockopt(
                self.socket.get_ref().as_raw_fd(),
                libc::SOL_PACKET,
                option,
                std::ptr::from_ref(request).cast(),
                length,
            )
        };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

#[expect(unsafe_code, reason = "tokio's safe way to watch a descriptor is deprecated")]
fn watched(socket: Socket) -> io::Result<AsyncFd<Socket>> {
    // SAFETY: a `Socket` owns its descriptor, always says the same one, and closes it when it is dropped, which is when
    // the `AsyncFd` is; it is never taken out.
    unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) }.map_err(|error| error.into_parts().1)
}

/// The link went down, or the call was interrupted.
fn is_passing(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENETDOWN | libc::EINTR))
}

#[expect(unsafe_code, reason = "the address of a link is built by no library")]
fn address(index: i32, protocol: Protocol) -> SockAddr {
    let kind = match protocol {
        Protocol::Arp => libc::ETH_P_ARP,
        Protocol::Ndp => libc::ETH_P_IPV6,
    };
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: `sockaddr_ll` is a C struct of integers, which any bytes are, and it is smaller than any socket address
    // may be. No library builds one from a link's number.
    let link_layer = unsafe { storage.view_as::<libc::sockaddr_ll>() };
    link_layer.sll_family = libc::sa_family_t::try_from(libc::AF_PACKET).expect("families are small");
    link_layer.sll_protocol = u16::try_from(kind).expect("an EtherType has 16 bits").to_be();
    link_layer.sll_ifindex = index;
    let length = libc::socklen_t::try_from(size_of::<libc::sockaddr_ll>()).expect("it is small");
    // SAFETY: the storage was filled as a `sockaddr_ll` above, and the length is that of one.
    unsafe { SockAddr::new(storage, length) }
}
