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
pub mod cleanup;
mod client;
mod collect;
mod fetch;
mod follow;
mod lease;
mod resource;
mod status;
pub mod takeover;

use std::{path::PathBuf, sync::Arc, thread, time::Duration};

use kube::Client;
use tokio::sync::{mpsc, oneshot};

use self::{cache::Cache, collect::Collector, fetch::Fetches, resource::Source, status::Statuses};
use super::{Batch, Demand, Show};
pub use crate::kubernetes::status::Address;
use crate::kubernetes::{
    convert::Settings,
    takeover::{Wishes, adoption::Adopted},
};
use takeover::{Leading, Start, Takeover, follow_service};

pub use cache::forget;

/// How long the API server may take before what is on disk is served instead.
const PATIENCE: Duration = Duration::from_secs(5);
/// The name of the Lease whose holder writes.
const LEASE: &str = "postern";
/// Between two looks whether what is on disk is current.
const LOOK: Duration = Duration::from_secs(10);
/// What the holder of the Lease writes on its way out may take so long.
const LAST_WRITE: Duration = Duration::from_secs(2);
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
    /// Who writes status; `None`: nobody here does.
    pub writing: Option<Writing>,
    /// What is done beside other products.
    pub takeover: Wishes,
    /// The headless Service in our own namespace that selects the pods of all Posterns.
    pub peers_service: Option<String>,
    /// Ports in objects, and the ports that are bound for them where those differ.
    pub port_map: Vec<(u16, u16)>,
}

/// How status is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Writing {
    /// Where the Lease is whose holder writes; `None`: in our own namespace.
    pub lease_namespace: Option<String>,
    /// Where clients reach what is served.
    pub addresses: Vec<Address>,
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
    shows: mpsc::UnboundedSender<Vec<Show>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Drop for Watching {
    fn drop(&mut self) {
        drop(self.stop.take());
        // It gives the Lease back, which takes two seconds at most.
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

impl Watching {
    /// What the cluster is to be shown: to be sent once that is in force.
    pub fn shows(&self) -> mpsc::UnboundedSender<Vec<Show>> {
        self.shows.clone()
    }

    /// Which objects are referred to is to be said here. A batch that answers follows, even if nothing is there.
    pub fn demands(&self) -> mpsc::UnboundedSender<Demand> {
        self.demands.clone()
    }
}

/// Watches from a thread of its own. First it decides what is done beside other products, and says so to `decided`; then
/// it hands each batch to `sink` until that says `false`. The first batch comes when everything has been listed, or
/// from what is kept on disk when the API server does not answer in time. `settings` say which entry points there are,
/// and which controllers' parts of a status are ours.
pub fn watch(
    scope: Scope,
    settings: Settings,
    decided: impl FnOnce(Takeover) + Send + 'static,
    sink: impl FnMut(Batch) -> bool + Send + 'static,
) -> Result<Watching, ClusterError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (demands, demanded) = mpsc::unbounded_channel();
    let (shows, shown) = mpsc::unbounded_channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let (connected, connection) = std::sync::mpsc::channel();
    let run = move || {
        runtime.block_on(async {
            let client = client::connect().await;
            let client = match client {
                Ok(client) => client,
                Err(error) => return drop(connected.send(Err(error))),
            };
            drop(connected.send(Ok(())));
            let following = Following { client, scope, settings, demanded, shown };
            following.run(decided, sink, stopped).await;
        });
    };
    let thread = thread::Builder::new().name("watch".into()).spawn(run)?;
    match connection.recv() {
        Ok(Ok(())) => Ok(Watching { demands, shows, stop: Some(stop), thread: Some(thread) }),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(ClusterError::Unconfigured("the thread that connects has ended".to_owned())),
    }
}

/// What the thread is given.
struct Following {
    client: Client,
    scope: Scope,
    settings: Settings,
    demanded: mpsc::UnboundedReceiver<Demand>,
    shown: mpsc::UnboundedReceiver<Vec<Show>>,
}

impl Following {
    async fn run(
        self,
        decided: impl FnOnce(Takeover),
        sink: impl FnMut(Batch) -> bool,
        mut stopped: oneshot::Receiver<()>,
    ) {
        let Self { client, mut scope, settings, demanded, shown } = self;
        let start = Start {
            wishes: &scope.takeover,
            folder: scope.cache.clone(),
            entry_points: &settings.entry_points,
            patience: PATIENCE,
        };
        let takeover = tokio::select! {
            takeover = start.decide(&client) => takeover,
            _ = &mut stopped => return,
        };
        let settings = takeover.apply(settings);
        if takeover.decision.observes() {
            scope.writing = None;
        }
        let adopted = tokio::sync::watch::Sender::new(takeover.service().cloned());
        decided(takeover);
        let (ending, ended) = tokio::sync::watch::channel(());
        let (leaving, left) = tokio::sync::watch::channel(());
        let (lease, candidate) = candidate(&client, &scope, ended);
        let leading = leading(&client, &scope, &settings, &adopted, lease.clone());
        let leading = leading.map(|leading| tokio::spawn(leading.run(left)));
        let controllers = settings.gateway_controllers.into();
        tokio::select! {
            () = Watch::new(client.clone(), scope, lease, sink).run(controllers, demanded, shown) => {}
            () = follow_service(client, settings.entry_points, adopted) => {}
            _ = stopped => {}
        }
        drop(leaving);
        if let Some(leading) = leading {
            let _in_time = tokio::time::timeout(LAST_WRITE, leading).await;
        }
        drop(ending);
        if let Some(candidate) = candidate {
            let _panicked = candidate.await;
        }
    }
}

/// What leads the adopted Service here, where there is one and we may write.
fn leading(
    client: &Client,
    scope: &Scope,
    settings: &Settings,
    adopted: &tokio::sync::watch::Sender<Option<Adopted>>,
    lease: Terms,
) -> Option<Leading> {
    let is_there = adopted.borrow().is_some();
    if !is_there || scope.writing.is_none() {
        return None;
    }
    let Some(service) = scope.peers_service.clone() else {
        tracing::warn!(
            "peers.service is not set, so which nodes run Postern is not known, and nothing leads the adopted Service to them"
        );
        return None;
    };
    let bound = |port: u16| scope.port_map.iter().find(|(from, _)| *from == port).map_or(port, |(_, to)| *to);
    let points = settings.entry_points.iter().map(|point| (point.name.to_string(), bound(point.socket.port)));
    Some(Leading {
        client: client.clone(),
        lease,
        adopted: adopted.subscribe(),
        // Where the system chooses, other nodes have another port.
        bound: points.filter(|(_, port)| *port > 0).collect(),
        peers: (client.default_namespace().to_owned(), service),
    })
}

type Terms = tokio::sync::watch::Receiver<Option<lease::Term>>;

/// Runs for the Lease, if we may write, until `ended` is closed.
fn candidate(
    client: &Client,
    scope: &Scope,
    mut ended: tokio::sync::watch::Receiver<()>,
) -> (Terms, Option<tokio::task::JoinHandle<()>>) {
    let Some(writing) = &scope.writing else { return (tokio::sync::watch::channel(None).1, None) };
    let namespace = writing.lease_namespace.clone().unwrap_or_else(|| client.default_namespace().to_owned());
    let identity = format!("{}-{:016x}", host_name(), rand::random::<u64>());
    let (candidate, terms) = lease::Candidate::new(client.clone(), &namespace, LEASE, identity);
    let run = candidate.run(async move { while ended.changed().await.is_ok() {} });
    (terms, Some(tokio::spawn(run)))
}

/// What people look for in the Lease: a pod's host name is the pod's, or its node's.
fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "postern".to_owned(), |name| name.trim().to_owned())
}

struct Watch<S> {
    client: Client,
    sources: Vec<Source>,
    collector: Collector,
    fetches: Fetches,
    statuses: Statuses,
    cache: Option<Cache>,
    sink: S,
}

impl<S: FnMut(Batch) -> bool> Watch<S> {
    fn new(client: Client, scope: Scope, lease: Terms, sink: S) -> Self {
        let statuses = Statuses::new(client.clone(), lease);
        let cache = scope.cache.as_ref().and_then(|folder| Cache::open(folder, scope.cache_max_age));
        let fetches = Fetches::new(client.clone());
        let sources = resource::sources(&scope);
        let collector = Collector::new(sources.clone());
        Self { client, sources, collector, fetches, statuses, cache, sink }
    }

    async fn run(
        mut self,
        controllers: Arc<[Arc<str>]>,
        mut demanded: mpsc::UnboundedReceiver<Demand>,
        mut shown: mpsc::UnboundedReceiver<Vec<Show>>,
    ) {
        let (tell, mut told) = mpsc::channel(WAITING);
        for source in std::mem::take(&mut self.sources) {
            let (controllers, wanted) = (controllers.clone(), self.fetches.wanted());
            tokio::spawn(follow::follow(self.client.clone(), source, controllers, wanted, tell.clone()));
        }
        let patience = tokio::time::sleep(PATIENCE);
        tokio::pin!(patience);
        let mut look = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                Some(first) = told.recv() => {
                    self.take(first);
                    while let Ok(next) = told.try_recv() {
                        self.take(next);
                    }
                }
                Some(demand) = demanded.recv() => self.demand(demand),
                Some(shows) = shown.recv() => self.statuses.show(shows),
                () = self.statuses.work() => {}
                Some(fetched) = self.fetches.next() => self.collector.fetched(fetched),
                _ = look.tick() => {
                    if let Some(cache) = self.cache.as_mut().filter(|_| self.collector.is_current()) {
                        cache.is_current(self.collector.known());
                    }
                }
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
        self.statuses.told(&told);
        for key in self.collector.take(told) {
            self.fetches.refresh(&key);
        }
    }

    fn demand(&mut self, demand: Demand) {
        for key in demand.unwanted {
            self.fetches.forget(&key);
            self.collector.forget(&key);
        }
        for key in demand.wanted {
            if let Some(waits) = self.collector.want(&key) {
                self.fetches.want(key, waits);
            }
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
