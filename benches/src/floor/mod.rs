//! What no proxy on this runtime can go below: bytes copied without a look, and hyper without anything around it.
//!
//! Both know one backend, take one client's word for everything and are no model for a proxy: they tell how much of a
//! contender's cost is its own.

mod copy;
mod hyper;

use std::net::SocketAddr;

use tokio::{net::TcpListener, task::LocalSet};

use crate::result::{Context, Result};

/// Which floor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Floor {
    /// Copies bytes to a connection of its own per client.
    Copy,
    /// hyper's server and client connections, and a list of idle ones.
    Hyper,
}

/// Runs it in the foreground, on one thread.
pub(crate) fn run(floor: Floor, bind: SocketAddr, backend: SocketAddr) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting a runtime")?;
    LocalSet::new().block_on(&runtime, async {
        let listener = TcpListener::bind(bind).await.context(format!("binding {bind}"))?;
        let idle = hyper::Idle::default();
        loop {
            let (client, _) = listener.accept().await.context("accepting")?;
            client.set_nodelay(true).context("preparing a client's socket")?;
            match floor {
                Floor::Copy => tokio::task::spawn_local(copy::serve(client, backend)),
                Floor::Hyper => tokio::task::spawn_local(hyper::serve(client, backend, idle.clone())),
            };
        }
    })
}
