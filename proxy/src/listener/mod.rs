//! Sockets: which are wanted, which are bound, who accepts.
//!
//! [`Listeners`] lives on the control runtime and brings the bound sockets in line with the plan; each worker accepts on
//! sockets of its own (SO_REUSEPORT) and sees its connections through. What a socket speaks is not decided here: a
//! connection looks it up in the plan when it arrives, so that a change of TLS or routes touches no socket.

mod accept;
mod bind;
mod connection;
mod descriptors;
mod group;
mod handover;
mod limits;
mod load;
pub mod proxy_protocol;
mod tunnel;

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    net::{IpAddr, SocketAddr, TcpListener},
    rc::Rc,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use arc_swap::ArcSwap;
use http::{Request, Response};
use hyper::body::Incoming;
use postern_config::{
    allocation::Purpose,
    snapshot::{SocketKey, Transport},
};
use tokio::sync::watch;

pub use bind::BindProblem;
pub use handover::Heirloom;
pub(crate) use limits::counted_as;
pub use limits::{Occupancy, Place};

use self::{
    bind::{Company, Presence},
    group::{Group, Site, Stage},
    load::Loads,
};
use crate::{
    exchange::{Body, Connection},
    lifecycle::drain::Drain,
    settings::Settings,
    telemetry::rarely::Rarely,
    tls::{self, Tls, TlsError},
    worker::{Shared, Worker, WorkerHandle},
};

/// Sockets of the whole process. `F` answers requests.
pub struct Listeners<F> {
    shared: Arc<Shared>,
    common: Arc<Common>,
    service: F,
    groups: BTreeMap<(SocketKey, SocketAddr), Group>,
    leaving: Vec<watch::Sender<Stage>>,
    status: Arc<ArcSwap<Status>>,
    /// The plan that sockets were last brought in line with.
    reconciled: watch::Sender<u64>,
    sites: u64,
}

/// What is bound and what is not; readable from anywhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Actual addresses, in order.
    pub bound: Vec<(SocketKey, SocketAddr)>,
    /// What is wanted and cannot be had.
    pub problems: Vec<BindProblem>,
}

/// What the workers' accept loops share.
#[derive(Debug)]
struct Common {
    tls: Tls,
    occupancy: Arc<Occupancy>,
    loads: Loads,
    workers: Vec<WorkerHandle>,
    refusals: Rarely,
}

/// A worker's part of it all.
#[derive(Debug, Default)]
pub struct WorkerState {
    tls: tls::WorkerState,
    drains: RefCell<HashMap<u64, Drain>>,
}

impl WorkerState {
    /// The drain of `site`'s connections on this worker.
    fn drain(&self, site: &Site) -> Drain {
        self.drains.borrow_mut().entry(site.id).or_default().clone()
    }

    fn forget(&self, site: &Site) {
        self.drains.borrow_mut().remove(&site.id);
    }
}

impl Common {
    /// A worker that should have a connection rather than worker `index`.
    fn better_than(&self, index: usize) -> Option<(usize, &WorkerHandle)> {
        let better = self.loads.better_than(index)?;
        Some((better, self.workers.get(better)?))
    }
}

impl<F, R> Listeners<F>
where
    F: Fn(Request<Incoming>, Rc<Connection>, Rc<Worker>) -> R + Clone + Send + 'static,
    R: Future<Output = Response<Body>> + 'static,
{
    /// No sockets yet. Raises the limit of open files as far as it may.
    pub fn new(shared: Arc<Shared>, workers: Vec<WorkerHandle>, service: F) -> Result<Self, TlsError> {
        let limits = &shared.settings.limits;
        let most = descriptors::connections(limits.connections);
        let common = Common {
            tls: Tls::new()?,
            occupancy: Arc::new(Occupancy::new(most, limits.connections_per_address)),
            loads: Loads::new(workers.len()),
            workers,
            refusals: Rarely::default(),
        };
        let (groups, leaving, status) = (BTreeMap::new(), Vec::new(), Arc::default());
        Ok(Self {
            shared,
            common: Arc::new(common),
            service,
            groups,
            leaving,
            status,
            reconciled: watch::Sender::default(),
            sites: 0,
        })
    }

    /// What is bound and what is not, kept up to date.
    pub fn status(&self) -> Arc<ArcSwap<Status>> {
        self.status.clone()
    }

    /// The generation of the plan that the sockets were last brought in line with, as far as they could; told again
    /// after each try.
    pub fn reconciled(&self) -> watch::Receiver<u64> {
        self.reconciled.subscribe()
    }

    /// Binds what the plan wants and is not bound, and gives up what it does not want. To be called after each change of
    /// the plan, and every few seconds while there are problems.
    pub fn reconcile(&mut self) -> Arc<Status> {
        self.reconcile_in(Company::Alone)
    }

    /// The same where another Postern is on these addresses that is about to leave them.
    pub fn reconcile_beside(&mut self) -> Arc<Status> {
        self.reconcile_in(Company::Beside)
    }

    fn reconcile_in(&mut self, company: Company) -> Arc<Status> {
        let generation = self.shared.plan.load().generation;
        let wanted = wanted(&self.shared);
        let gone: Vec<_> = self.groups.keys().filter(|group| !wanted.contains(group)).copied().collect();
        gone.into_iter().for_each(|group| self.give_up(group, Stage::CLOSING));
        self.leaving.retain(|stage| !stage.is_closed());
        let missing = wanted.into_iter().filter(|group| !self.groups.contains_key(group)).collect::<Vec<_>>();
        let add = |(key, address)| self.add(key, address, company).err();
        let problems = missing.into_iter().filter_map(add).collect();
        let status = self.publish(problems);
        self.reconciled.send_replace(generation);
        status
    }

    fn give_up(&mut self, group: (SocketKey, SocketAddr), stage: Stage) {
        if let Some(group) = self.groups.remove(&group) {
            group.stage.send_replace(stage);
            self.leaving.push(group.stage);
        }
    }

    fn publish(&self, problems: Vec<BindProblem>) -> Arc<Status> {
        let before = self.status.load_full();
        for problem in problems.iter().filter(|problem| !before.problems.contains(problem)) {
            tracing::error!(listener = %problem.key, address = %problem.address, "{problem}");
        }
        let bound = self.groups.iter().map(|((key, _), group)| (*key, group.address)).collect();
        let status = Arc::new(Status { bound, problems });
        self.status.store(status.clone());
        status
    }

    fn add(&mut self, key: SocketKey, address: SocketAddr, company: Company) -> Result<(), BindProblem> {
        let company = if self.is_shared(address) { Company::Beside } else { company };
        let bound = bind::bind_group(address, self.common.workers.len(), company, self.presence(address.ip()))
            .and_then(|sockets| Ok((Group::new(&sockets, false)?, sockets)));
        let (group, sockets) = bound.map_err(|error| BindProblem::new(key, address, &error))?;
        tracing::info!(listener = %key, address = %group.address, "listening");
        self.start(key, &group, sockets);
        self.groups.insert((key, address), group);
        Ok(())
    }

    fn presence(&self, address: IpAddr) -> Presence {
        let plan = self.shared.plan.load();
        let announcement = plan.snapshot.announcements.get(&address);
        match announcement.map(|announcement| announcement.purpose) {
            Some(Purpose::Served) => Presence::Awaited,
            // Each node of a cluster is told of the addresses of all.
            _ if self.shared.settings.address_map.is_private(address) => Presence::Awaited,
            Some(Purpose::Foreign) | None => Presence::Required,
        }
    }

    /// Whether a socket of ours is on the same port for all addresses, or this one for all beside it: the kernel gives
    /// each connection to the one that names its address.
    fn is_shared(&self, address: SocketAddr) -> bool {
        let overlaps = |ours: &SocketAddr| {
            ours.port() == address.port()
                && ours.is_ipv4() == address.is_ipv4()
                && (ours.ip().is_unspecified() || address.ip().is_unspecified())
        };
        address.port() != 0 && self.groups.values().any(|group| overlaps(&group.address))
    }

    /// Gives each worker its share of `sockets`, and those that get none a part in the group's connections.
    fn start(&mut self, key: SocketKey, group: &Group, sockets: Vec<TcpListener>) {
        self.sites += 1;
        let plan = self.shared.plan.load();
        let listener = plan.snapshot.listeners.get(&key);
        let name = listener.map_or_else(|| key.port.to_string().into(), |listener| listener.name.clone());
        let transport = listener.map_or(Transport::Plain, |listener| listener.transport);
        let site = Arc::new(Site { id: self.sites, key, name, transport, common: self.common.clone() });
        let shares = shares(sockets, self.common.workers.len());
        for (handle, sockets) in self.common.workers.iter().zip(shares) {
            let (site, stage, service) = (site.clone(), group.stage.subscribe(), self.service.clone());
            handle.spawn(move |worker| accept::run(sockets, site, stage, worker, service));
        }
    }

    /// Gives all sockets up and waits until all connections have ended; those that have not within the settings' drain
    /// deadline, or when `at_once` resolves, are broken off. Where `yielding` a predecessor accepts again on what it had.
    pub async fn drain(mut self, yielding: bool, at_once: impl Future<Output = ()>) {
        let groups: Vec<_> = self.groups.iter().map(|(at, group)| (*at, group.farewell(yielding))).collect();
        groups.into_iter().for_each(|(at, stage)| self.give_up(at, stage));
        self.publish(Vec::new());
        let all_gone = async {
            for stage in &self.leaving {
                stage.closed().await;
            }
        };
        tokio::select! {
            () = all_gone => return,
            () = at_once => {}
        }
        for stage in &self.leaving {
            stage.send_modify(|stage| *stage = stage.at_once());
        }
        for stage in &self.leaving {
            stage.closed().await;
        }
    }
}

impl<F> std::fmt::Debug for Listeners<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listeners").field("status", &self.status.load()).finish_non_exhaustive()
    }
}

/// Every socket that the plan asks for, on every address that it is to be bound on.
fn wanted(shared: &Shared) -> Vec<(SocketKey, SocketAddr)> {
    if shared.observing.load(Relaxed) {
        return Vec::new();
    }
    let plan = shared.plan.load();
    let settings = &shared.settings;
    let mut wanted: Vec<_> = plan
        .snapshot
        .listeners
        .keys()
        .flat_map(|key| {
            let port = mapped(settings, key.port);
            let addresses = key.address.map_or_else(|| settings.bind.clone(), |address| vec![address]);
            addresses.into_iter().map(move |address| (*key, SocketAddr::new(address, port)))
        })
        .collect();
    wanted.dedup();
    wanted
}

fn mapped(settings: &Settings, port: u16) -> u16 {
    settings.port_map.iter().find(|(from, _)| *from == port).map_or(port, |(_, to)| *to)
}

/// `sockets` dealt out to `workers`.
fn shares(sockets: Vec<TcpListener>, workers: usize) -> Vec<Vec<TcpListener>> {
    let mut shares: Vec<Vec<TcpListener>> = std::iter::repeat_with(Vec::new).take(workers).collect();
    for (at, socket) in sockets.into_iter().enumerate() {
        if let Some(share) = shares.get_mut(at % workers.max(1)) {
            share.push(socket);
        }
    }
    shares
}
