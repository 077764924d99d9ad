//! The objects of a cluster, through its API server.
//!
//! ```text
//! API server ──follow──> Told ──Collector──> Batch ──> publishing
//!                 Secrets, ConfigMaps: names only         │
//!            fetch <──────────── demand ──────────────────┘
//! ```
//!
//! One list and watch per kind ([`follow`]), each object turned into ours on arrival and dropped. Of Secrets and
//! ConfigMaps only the names are followed; their content is fetched when an object refers to them ([`fetch`]), so that
//! ten thousand unrelated ones cost nothing. What was read last stays on disk ([`cache`]) for a start without the API
//! server. All of it runs on a thread of its own. What objects mean is not known here.

mod cache;
mod client;
mod collect;
mod fetch;
mod follow;
mod resource;

use std::{path::PathBuf, thread, time::Duration};

use kube::Client;
use tokio::sync::{mpsc, oneshot};

use self::{cache::Cache, collect::Collector, fetch::Fetches};
use super::{Batch, Demand};

/// How long the API server may take before what is on disk is served instead.
const PATIENCE: Duration = Duration::from_secs(5);
/// Changes that may wait to be collected.
const WAITING: usize = 1024;

/// Where and what to watch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Namespaces to read; empty: all of them.
    pub namespaces: Vec<String>,
    /// The directory that keeps what was read last; `None`: nothing is kept.
    pub cache: Option<PathBuf>,
    /// How old what is kept may be to be served at a start without the API server.
    pub cache_max_age: Duration,
}

/// Why a cluster cannot be watched.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The operator's: nothing says where the API server is, or it cannot be spoken to as told.
    #[error("cannot tell how to reach the API server: {0}; run inside a cluster, or set KUBECONFIG")]
    Unconfigured(String),
    /// The system's.
    #[error("cannot watch the cluster: {0}")]
    System(#[from] std::io::Error),
}

/// A cluster being watched; ends when dropped.
#[derive(Debug)]
pub struct Watching {
    demands: mpsc::UnboundedSender<Demand>,
    _stop: oneshot::Sender<()>,
}

impl Watching {
    /// Says which objects are referred to from now on. A batch that answers it follows, even if nothing is there.
    pub fn demand(&self, demand: Demand) {
        // An error means that watching has ended; publishing notices by itself.
        let _ended = self.demands.send(demand);
    }
}

/// Watches from a thread of its own, which hands each batch to `sink` until that says `false`. The first batch comes
/// when everything has been listed, or from what is kept on disk when the API server does not answer in time.
pub fn watch(scope: Scope, sink: impl FnMut(Batch) -> bool + Send + 'static) -> Result<Watching, ClusterError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (demands, demanded) = mpsc::unbounded_channel();
    let (stop, stopped) = oneshot::channel();
    let (connected, connection) = std::sync::mpsc::channel();
    let run = move || {
        runtime.block_on(async {
            let client = client::connect().await;
            let client = match client {
                Ok(client) => client,
                Err(error) => return drop(connected.send(Err(error))),
            };
            drop(connected.send(Ok(())));
            tokio::select! {
                () = Watch::new(client, scope, sink).run(demanded) => {}
                _ = stopped => {}
            }
        });
    };
    thread::Builder::new().name("watch".into()).spawn(run)?;
    match connection.recv() {
        Ok(Ok(())) => Ok(Watching { demands, _stop: stop }),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(ClusterError::Unconfigured("the thread that connects has ended".to_owned())),
    }
}

struct Watch<S> {
    client: Client,
    scope: Scope,
    collector: Collector,
    fetches: Fetches,
    cache: Option<Cache>,
    sink: S,
}

impl<S: FnMut(Batch) -> bool> Watch<S> {
    fn new(client: Client, scope: Scope, sink: S) -> Self {
        let cache = scope.cache.as_ref().and_then(|folder| Cache::open(folder, scope.cache_max_age));
        let fetches = Fetches::new(client.clone());
        Self { collector: Collector::new(resource::sources(&scope)), fetches, cache, client, scope, sink }
    }

    async fn run(mut self, mut demanded: mpsc::UnboundedReceiver<Demand>) {
        let (tell, mut told) = mpsc::channel(WAITING);
        for source in resource::sources(&self.scope) {
            tokio::spawn(follow::follow(self.client.clone(), source, tell.clone()));
        }
        let patience = tokio::time::sleep(PATIENCE);
        tokio::pin!(patience);
        loop {
            tokio::select! {
                Some(first) = told.recv() => {
                    self.take(first);
                    while let Ok(next) = told.try_recv() {
                        self.take(next);
                    }
                }
                Some(demand) = demanded.recv() => {
                    self.fetches.demand(demand);
                }
                Some(fetched) = self.fetches.next() => self.collector.fetched(fetched),
                () = &mut patience, if !self.collector.has_begun() => {
                    patience.as_mut().reset(tokio::time::Instant::now() + PATIENCE);
                    self.begin_from_cache();
                }
                else => return,
            }
            if !self.hand_over() {
                return;
            }
        }
    }

    fn take(&mut self, told: collect::Told) {
        for key in self.collector.take(told) {
            self.fetches.refresh(&key);
        }
    }

    fn begin_from_cache(&mut self) {
        let waiting_for = self.collector.waiting_for();
        match self.cache.as_ref().map(Cache::load) {
            Some(Ok(kept)) => {
                tracing::warn!(
                    objects = kept.len(),
                    waiting_for,
                    "the API server does not answer; serving what it said last"
                );
                self.collector.begin_with(kept);
            }
            Some(Err(why)) => {
                tracing::warn!(waiting_for, %why, "waiting for the API server; what it said last cannot be served")
            }
            None => tracing::warn!(waiting_for, "waiting for the API server"),
        }
    }

    /// Hands over what there is, if it is whole. Says whether anybody listens.
    fn hand_over(&mut self) -> bool {
        let Some((batch, writes)) = self.collector.batch() else { return true };
        let wanted = (self.sink)(batch);
        if let Some(cache) = &mut self.cache {
            cache.write(writes);
        }
        wanted
    }
}
