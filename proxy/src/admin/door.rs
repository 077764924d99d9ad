//! Where questions come in: an address and a Unix socket, where everything is answered, and an address for those who
//! collect metrics, where little is. On hosts whose network Postern shares, only the last may be seen from outside.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use ipnet::IpNet;
use tokio::{
    net::{TcpListener, TcpStream, UnixStream},
    task::JoinSet,
};
use tokio_util::either::Either;

use super::{
    State,
    server::{self, Audience},
    socket::SocketFile,
};
use crate::{settings::Settings, telemetry::rarely::Rarely};

/// Between two tries to have a port that somebody else has.
const PAUSE: Duration = Duration::from_secs(1);

/// Why the admin server cannot be reached where the settings say.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// The operator's: the address is taken, or not on this host.
    #[error("admin.address: cannot listen on {address}: {source}; choose another with --admin, or off")]
    Address {
        /// What was to be bound.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The operator's: the path cannot be used.
    #[error(
        "admin.socket: cannot listen at {path}: {source}; name a path of at most 100 bytes in a directory that is there \
         and may be written, or off"
    )]
    Socket {
        /// What was to be made.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// All doors that the settings ask for.
#[derive(Debug, Default)]
pub struct Doors {
    address: Option<(TcpListener, SocketAddr)>,
    socket: Option<SocketFile>,
    scrapers: Option<Scrapers>,
}

/// The door for those who collect metrics.
#[derive(Debug)]
struct Scrapers {
    wanted: SocketAddr,
    /// `None` while somebody else has the port: the predecessor in a rolling update, most likely.
    listener: Option<TcpListener>,
    from: Arc<[IpNet]>,
}

impl Doors {
    /// Opens them. Only the one for scrapers may have to wait.
    pub async fn open(settings: &Settings) -> Result<Self, DoorError> {
        let address = match settings.admin.address {
            Some(address) => {
                let listener = bind(address).await.map_err(|source| DoorError::Address { address, source })?;
                Some(listener)
            }
            None => None,
        };
        let socket =
            settings.admin.socket.as_deref().map(|path| {
                SocketFile::bind(path).map_err(|source| DoorError::Socket { path: path.to_owned(), source })
            });
        let scrapers = match settings.metrics.address {
            Some(wanted) => Some(Scrapers::open(wanted, settings.metrics.from.as_slice().into()).await),
            None => None,
        };
        Ok(Self { address, socket: socket.transpose()?, scrapers })
    }

    /// Where the admin server listens.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address.as_ref().map(|(_, address)| *address)
    }

    /// Where metrics are collected, if that is bound already.
    pub fn metrics(&self) -> Option<SocketAddr> {
        self.scrapers.as_ref()?.listener.as_ref()?.local_addr().ok()
    }

    /// Answers at all of them, until `tasks` are shut down.
    pub fn serve(self, state: &Arc<State>, tasks: &mut JoinSet<()>) {
        if let Some((listener, _)) = self.address {
            tasks.spawn(server::serve(Door::Address(listener), state.clone()));
        }
        if let Some(socket) = self.socket {
            tasks.spawn(server::serve(Door::Socket(socket), state.clone()));
        }
        if let Some(scrapers) = self.scrapers {
            tasks.spawn(scrapers.serve(state.clone()));
        }
    }
}

impl Scrapers {
    async fn open(wanted: SocketAddr, from: Arc<[IpNet]>) -> Self {
        let listener = match bind(wanted).await {
            Ok((listener, _)) => Some(listener),
            Err(error) => {
                tracing::warn!(address = %wanted, %error, "metrics.address cannot be had yet; trying on");
                None
            }
        };
        Self { wanted, listener, from }
    }

    async fn serve(self, state: Arc<State>) {
        let listener = match self.listener {
            Some(listener) => listener,
            None => bind_patiently(self.wanted).await,
        };
        let door = Door::Scrapers { listener, from: self.from, refused: Rarely::default() };
        server::serve(door, state).await;
    }
}

async fn bind(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).await?;
    let bound = listener.local_addr()?;
    Ok((listener, bound))
}

async fn bind_patiently(address: SocketAddr) -> TcpListener {
    loop {
        tokio::time::sleep(PAUSE).await;
        if let Ok((listener, bound)) = bind(address).await {
            tracing::info!(address = %bound, "metrics.address is ours now");
            return listener;
        }
    }
}

/// A door that is open.
pub(super) enum Door {
    Address(TcpListener),
    Socket(SocketFile),
    Scrapers { listener: TcpListener, from: Arc<[IpNet]>, refused: Rarely },
}

impl Door {
    /// The next connection that may ask.
    pub(super) async fn accept(&self) -> io::Result<Either<TcpStream, UnixStream>> {
        match self {
            Self::Address(listener) => Ok(Either::Left(listener.accept().await?.0)),
            Self::Socket(socket) => Ok(Either::Right(socket.listener().accept().await?.0)),
            Self::Scrapers { listener, from, refused } => {
                loop {
                    let (stream, peer) = listener.accept().await?;
                    if is_from(from, peer.ip()) {
                        return Ok(Either::Left(stream));
                    }
                    refused.log(|| tracing::warn!(peer = %peer.ip(), "refused to be asked for metrics; metrics.from says who may"));
                }
            }
        }
    }

    /// What those who come through it may ask for.
    pub(super) fn audience(&self) -> Audience {
        match self {
            Self::Address(_) | Self::Socket(_) => Audience::Operators,
            Self::Scrapers { .. } => Audience::Scrapers,
        }
    }
}

/// A socket of both families shows IPv4 addresses as mapped ones.
fn is_from(networks: &[IpNet], peer: IpAddr) -> bool {
    let peer = peer.to_canonical();
    networks.iter().any(|network| network.contains(&peer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_default_metrics_are_answered_within_private_networks_alone() {
        let from = Settings::default().metrics.from;
        for (peer, answered) in [
            ("127.0.0.1", true),
            ("::1", true),
            ("10.1.2.3", true),
            ("172.31.250.11", true),
            ("192.168.1.1", true),
            ("169.254.1.1", true),
            ("fd00::1", true),
            ("fe80::1", true),
            ("::ffff:10.1.2.3", true),
            ("172.32.0.1", false),
            ("203.0.113.9", false),
            ("::ffff:203.0.113.9", false),
            ("2001:db8::1", false),
        ] {
            assert_eq!(is_from(&from, peer.parse().expect("an address")), answered, "{peer}");
        }
    }
}
