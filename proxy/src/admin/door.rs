//! Where questions come in: an address and a Unix socket, where everything is answered, and an address for those who
//! collect metrics, where little is, and a virtual one for those who look from elsewhere. On hosts whose network Postern
//! shares, only the last two may be seen from outside, by those that the settings let in.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

use ipnet::IpNet;
use tokio::{
    net::{TcpStream, UnixStream},
    task::JoinSet,
};
use tokio_util::either::Either;

use super::{
    Berth, State,
    berth::{Entrance, Kind},
    server::{self, Audience},
    socket::SocketFile,
};
use crate::{handover::Purpose, settings::Settings, telemetry::rarely::Rarely};

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
    address: Option<Entrance>,
    socket: Option<SocketFile>,
    guarded: Vec<Guarded>,
}

impl Doors {
    /// Opens them, and returns the berths of those that change hands when a process takes over from another. The socket for
    /// scrapers may have to wait; that of the admin server only where a predecessor may have it.
    pub fn open(settings: &Settings) -> Result<(Self, Vec<(Purpose, Berth)>), DoorError> {
        let (mut doors, mut berths) = (Self::default(), Vec::new());
        if let Some(address) = settings.admin.address {
            let (mut berth, entrance) = Berth::new(address, Kind::Host);
            match berth.bind() {
                Err(source) if source.kind() != io::ErrorKind::AddrInUse || settings.handover.socket.is_none() => {
                    return Err(DoorError::Address { address, source });
                }
                Ok(()) | Err(_) => {}
            }
            berths.push((Purpose::Admin, berth));
            doors.address = Some(entrance);
        }
        if let Some(path) = &settings.admin.socket {
            let failed = |source| DoorError::Socket { path: path.clone(), source };
            doors.socket = Some(SocketFile::bind(path).map_err(failed)?);
        }
        for (address, from, purpose, kind) in [
            (settings.metrics.address, &settings.metrics.from, Purpose::Metrics, Kind::Host),
            (settings.admin.vip, &settings.admin.from, Purpose::AdminVip, Kind::Virtual),
        ] {
            let Some(address) = address else { continue };
            let (mut berth, entrance) = Berth::new(address, kind);
            // It is tried again by whoever holds the berth.
            let _taken = berth.bind();
            berths.push((purpose, berth));
            let audience = if purpose == Purpose::Metrics { Audience::Scrapers } else { Audience::Viewers };
            let from = from.as_slice().into();
            doors.guarded.push(Guarded { entrance, from, audience, refused: Rarely::default() });
        }
        Ok((doors, berths))
    }

    /// Answers at all of them, until `tasks` are shut down.
    pub fn serve(self, state: &Arc<State>, tasks: &mut JoinSet<()>) {
        let address = self.address.map(Door::Address);
        let socket = self.socket.map(Door::Socket);
        let guarded = self.guarded.into_iter().map(Door::Guarded);
        for door in address.into_iter().chain(socket).chain(guarded) {
            tasks.spawn(server::serve(door, state.clone()));
        }
    }
}

/// A door that is open.
pub(super) enum Door {
    Address(Entrance),
    Socket(SocketFile),
    Guarded(Guarded),
}

/// An address where some alone are answered.
#[derive(Debug)]
pub(super) struct Guarded {
    entrance: Entrance,
    from: Arc<[IpNet]>,
    audience: Audience,
    refused: Rarely,
}

impl Guarded {
    async fn accept(&mut self) -> io::Result<TcpStream> {
        loop {
            let stream = self.entrance.accept().await?;
            // Who has gone already asks for nothing.
            let Ok(peer) = stream.peer_addr().map(|peer| peer.ip()) else { continue };
            if is_from(&self.from, peer) {
                return Ok(stream);
            }
            let key = if self.audience == Audience::Scrapers { "metrics.from" } else { "admin.from" };
            self.refused.log(|| tracing::warn!(%peer, "refused to be asked; {key} says who may"));
        }
    }
}

impl Door {
    /// The next connection that may ask.
    pub(super) async fn accept(&mut self) -> io::Result<Either<TcpStream, UnixStream>> {
        match self {
            Self::Address(entrance) => Ok(Either::Left(entrance.accept().await?)),
            Self::Socket(socket) => Ok(Either::Right(socket.listener().accept().await?.0)),
            Self::Guarded(guarded) => Ok(Either::Left(guarded.accept().await?)),
        }
    }

    /// What those who come through it may ask for.
    pub(super) fn audience(&self) -> Audience {
        match self {
            Self::Address(_) | Self::Socket(_) => Audience::Operators,
            Self::Guarded(guarded) => guarded.audience,
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
