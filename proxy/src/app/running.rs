//! A running node: built, then run until it is told to stop. Tests start the same.

use std::{
    convert::Infallible,
    fmt,
    future::Future,
    io,
    net::SocketAddr,
    path::PathBuf,
    pin::Pin,
    rc::Rc,
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use jiff::Timestamp;
use postern_config::{
    kubernetes::convert,
    provider::{
        file::DirectoryError,
        kubernetes::{ClusterError, News, Scope, peers::Link},
    },
    publish::{self, Published, Publisher},
    snapshot::SocketKey,
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
};

use super::{
    offload::Offload,
    pipeline::Pipeline,
    signal,
    succession::{Desk, Succession},
};
use crate::{
    admin::{DoorError, Doors, State, open_inside},
    announce::{self, Served},
    exchange::{self, Body, Connection},
    handover,
    listener::Listeners,
    peer,
    plan::{Live, Plan},
    settings::Settings,
    telemetry::{
        access_log::{self, WriterError},
        log::LevelControl,
        metrics::Metrics,
    },
    tls::TlsError,
    upstream::{self, health},
    worker::{Inside, Shared, Worker, Workers},
};

/// Another node takes an address within a second, or there is none that can.
const LEAVING: Duration = Duration::from_secs(2);
/// Connections are accepted for so long after another node has an address: those that have not heard of it yet are told
/// again after 1.1 s. Never for more than half of the time that a drain has.
const LINGER: Duration = Duration::from_millis(1500);
/// What is left of connections that were broken off gets this long to end.
const LAST_BREATH: Duration = Duration::from_secs(5);

/// Why a node cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The operator's: nothing says what to serve.
    #[error(
        "nothing to serve: name a directory of manifests with --manifests DIR, or watch a cluster with --kubernetes"
    )]
    NothingToServe,
    /// The operator's: objects from two sources at once.
    #[error("manifests and kubernetes.watch are both set, which is not carried yet: leave one of them out")]
    TwoSources,
    /// The operator's cluster.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The operator's directory.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The operator's access log.
    #[error(transparent)]
    AccessLog(#[from] WriterError),
    /// Where the admin server is to be reached.
    #[error(transparent)]
    Admin(#[from] DoorError),
    /// The operator's place for hand-overs.
    #[error(transparent)]
    HandOver(#[from] handover::DoorError),
    /// TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The system.
    #[error("cannot start threads: {0}")]
    System(#[from] io::Error),
}

impl StartError {
    /// Whether the command was used wrongly, rather than input refused.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::NothingToServe | Self::TwoSources)
    }
}

/// Where a node really listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The admin server.
    pub admin: Option<SocketAddr>,
    /// Where metrics are collected; `None` also while somebody else has the port.
    pub metrics: Option<SocketAddr>,
    /// The admin server at its virtual address; `None` also while somebody else has the port.
    pub admin_vip: Option<SocketAddr>,
    /// Listeners by the socket that objects name.
    pub listeners: Vec<(SocketKey, SocketAddr)>,
}

impl Bound {
    /// Where the listener on `port`, as objects name it, is.
    pub fn listener(&self, port: u16) -> Option<SocketAddr> {
        self.listeners.iter().find(|(key, _)| key.port == port).map(|(_, address)| *address)
    }
}

/// Listeners at work: resolves when they have been drained.
type Serving = Pin<Box<dyn Future<Output = ()>>>;

/// A node that is built and not running yet: listeners are bound and the first plan is in place.
pub struct App {
    state: Arc<State>,
    workers: Workers,
    serving: Serving,
    drain: oneshot::Sender<Infallible>,
    break_off: oneshot::Sender<()>,
    replaced: oneshot::Receiver<()>,
    doors: Doors,
    /// Where the admin server was at first, the one for scrapers, and the virtual address.
    operators: [Option<SocketAddr>; 3],
    pipeline: Pipeline,
    publisher: Publisher,
    peers: Option<Peers>,
    announcing: Serving,
    access_log: Option<access_log::Writer>,
    offload: Offload,
}

/// The link to other nodes, which has not begun.
struct Peers {
    link: Link,
    socket: Option<peer::Socket>,
    news: mpsc::UnboundedReceiver<News>,
}

impl App {
    /// Builds a node, on the control runtime.
    pub async fn build(settings: Settings, log_level: LevelControl) -> Result<Self, StartError> {
        let mut source = Source::of(&settings)?;
        let socket = source.listen_to_peers();
        let (access_log, queues) = access_log::start(&settings.access_log, settings.workers)?;
        if let Some(path) = &settings.handover.socket {
            handover::prepare(path)?;
        }
        let (doors, berths) = Doors::open(&settings)?;
        let (first, mut publisher) = source.start(settings.for_compiler(Timestamp::now()))?;
        let offload = Offload::start(settings.workers)?;
        let shared = Arc::new(shared(settings, &offload));
        let workers = Workers::start(&shared, queues)?;
        let listeners = Listeners::new(shared.clone(), workers.handles(), exchange::serve)?;
        let link = publisher.link();
        let (vips, announcer) = announce::new(&shared.settings, link.as_ref().map(|link| link.keys.clone()));
        let handles = workers.handles();
        let listening = socket.as_ref().and_then(peer::Socket::address);
        let peers = link.as_ref().map(|link| Arc::new(peer::Status::new(link, listening)));
        let state = Arc::new(State::new(
            shared,
            listeners.status(),
            publisher.takeover(),
            peers,
            vips,
            log_level,
            publisher.counts(),
        ));
        open_inside(&state);
        let (tell, plans) = watch::channel(0);
        let served = Served {
            shared: state.shared.clone(),
            listeners: state.listeners.clone(),
            programmed: Box::new({
                let state = state.clone();
                move || state.is_programmed()
            }),
        };
        let announcing = Box::pin(announcer.run(served, plans.clone(), handles));
        let mut pipeline = Pipeline::new(state.clone(), tell, listeners.reconciled());
        let peers = link.map(|link| {
            let (tell, news) = mpsc::unbounded_channel();
            pipeline.set_link(tell);
            Peers { link, socket, news }
        });
        if let Some(first) = first {
            pipeline.apply(&first);
        }
        let mut succession = Succession::new(listeners, Desk::new(berths), state.clone());
        succession.attend().await;
        let operators = succession.operators();
        let (drain, drain_asked) = oneshot::channel();
        let (break_off, break_off_asked) = oneshot::channel();
        let (when_replaced, replaced) = oneshot::channel();
        let serving = Box::pin(listen(succession, plans, drain_asked, when_replaced, break_off_asked));
        Ok(Self {
            state,
            workers,
            serving,
            drain,
            break_off,
            replaced,
            doors,
            operators,
            pipeline,
            publisher,
            peers,
            announcing,
            access_log,
            offload,
        })
    }

    /// Where it listens.
    pub fn bound(&self) -> Bound {
        let [admin, metrics, admin_vip] = self.operators;
        Bound { admin, metrics, admin_vip, listeners: self.state.listeners.load().bound.clone() }
    }

    /// What the admin server shows.
    pub fn state(&self) -> Arc<State> {
        self.state.clone()
    }

    /// Runs until `stop` resolves or the API asks for a drain; then drains, for as long as the settings say or until
    /// `at_once` resolves.
    pub async fn run(self, stop: impl Future<Output = ()>, at_once: impl Future<Output = ()>) {
        let Self {
            state,
            workers,
            mut serving,
            drain,
            break_off,
            replaced,
            doors,
            pipeline,
            mut publisher,
            peers,
            mut announcing,
            ..
        } = self;
        let mut tasks = JoinSet::new();
        doors.serve(&state, &mut tasks);
        tasks.spawn({
            let state = state.clone();
            async move {
                if state.serves().await {
                    health::active::run(state.shared.clone()).await;
                }
            }
        });
        if let Some((peers, status)) = peers.zip(state.peers.clone()) {
            let state = state.clone();
            tasks.spawn(async move { peers.speak(&state, status).await });
        }
        tasks.spawn(signal::reopen(self.access_log.as_ref().map(access_log::Writer::reopener)));
        // It outlives the wait for other nodes: listeners close when nobody tells them of plans any more.
        let mut following = Box::pin(pipeline.run(&mut publisher));
        tokio::select! {
            () = stop => {}
            () = state.drain.notified() => tracing::info!("asked to drain through the API"),
            () = &mut following => tracing::error!("objects are no longer followed"),
            () = &mut serving => {}
            () = &mut announcing => {}
            Ok(()) = replaced => tracing::info!("replaced: leaving"),
        }
        state.set_draining();
        let told = Instant::now();
        tokio::select! {
            () = give_away(&state) => {}
            () = &mut serving => {}
            () = &mut announcing => {}
        }
        drop(following);
        // What is handed back to this node is so until then.
        let deadline = state.shared.settings.drain_deadline.saturating_sub(told.elapsed());
        tracing::info!(?deadline, "draining");
        let ended = tokio::select! {
            ended = drain_all(serving, drain, break_off, deadline, at_once) => ended,
            // It never ends by itself.
            () = &mut announcing => false,
        };
        // Undoes what the kernel holds, now that nothing of it is used any more.
        drop(announcing);
        tasks.shutdown().await;
        // A worker with a connection that does not end never does; the process ends without it.
        if ended {
            workers.join();
        }
        drop((self.access_log, self.offload));
        tracing::info!("stopped");
    }
}

/// Has other nodes take the addresses, and accepts until their clients know: new connections come here so long.
async fn give_away(state: &State) {
    if !state.vips.leave() {
        return;
    }
    match tokio::time::timeout(LEAVING, state.vips.left()).await {
        Ok(()) => tokio::time::sleep(LINGER.min(state.shared.settings.drain_deadline / 2)).await,
        Err(_) => tracing::warn!("no other node has taken the addresses of this one"),
    }
}

impl Peers {
    /// Speaks to other nodes, once it is decided whether this one serves.
    async fn speak(self, state: &State, status: Arc<peer::Status>) {
        let me = peer::Me {
            node: state.shared.server_name.to_str().unwrap_or_default().to_owned(),
            serves: state.serves().await,
            epoch: u64::try_from(Timestamp::now().as_millisecond()).unwrap_or_default(),
        };
        peer::run(self.link, self.socket, me, self.news, status).await;
    }
}

/// Follows the plan until `drain` is asked for, or a successor has `replaced` us, then drains until `break_off` is asked for.
async fn listen<F, R>(
    mut succession: Succession<F>,
    mut plans: watch::Receiver<u64>,
    drain: oneshot::Receiver<Infallible>,
    replaced: oneshot::Sender<()>,
    break_off: oneshot::Receiver<()>,
) where
    F: Fn(Request<Incoming>, Rc<Connection>, Rc<Worker>) -> R + Clone + Send + 'static,
    R: Future<Output = Response<Body>> + 'static,
{
    succession.run(&mut plans, drain, replaced).await;
    succession.drain(async { drop(break_off.await) }).await;
}

/// Waits for all connections to end; after `deadline`, or when `at_once` resolves, they are broken off. Says whether
/// all have ended.
async fn drain_all(
    mut serving: Serving,
    drain: oneshot::Sender<Infallible>,
    break_off: oneshot::Sender<()>,
    deadline: Duration,
    at_once: impl Future<Output = ()>,
) -> bool {
    drop(drain);
    tokio::select! {
        () = &mut serving => return true,
        () = at_once => {}
        () = tokio::time::sleep(deadline) => tracing::warn!("breaking off connections that have not ended"),
    }
    let _ended = break_off.send(());
    let ended = tokio::time::timeout(LAST_BREATH, serving).await.is_ok();
    if !ended {
        tracing::warn!("connections that did not end were left behind");
    }
    ended
}

/// Where objects come from.
enum Source {
    Directory(PathBuf),
    Cluster(Box<Scope>),
}

impl Source {
    fn of(settings: &Settings) -> Result<Self, StartError> {
        match (&settings.manifests, settings.cluster.watch) {
            (Some(directory), false) => Ok(Self::Directory(directory.clone())),
            (None, true) => {
                let scope = Scope { port_map: settings.port_map.clone(), ..settings.cluster.scope.clone() };
                Ok(Self::Cluster(Box::new(scope)))
            }
            (Some(_), true) => Err(StartError::TwoSources),
            (None, false) => Err(StartError::NothingToServe),
        }
    }

    /// Listens to peers, where one of them may have to be told something; from then on the port is known.
    fn listen_to_peers(&mut self) -> Option<peer::Socket> {
        let Self::Cluster(scope) = self else { return None };
        let (ip, port) = scope.peers.listen.filter(|_| scope.control)?;
        let socket = peer::Socket::open(ip, port);
        scope.peers.listen = Some((ip, socket.address().map_or(port, |address| address.port())));
        Some(socket)
    }

    /// A directory is read at once; a cluster may keep us waiting, and the admin server says so meanwhile.
    fn start(self, settings: convert::Settings) -> Result<(Option<Published>, Publisher), StartError> {
        match self {
            Self::Directory(directory) => {
                let (first, publisher) = publish::start(&directory, settings, Timestamp::now)?;
                Ok((Some(first), publisher))
            }
            Self::Cluster(scope) => Ok((None, publish::start_cluster(*scope, settings, Timestamp::now)?)),
        }
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("bound", &self.bound()).finish_non_exhaustive()
    }
}

fn shared(settings: Settings, offload: &Offload) -> Shared {
    let metrics = Arc::new(Metrics::new(settings.workers));
    let upstream = upstream::Live::counting_into(metrics.clusters.clone());
    Shared {
        plan: Arc::new(ArcSwap::from_pointee(Plan::default())),
        server_name: host_name(),
        live: Live { upstream, ..Live::default() },
        metrics,
        offload: offload.handle(),
        observing: AtomicBool::new(!settings.roles.serve),
        inside: Inside::default(),
        settings: Arc::new(settings),
    }
}

/// What the kernel calls this host; `postern` where that is no header value.
fn host_name() -> HeaderValue {
    let name = rustix::system::uname();
    HeaderValue::from_bytes(name.nodename().to_bytes()).unwrap_or_else(|_| HeaderValue::from_static("postern"))
}
