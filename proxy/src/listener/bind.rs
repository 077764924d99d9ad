//! Binds sockets, and says what to do when that fails.

use std::{
    io,
    net::{SocketAddr, TcpListener},
};

use postern_config::snapshot::SocketKey;
use socket2::{Domain, Protocol, Socket, Type};

/// Connections that may wait to be accepted, per socket; the kernel lowers it to net.core.somaxconn.
const BACKLOG: i32 = 4096;

/// A socket that is wanted and cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot listen on {address} (for {key}): {reason}; {remedy}")]
pub struct BindProblem {
    /// Which listener wants it.
    pub key: SocketKey,
    /// What was to be bound.
    pub address: SocketAddr,
    /// What the system says.
    pub reason: String,
    /// The way out.
    pub remedy: &'static str,
    /// Whether somebody else has it: another program, or a Postern that has not left yet.
    pub taken: bool,
}

impl BindProblem {
    pub(super) fn new(key: SocketKey, address: SocketAddr, error: &io::Error) -> Self {
        Self { key, address, reason: error.to_string(), remedy: remedy(error.kind()), taken: is_taken(error) }
    }
}

fn is_taken(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrInUse
}

fn remedy(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::AddrInUse => {
            "stop the other program on this port (`ss -ltnp` names it), or bind another with --map-port"
        }
        io::ErrorKind::PermissionDenied => {
            "grant CAP_NET_BIND_SERVICE, lower net.ipv4.ip_unprivileged_port_start, or bind a port above 1023 with --map-port"
        }
        io::ErrorKind::AddrNotAvailable => {
            "the address is not on this node: correct --bind, give the node the address, or have it announced (a Service of class postern.dev/proxy that asks for it)"
        }
        _ => "retried every few seconds",
    }
}

/// Who may be on an address already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Company {
    /// Nobody.
    Alone,
    /// A Postern: one that is about to leave it, or ourselves on the same port of all addresses.
    Beside,
}

/// Whether the host must have the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    /// Yes: anything else is a mistake.
    Required,
    /// No: it is a virtual one, that comes once it may be announced here.
    Awaited,
}

/// `count` sockets of one SO_REUSEPORT group. Port 0 lets the system choose one for all.
pub(super) fn bind_group(
    address: SocketAddr,
    count: usize,
    company: Company,
    presence: Presence,
) -> io::Result<Vec<TcpListener>> {
    // A group lets anybody of the same user in: another program, or a second Postern, is found only without the option.
    if address.port() != 0 && company == Company::Alone {
        new_socket(address, presence)?.bind(&address.into())?;
    }
    let first = bind_one(address, presence)?;
    let actual = first.local_addr()?;
    let rest = (1..count.max(1)).map(|_| bind_one(actual, presence));
    std::iter::once(Ok(first)).chain(rest).collect()
}

/// One more socket of a group that is bound. The kernel lets in who has the effective user of the group's other sockets.
pub(super) fn bind_one(address: SocketAddr, presence: Presence) -> io::Result<TcpListener> {
    let socket = new_socket(address, presence)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn new_socket(address: SocketAddr, presence: Presence) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if presence == Presence::Awaited {
        if address.is_ipv4() { socket.set_freebind_v4(true) } else { socket.set_freebind_v6(true) }?;
    }
    Ok(socket)
}
