//! The TCP socket of a server of the admin's: a process may have it from the start, get it from its predecessor, lend it to
//! a successor, and have it back.

use std::{
    io,
    net::{SocketAddr, TcpListener as Socket},
    sync::Arc,
};

use socket2::{Domain, Protocol, Type};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 128;

/// The side that decides who accepts.
#[derive(Debug)]
pub struct Berth {
    /// What the settings say.
    wanted: SocketAddr,
    kind: Kind,
    socket: Option<Socket>,
    accepting: watch::Sender<Option<Arc<TcpListener>>>,
}

/// Whose address it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The host's.
    Host,
    /// A virtual one, that may come later, and whose port an entry point of ours may have on all addresses.
    Virtual,
}

/// The side that accepts, as long as it may.
#[derive(Debug)]
pub(super) struct Entrance(watch::Receiver<Option<Arc<TcpListener>>>);

impl Berth {
    /// Nothing is bound yet.
    pub(super) fn new(wanted: SocketAddr, kind: Kind) -> (Self, Entrance) {
        let (accepting, entrance) = watch::channel(None);
        (Self { wanted, kind, socket: None, accepting }, Entrance(entrance))
    }

    /// What the settings say.
    pub fn wanted(&self) -> SocketAddr {
        self.wanted
    }

    /// Where it really is; `None` while it is nowhere.
    pub fn address(&self) -> Option<SocketAddr> {
        self.socket.as_ref()?.local_addr().ok()
    }

    /// Binds what is wanted, unless there is a socket.
    pub fn bind(&mut self) -> io::Result<()> {
        match self.socket {
            Some(_) => Ok(()),
            None => self.accept_on(bind(self.wanted, self.kind)?),
        }
    }

    /// Accepts on `socket` from now on.
    pub fn accept_on(&mut self, socket: Socket) -> io::Result<()> {
        let watched = TcpListener::from_std(socket.try_clone()?)?;
        self.socket = Some(socket);
        self.accepting.send_replace(Some(Arc::new(watched)));
        Ok(())
    }

    /// A copy for a successor.
    pub fn copy(&self) -> Option<Socket> {
        self.socket.as_ref()?.try_clone().ok()
    }

    /// Accepts no more, and keeps the socket.
    pub fn rest(&mut self) {
        self.accepting.send_replace(None);
    }

    /// Accepts again on the socket that was kept; without one it has to be bound.
    pub fn resume(&mut self) -> io::Result<()> {
        match self.socket.take() {
            Some(socket) => self.accept_on(socket),
            None => self.bind(),
        }
    }

    /// Lets go of the socket.
    pub fn release(&mut self) {
        self.rest();
        self.socket = None;
    }
}

impl Entrance {
    /// The next connection, once there is a socket to accept on.
    pub(super) async fn accept(&mut self) -> io::Result<TcpStream> {
        loop {
            let listener = self.0.borrow_and_update().clone();
            let Some(listener) = listener else {
                if self.0.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
                continue;
            };
            tokio::select! {
                accepted = listener.accept() => return accepted.map(|(stream, _)| stream),
                changed = self.0.changed() => if changed.is_err() {
                    return listener.accept().await.map(|(stream, _)| stream);
                },
            }
        }
    }
}

fn bind(address: SocketAddr, kind: Kind) -> io::Result<Socket> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if kind == Kind::Virtual {
        socket.set_reuse_port(true)?;
        if address.is_ipv4() { socket.set_freebind_v4(true) } else { socket.set_freebind_v6(true) }?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_of_two_accepts_on_a_socket_that_both_have() {
        let (mut old, mut old_entrance) = Berth::new(([127, 0, 0, 1], 0).into(), Kind::Host);
        let (mut new, mut new_entrance) = Berth::new(([127, 0, 0, 1], 0).into(), Kind::Virtual);
        old.bind().expect("a free port");
        let address = old.address().expect("bound");
        new.accept_on(old.copy().expect("bound")).expect("it listens");
        old.rest();
        let _client = TcpStream::connect(address).await.expect("it listens");
        tokio::select! {
            biased;
            _ = old_entrance.accept() => panic!("it rests"),
            accepted = new_entrance.accept() => assert!(accepted.is_ok()),
        }
        new.release();
        old.resume().expect("it has kept it");
        let _client = TcpStream::connect(address).await.expect("it listens");
        assert!(old_entrance.accept().await.is_ok());
        assert_eq!((old.address(), new.address()), (Some(address), None));
    }
}
