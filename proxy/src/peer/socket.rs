//! The socket that others dial. While a pod is replaced, two Posterns of one node have one each on the same port: at most
//! one of them holds the Lease, and the other turns away whoever comes to it, who then tries again.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use socket2::Type;
use tokio::{net::TcpListener, time::sleep};

/// Before a socket that could not be bound is tried again.
const RETRY: Duration = Duration::from_secs(3);

/// See the module. What keeps it from being bound is no reason not to serve.
#[derive(Debug)]
pub struct Socket {
    /// Without one, all addresses of both families, as far as the system has them.
    ip: Option<IpAddr>,
    port: u16,
    bound: Option<TcpListener>,
}

impl Socket {
    /// Bound, if that can be; else it is tried later.
    pub fn open(ip: Option<IpAddr>, port: u16) -> Self {
        let mut socket = Self { ip, port, bound: None };
        socket.bind();
        socket
    }

    /// Where others reach it.
    pub fn address(&self) -> Option<SocketAddr> {
        self.bound.as_ref()?.local_addr().ok()
    }

    /// Waits until it is bound.
    pub(super) async fn bound(mut self) -> TcpListener {
        loop {
            match self.bound {
                Some(bound) => return bound,
                None => {
                    sleep(RETRY).await;
                    self.bind();
                }
            }
        }
    }

    fn bind(&mut self) {
        match bind(self.ip, self.port) {
            Ok(bound) => self.bound = Some(bound),
            Err(error) => tracing::error!(
                port = self.port,
                %error,
                "peers.address: cannot listen there, so the others cannot say to this Postern what they serve; \
                 choose another, or off"
            ),
        }
    }
}

fn bind(ip: Option<IpAddr>, port: u16) -> io::Result<TcpListener> {
    match ip {
        Some(ip) => bind_one(SocketAddr::new(ip, port)),
        None => bind_one(SocketAddr::from(([0; 16], port))).or_else(|_| bind_one(SocketAddr::from(([0; 4], port)))),
    }
}

fn bind_one(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), Type::STREAM.nonblocking(), None)?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    socket.listen(128)?;
    TcpListener::from_std(socket.into())
}
