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

mod announced;
mod bundle;
mod cache;
pub mod cleanup;
mod client;
mod collect;
mod counts;
pub mod definitions;
mod events;
pub mod examine;
mod fetch;
mod follow;
mod lease;
mod mirror;
pub mod peers;
mod resource;
mod status;
pub mod takeover;

use std::{net::IpAddr, path::PathBuf, sync::Arc, thread, time::Duration};

use kube::Client;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
};

use self::{
    cache::Cache,
    client::Access,
    collect::Collector,
    events::Events,
    fetch::Fetches,
    follow::Follower,
    lease::{Found, Office},
    peers::{
        Advertised, Gate, Heard, Holder, Keys, Link, Members, PeerScope, Problem, View, follow_keys, follow_lease,
        follow_members, make_key,
    },
    resource::{Served, Source},
    status::Statuses,
};
pub use self::{
    counts::{Counts, EventOutcome, FetchOutcome, Follow, FollowState, StatusOutcome, Tally},
    lease::Term,
};
use super::{Batch, Demand, InForce};
pub use crate::kubernetes::status::Address;
use crate::kubernetes::{
    announced::Account,
    convert::Settings,
    event::{Event, Notice},
    store::Key,
    takeover::Wishes,
};
use takeover::{Adoption, Leading, Start, Takeover};

pub use cache::forget;

/// How long the API server may take before what is on disk is served instead.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a start without anything on disk waits for kinds that cannot be listed before it begins without them.
const WITHOUT: Duration = Duration::from_secs(60);
/// The name of the Lease whose holder writes.
const LEASE: &str = "postern";
/// Between two looks whether what is on disk is current.
const LOOK: Duration = Duration::from_secs(10);
/// What the holder of the Lease writes on its way out may take so long.
const LAST_WRITE: Duration = Duration::from_secs(2);
/// Watches that share a connection: API servers take a hundred requests at once on each.
const WATCHES: usize = 32;
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
    /// Whether this Postern may hold the Lease; one that may not writes nothing.
    pub control: bool,
    /// Where the Lease is whose holder writes; `None`: in our own namespace.
    pub lease_namespace: Option<String>,
    /// How status is written; `None`: it is not.
    pub writing: Option<Writing>,
    /// How this Postern is one of several.
    pub peers: PeerScope,
    /// What is done beside other products.
    pub takeover: Wishes,
    /// Ports in objects, and the ports that are bound for them where those differ.
    pub port_map: Vec<(u16, u16)>,
}

/// How status is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Writing {
    /// Where clients reach what is served.
    pub addresses: Vec<Address>,
    /// Public addresses that reach a node under one of its own.
    pub map: crate::model::address_map::AddressMap,
    /// Whether events are written too.
    pub events: bool,
}

impl Default for Writing {
    fn default() -> Self {
        Self { addresses: Vec::new(), map: crate::model::address_map::AddressMap::default(), events: true }
    }
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

/// What becomes of this node, which decides what the cluster is shown.
#[derive(Clone, Debug)]
pub enum News {
    /// What is in force from now on.
    InForce(InForce),
    /// The sockets that it cannot have: all of them.
    Unbound(Vec<Problem>),
    /// What it says of the addresses that it may announce: all of it.
    Account(Arc<Account>),
}

/// What is to be told of an object.
enum Telling {
    /// Once.
    Done(Event),
    /// What stands against the announcement of its addresses, from now on.
    Announced(Arc<[Notice]>),
}

/// A cluster being watched; ends when dropped.
#[derive(Debug)]
pub struct Watching {
    demands: mpsc::UnboundedSender<Demand>,
    news: mpsc::UnboundedSender<News>,
    link: Option<Link>,
    counts: Arc<Counts>,
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
    /// What becomes of this node is to be sent here.
    pub fn news(&self) -> mpsc::UnboundedSender<News> {
        self.news.clone()
    }

    /// What the link between the nodes needs, if there is to be one; once.
    pub fn link(&mut self) -> Option<Link> {
        self.link.take()
    }

    /// What is counted of the cluster's API.
    pub fn counts(&self) -> Arc<Counts> {
        self.counts.clone()
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
    let (news, told) = mpsc::unbounded_channel();
    let (ends, link) = ends(&scope);
    let counts = Arc::<Counts>::default();
    let counted = counts.clone();
    let (stop, stopped) = oneshot::channel::<()>();
    let (connected, connection) = std::sync::mpsc::channel();
    let run = move || {
        runtime.block_on(async {
            let access = Access::infer(counted.clone()).await;
            let (client, access) = match access.and_then(|access| Ok((access.client()?, access))) {
                Ok(both) => both,
                Err(error) => return drop(connected.send(Err(error))),
            };
            drop(connected.send(Ok(())));
            let following = Following { client, access, scope, settings, demanded, news: told, ends, counts: counted };
            following.run(decided, sink, stopped).await;
        });
    };
    let thread = thread::Builder::new().name("watch".into()).spawn(run)?;
    match connection.recv() {
        Ok(Ok(())) => Ok(Watching { demands, news, link, counts, stop: Some(stop), thread: Some(thread) }),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(ClusterError::Unconfigured("the thread that connects has ended".to_owned())),
    }
}

/// What the thread is given.
struct Following {
    client: Client,
    access: Access,
    scope: Scope,
    settings: Settings,
    demanded: mpsc::UnboundedReceiver<Demand>,
    news: mpsc::UnboundedReceiver<News>,
    ends: Ends,
    counts: Arc<Counts>,
}

impl Following {
    async fn run(
        self,
        decided: impl FnOnce(Takeover),
        sink: impl FnMut(Batch) -> bool,
        mut stopped: oneshot::Receiver<()>,
    ) {
        let Self { client, access, mut scope, settings, demanded, news, ends, counts } = self;
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
        let adoption = Adoption::of(&takeover, &scope);
        let wishes = scope.takeover.clone();
        scope.limit_to(&takeover);
        decided(takeover.clone());
        let (ending, ended) = watch::channel(());
        let (leaving, left) = watch::channel(());
        let controllers = settings.gateway_controllers.as_slice().into();
        let standing = Standing { source: access.source(), controllers, counts: counts.clone() };
        let candidate = candidate(&client, &scope, &ends, standing, ended);
        let _following = follow_peers(&client, &scope, &ends);
        let leading = leading(&client, &scope, &settings, &adoption, ends.office.terms.subscribe());
        let leading = leading.map(|leading| tokio::spawn(leading.run(left)));
        let reached = adoption.reached.subscribe();
        let start =
            Start { wishes: &wishes, folder: None, entry_points: &settings.entry_points.clone(), patience: PATIENCE };
        tokio::select! {
            () = Watch::new(client.clone(), scope, settings, ends, reached, counts, sink).run(access, demanded, news) => {}
            () = adoption.follow(client, &start, &takeover.decision) => {}
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
    adoption: &Adoption,
    lease: watch::Receiver<Option<Term>>,
) -> Option<Leading> {
    let is_there = adoption.is_there_perhaps();
    if !is_there || scope.writing.is_none() {
        return None;
    }
    let Some(service) = scope.peers.service.clone() else {
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
        adopted: adoption.service.subscribe(),
        // Where the system chooses, other nodes have another port.
        bound: points.filter(|(_, port)| *port > 0).collect(),
        peers: (client.default_namespace().to_owned(), service),
    })
}

impl Scope {
    /// Whoever observes writes nothing.
    fn limit_to(&mut self, takeover: &Takeover) {
        if takeover.decision.observes() {
            (self.control, self.writing) = (false, None);
        }
    }
}

/// This thread's ends of what the link between the nodes sees.
struct Ends {
    name: Arc<str>,
    identity: Arc<str>,
    terms: watch::Sender<Option<Term>>,
    office: Office,
    holder: watch::Sender<Option<Holder>>,
    keys: watch::Sender<Keys>,
    members: watch::Sender<Members>,
    heard: mpsc::Receiver<Heard>,
    view: watch::Sender<View>,
}

/// Both ends; the far ones only where there is to be a link.
fn ends(scope: &Scope) -> (Ends, Option<Link>) {
    let name = scope.peers.name.clone().unwrap_or_else(|| host_name().into());
    let identity = Arc::from(format!("{name}-{:016x}", rand::random::<u64>()));
    let waits = scope.peers.listen.is_some() && scope.peers.service.is_some();
    let members = if waits { Members::Unknown } else { Members::Alone };
    let (tell, heard) = mpsc::channel(WAITING);
    let ends = Ends {
        name,
        identity,
        terms: watch::Sender::default(),
        office: Office::default(),
        holder: watch::Sender::default(),
        keys: watch::Sender::default(),
        members: watch::Sender::new(members),
        heard,
        view: watch::Sender::default(),
    };
    let link = scope.peers.listen.is_some().then(|| Link {
        name: ends.name.clone(),
        identity: ends.identity.clone(),
        terms: ends.terms.subscribe(),
        holder: ends.holder.subscribe(),
        keys: ends.keys.subscribe(),
        heard: tell,
        view: ends.view.subscribe(),
    });
    (ends, link)
}

/// What a candidate is known by.
struct Standing {
    /// The address that it speaks from.
    source: Option<IpAddr>,
    controllers: Arc<[Arc<str>]>,
    counts: Arc<Counts>,
}

/// Runs for the Lease, if it may, until `ended` is closed.
fn candidate(
    client: &Client,
    scope: &Scope,
    ends: &Ends,
    standing: Standing,
    mut ended: watch::Receiver<()>,
) -> Option<tokio::task::JoinHandle<()>> {
    let holds_for_something = scope.writing.is_some() || scope.peers.listen.is_some();
    if !scope.control || !holds_for_something {
        return None;
    }
    let Standing { source, controllers, counts } = standing;
    let advertised =
        Advertised { name: ends.name.clone(), listen: scope.peers.listen, members: ends.members.subscribe(), source };
    let namespace = lease_namespace(client, scope);
    let candidate = lease::Candidate::new(
        (client.clone(), &namespace, LEASE),
        ends.identity.clone(),
        advertised,
        ends.terms.clone(),
        ends.office.clone(),
        controllers,
        counts,
    );
    Some(tokio::spawn(candidate.run(async move { while ended.changed().await.is_ok() {} })))
}

fn lease_namespace(client: &Client, scope: &Scope) -> String {
    scope.lease_namespace.clone().unwrap_or_else(|| client.default_namespace().to_owned())
}

/// Follows what the cluster says about the other nodes, where anybody here wants to know.
fn follow_peers(client: &Client, scope: &Scope, ends: &Ends) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let namespace = client.default_namespace().to_owned();
    if scope.peers.listen.is_some() {
        let (client, lease, shown) = (client.clone(), lease_namespace(client, scope), ends.holder.clone());
        tasks.spawn(async move { follow_lease(client, &lease, LEASE, shown).await });
    }
    if scope.peers.listen.is_some() {
        let (client, namespace, shown) = (client.clone(), namespace.clone(), ends.keys.clone());
        tasks.spawn(async move { follow_keys(client, &namespace, shown).await });
    }
    if scope.peers.listen.is_some() && scope.control {
        let (client, namespace) = (client.clone(), namespace.clone());
        let (terms, keys) = (ends.terms.subscribe(), ends.keys.subscribe());
        tasks.spawn(async move { make_key(client, &namespace, terms, keys).await });
    }
    // Only the holder of the Lease waits for others.
    if let Some(service) = scope.peers.service.clone().filter(|_| scope.peers.listen.is_some() && scope.control) {
        let (client, shown) = (client.clone(), ends.members.clone());
        tasks.spawn(async move { follow_members(client, &namespace, &service, shown).await });
    }
    tasks
}

/// What people look for in the Lease: a pod's host name is the pod's, or its node's.
fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "postern".to_owned(), |name| name.trim().to_owned())
}

struct Watch<S> {
    /// Those whose parts of a status are ours.
    controllers: Arc<[Arc<str>]>,
    sources: Vec<Source>,
    collector: Collector,
    fetches: Fetches,
    statuses: Statuses,
    /// `None`: no events are written.
    events: Option<Events>,
    /// What is to be told once of objects.
    done: mpsc::UnboundedReceiver<(Key, Telling)>,
    others: watch::Receiver<Found>,
    served: Served,
    counts: Arc<Counts>,
    members: watch::Receiver<Members>,
    /// Where status says that things are reached; `None`: not known yet.
    reached: watch::Receiver<Option<Vec<Address>>>,
    heard: mpsc::Receiver<Heard>,
    cache: Option<Cache>,
    sink: S,
}

impl<S: FnMut(Batch) -> bool> Watch<S> {
    fn new(
        client: Client,
        scope: Scope,
        settings: Settings,
        ends: Ends,
        reached: watch::Receiver<Option<Vec<Address>>>,
        counts: Arc<Counts>,
        sink: S,
    ) -> Self {
        let controllers = settings.gateway_controllers.as_slice().into();
        let writes = scope.writing.is_some() && scope.control;
        let addresses = reached.borrow().clone().filter(|_| writes);
        let reached = if writes { reached } else { watch::channel(None).1 };
        let members = ends.members.subscribe();
        let gate = Gate::new(ends.name, members.borrow().clone());
        let view = scope.peers.listen.map(|_| ends.view);
        let (served, office) = (Served::default(), ends.office);
        let shared = (served.clone(), counts.clone());
        let (tell_of, done) = mpsc::unbounded_channel();
        let terms = office.terms.subscribe();
        let shows = (view, tell_of);
        let statuses = Statuses::new(client.clone(), shared.clone(), terms, settings, addresses, gate, shows);
        if writes {
            let (client, lease, wanted) = (client.clone(), office.terms.subscribe(), statuses.l2_statuses());
            tokio::spawn(announced::write(client, scope.namespaces.clone(), lease, wanted));
        }
        let tells = scope.control && scope.writing.as_ref().is_some_and(|writing| writing.events);
        let events = tells.then(|| Events::new(client.clone(), office.terms.subscribe(), &host_name(), shared));
        let others = office.found.subscribe();
        let cache = scope.cache.as_ref().and_then(|folder| Cache::open(folder, scope.cache_max_age));
        let fetches = Fetches::new(client, counts.clone());
        let sources = resource::sources(&scope);
        let collector = Collector::new(sources.clone());
        let heard = ends.heard;
        Self {
            controllers,
            sources,
            collector,
            fetches,
            statuses,
            events,
            done,
            others,
            served,
            counts,
            members,
            reached,
            heard,
            cache,
            sink,
        }
    }

    async fn run(
        mut self,
        access: Access,
        mut demanded: mpsc::UnboundedReceiver<Demand>,
        mut news: mpsc::UnboundedReceiver<News>,
    ) {
        let (tell, mut told) = mpsc::channel(WAITING);
        if let Err(error) = self.follow(&access, &tell) {
            return tracing::error!(%error, "the cluster cannot be watched");
        }
        let started = tokio::time::Instant::now();
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
                Some(news) = news.recv() => self.learn(news),
                Some(heard) = self.heard.recv() => self.hear(heard),
                Ok(()) = self.members.changed() => {
                    let members = self.members.borrow_and_update().clone();
                    self.statuses.gate().set_members(members, tokio::time::Instant::now());
                }
                Ok(()) = self.reached.changed() => {
                    let reached = self.reached.borrow_and_update().clone();
                    reached.into_iter().for_each(|addresses| self.statuses.reached_at(addresses));
                }
                () = self.statuses.work() => {}
                () = work(self.events.as_mut()) => {}
                Some((key, telling)) = self.done.recv() => {
                    match (&mut self.events, telling) {
                        (Some(events), Telling::Done(event)) => events.tell_once(key, event),
                        (Some(events), Telling::Announced(notices)) => events.tell_announced(key, notices),
                        (None, _) => {}
                    }
                }
                Ok(()) = self.others.changed() => self.collector.others(&self.others.borrow_and_update()),
                Some(fetched) = self.fetches.next() => self.collector.fetched(fetched),
                _ = look.tick() => {
                    if let Some(cache) = self.cache.as_mut().filter(|_| self.collector.is_current()) {
                        cache.is_current(self.collector.known());
                    }
                }
                () = &mut patience, if !self.collector.has_begun() => {
                    patience.as_mut().reset(tokio::time::Instant::now() + PATIENCE);
                    self.begin_from_cache();
                    if !self.collector.has_begun() && started.elapsed() >= WITHOUT {
                        self.begin_without();
                    }
                }
                else => return,
            }
            if !self.hand_over() {
                return;
            }
        }
    }

    /// Begins to follow every source, and tells of them.
    fn follow(&mut self, access: &Access, tell: &mpsc::Sender<collect::Told>) -> Result<(), ClusterError> {
        tokio::spawn(bundle::follow(access.client()?, tell.clone()));
        for sources in std::mem::take(&mut self.sources).chunks(WATCHES) {
            let client = access.client()?;
            for source in sources.iter().cloned() {
                let (controllers, wanted) = (self.controllers.clone(), self.fetches.wanted());
                let (served, counts, tell) = (self.served.clone(), self.counts.clone(), tell.clone());
                let follower = Follower { source, controllers, wanted, served, counts, tell };
                tokio::spawn(follower.run(client.clone()));
            }
        }
        Ok(())
    }

    /// Takes what a node says, and all that waits behind it.
    fn hear(&mut self, first: Heard) {
        let now = tokio::time::Instant::now();
        self.statuses.gate().hear(first, now);
        while let Ok(next) = self.heard.try_recv() {
            self.statuses.gate().hear(next, now);
        }
    }

    fn learn(&mut self, news: News) {
        match news {
            News::InForce(in_force) => {
                self.statuses.in_force(&in_force);
                if let Some(events) = &mut self.events {
                    events.tell(in_force.tells);
                }
            }
            News::Unbound(problems) => self.statuses.gate().set_problems(problems),
            News::Account(account) => self.statuses.gate().set_account(account),
        }
    }

    fn take(&mut self, told: collect::Told) {
        self.statuses.told(&told);
        if let Some(events) = &mut self.events {
            events.told(&told);
        }
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

    /// Begins without kinds that cannot be listed: the rest need not wait for them for ever.
    fn begin_without(&mut self) {
        for missing in self.collector.begin_without() {
            let (kind, path) = (missing.kind.as_str(), missing.path());
            tracing::warn!(kind, path, "beginning without a kind that cannot be listed; it comes when it can");
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

/// Writes events, where any are written; never ends.
async fn work(events: Option<&mut Events>) {
    match events {
        Some(events) => events.work().await,
        None => std::future::pending().await,
    }
}
