//! The link between nodes: one authenticated stream from each to the holder of the Lease, for everything that they have
//! to tell each other. What follows of it is decided in `postern_config::provider::kubernetes::peers`; heartbeats that
//! decide about addresses are not here.
//!
//! ```text
//! member (dials) ──TLS 1.3, both sides prove the cluster key──> holder (accepts)
//!   Hello ─>            <─ Hello, or Refused
//!   Acknowledged, Unbound, Account, Reported ─>        Ping <─>
//! ```
//!
//! Nobody but the holder is dialed, so the streams form a star, and the holder can say something to every node. A stream
//! on which nothing is heard for [`SILENT`] is dead.

mod account;
pub mod frame;
mod holder;
mod identity;
mod member;
mod own;
mod seats;
mod socket;
mod status;
mod stream;

use std::{sync::Arc, time::Duration};

use postern_config::provider::kubernetes::{
    News,
    peers::{Keys, Link},
};
use rustls::ServerConfig;
use tokio::sync::{mpsc, watch};

use self::{frame::Hello, identity::Identities, own::Own};
pub use self::{
    identity::IdentityError,
    socket::Socket,
    status::{Refusal, Status},
};

/// Between two signs of life.
const PING: Duration = Duration::from_secs(2);
/// After so long without one a stream is dead; less than the ten seconds after which a node counts as silent.
const SILENT: Duration = Duration::from_secs(8);
/// From connect to the end of the greeting.
const GREETING: Duration = Duration::from_secs(5);

/// Who this node is on the link.
#[derive(Clone, Debug)]
pub struct Me {
    /// The name of the node, or host.
    pub node: String,
    /// Whether it serves traffic, so that others wait for it.
    pub serves: bool,
    /// When it started, in milliseconds since 1970.
    pub epoch: u64,
}

/// What the valid keys come to.
#[derive(Clone, Debug)]
struct Keyring {
    identities: Identities,
    server: Arc<ServerConfig>,
}

/// Speaks to the other nodes until dropped. `news` is what becomes of this one; without a `socket` it cannot be the one
/// whom others dial.
pub async fn run(
    link: Link,
    socket: Option<Socket>,
    me: Me,
    mut news: mpsc::UnboundedReceiver<News>,
    status: Arc<Status>,
) {
    let hello = Hello {
        major: frame::MAJOR,
        minor: frame::MINOR,
        member: link.name.as_ref().to_owned(),
        node: me.node,
        epoch: me.epoch,
        serves: me.serves,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let (keyrings, keyring) = watch::channel(None);
    let accepting = async {
        match socket {
            Some(socket) => holder::run(socket.bound().await, &hello, &link, keyring.clone(), &status).await,
            None => std::future::pending().await,
        }
    };
    let mut own = Own::new(hello.clone());
    tokio::join!(
        follow_keys(link.keys.clone(), keyrings),
        accepting,
        member::run(&mut own, &link, keyring.clone(), &mut news, &status),
    );
}

/// Makes of each set of keys what the streams need.
async fn follow_keys(mut keys: watch::Receiver<Keys>, keyrings: watch::Sender<Option<Keyring>>) {
    loop {
        let known = keys.borrow_and_update().clone();
        if let Keys::Known(known) = known {
            match Identities::of(&known).and_then(|identities| Ok((identities.server()?, identities))) {
                Ok((server, identities)) => drop(keyrings.send_replace(Some(Keyring { identities, server }))),
                Err(error) => tracing::error!(%error, "peers cannot be spoken to with this key"),
            }
        }
        if keys.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

#[cfg(test)]
mod tests;
