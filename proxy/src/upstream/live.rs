//! What is shared per node and outlives plans: health, counts and budgets, found by cluster and endpoint.
//!
//! The tables are locked only while a plan is built or a scrape runs. Requests reach their state through the plan's
//! [`super::Cluster`], which owns it: state ends with the last plan that has its endpoint.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use postern_config::model::{
    cluster::{EndpointAddress, PassiveHealth, Protocol, UpstreamTls},
    id::ClusterId,
};
use tokio::time::Instant;

use super::{
    budget::Budget,
    health::{active::ProbeTable, passive},
    resolve::Resolver,
    tls,
};
use crate::{telemetry::metrics::Clusters, worker::Worker};

/// What is shared per node.
#[derive(Debug)]
pub struct Live {
    epoch: Instant,
    clusters: Mutex<ClusterTable>,
    slots: Arc<Slots>,
    pub(super) tls: tls::ConnectorTable,
    pub(super) resolver: Arc<Resolver>,
    pub(super) probes: ProbeTable,
    /// Where clusters are counted.
    pub(super) series: Clusters,
}

impl Default for Live {
    fn default() -> Self {
        Self {
            epoch: Instant::now(),
            clusters: Mutex::default(),
            slots: Arc::default(),
            tls: tls::ConnectorTable::default(),
            resolver: Arc::default(),
            probes: ProbeTable::default(),
            series: Clusters::default(),
        }
    }
}

#[derive(Debug, Default)]
struct ClusterTable {
    by_id: HashMap<ClusterId, Weak<ClusterLive>>,
    /// Size at which dead entries are looked for again, so that sweeping costs nothing on the average.
    sweep_at: usize,
}

/// Live state of one cluster.
#[derive(Debug)]
pub struct ClusterLive {
    id: ClusterId,
    key: StateKey,
    endpoints: Mutex<HashMap<EndpointAddress, Weak<EndpointState>>>,
    transport: Mutex<Transport>,
    pub(super) budget: Mutex<Budget>,
    retries: AtomicU64,
    budget_refusals: AtomicU64,
}

/// Live state of one endpoint. All counts are since the endpoint appeared.
#[derive(Debug)]
pub struct EndpointState {
    key: StateKey,
    requests: AtomicU64,
    in_flight: AtomicU32,
    connect_errors: AtomicU64,
    ejections: AtomicU64,
    /// Idle connections that workers may hold; see `pool`.
    pub(super) idle_permits: AtomicU32,
    pub(super) failures_in_row: AtomicU32,
    /// Milliseconds since [`Live`]'s epoch; 0 is "not aside".
    pub(super) aside_until: AtomicU64,
    unhealthy: AtomicBool,
}

/// Where workers keep what they hold for a piece of state: an index that is reused, and a number that is not.
#[derive(Debug)]
pub(super) struct StateKey {
    /// Dense, reused after the state is gone.
    pub(super) index: usize,
    /// Never reused.
    pub(super) serial: u64,
    slots: Arc<Slots>,
}

#[derive(Debug, Default)]
struct Slots {
    free: Mutex<FreeSlots>,
}

#[derive(Debug, Default)]
struct FreeSlots {
    returned: Vec<usize>,
    next: usize,
    serial: u64,
}

/// What connections of a cluster were made with; a change makes the old ones unusable.
#[derive(Debug, Default)]
struct Transport {
    generation: u64,
    made_with: Option<(Protocol, Option<Arc<UpstreamTls>>)>,
}

impl Live {
    /// State whose clusters are counted into `series`.
    pub fn counting_into(series: Clusters) -> Self {
        Self { series, ..Self::default() }
    }

    /// The state of cluster `id`, made when nobody holds it.
    pub(super) fn cluster(&self, id: &ClusterId) -> Arc<ClusterLive> {
        let mut table = lock(&self.clusters);
        if let Some(cluster) = table.by_id.get(id).and_then(Weak::upgrade) {
            return cluster;
        }
        table.sweep();
        let cluster = Arc::new(ClusterLive::new(id.clone(), self.slots.take()));
        table.by_id.insert(id.clone(), Arc::downgrade(&cluster));
        cluster
    }

    /// The state of `address` in `cluster`, made when nobody holds it.
    pub(super) fn endpoint(&self, cluster: &ClusterLive, address: &EndpointAddress) -> Arc<EndpointState> {
        let mut endpoints = lock(&cluster.endpoints);
        if let Some(state) = endpoints.get(address).and_then(Weak::upgrade) {
            return state;
        }
        endpoints.retain(|_, state| state.strong_count() > 0);
        let state = Arc::new(EndpointState::new(self.slots.take()));
        endpoints.insert(address.clone(), Arc::downgrade(&state));
        state
    }

    /// Milliseconds since this state was made; at least 1, so that 0 can mean "never".
    pub(super) fn now(&self) -> u64 {
        millis(Instant::now().saturating_duration_since(self.epoch)) + 1
    }

    /// Shows every cluster that some plan still uses: for metrics and the admin API.
    pub fn for_each_cluster(&self, mut show: impl FnMut(&ClusterId, &ClusterLive)) {
        let clusters: Vec<_> = lock(&self.clusters).by_id.values().filter_map(Weak::upgrade).collect();
        clusters.iter().for_each(|cluster| show(&cluster.id, cluster));
    }

    /// Shows every endpoint that some plan still uses: for metrics and the admin API.
    pub fn for_each_endpoint(&self, mut show: impl FnMut(&ClusterId, &EndpointAddress, &EndpointState)) {
        self.for_each_cluster(|id, cluster| cluster.for_each_endpoint(|address, state| show(id, address, state)));
    }

    /// Whether `state` was put aside by failures of real requests and is so still.
    pub fn is_aside(&self, state: &EndpointState) -> bool {
        passive::is_aside(state, || self.now())
    }
}

impl ClusterTable {
    fn sweep(&mut self) {
        if self.by_id.len() >= self.sweep_at {
            self.by_id.retain(|_, cluster| cluster.strong_count() > 0);
            self.sweep_at = self.by_id.len() * 2 + 64;
        }
    }
}

impl ClusterLive {
    fn new(id: ClusterId, key: StateKey) -> Self {
        Self {
            id,
            key,
            endpoints: Mutex::default(),
            transport: Mutex::default(),
            budget: Mutex::default(),
            retries: AtomicU64::new(0),
            budget_refusals: AtomicU64::new(0),
        }
    }

    pub(super) fn key(&self) -> &StateKey {
        &self.key
    }

    /// A number that changes whenever connections made before must not be used any more.
    pub(super) fn transport(&self, protocol: Protocol, tls: Option<&Arc<UpstreamTls>>) -> u64 {
        let mut transport = lock(&self.transport);
        let wanted = (protocol, tls.cloned());
        if transport.made_with.as_ref() != Some(&wanted) {
            transport.generation += 1;
            transport.made_with = Some(wanted);
        }
        transport.generation
    }

    /// Requests sent to any endpoint, repetitions included.
    pub fn requests(&self) -> u64 {
        let mut sum = 0;
        self.for_each_endpoint(|_, state| sum += state.requests());
        sum
    }

    /// Tries after the first.
    pub fn retries(&self) -> u64 {
        self.retries.load(Relaxed)
    }

    /// Tries that the retry budget did not allow.
    pub fn budget_refusals(&self) -> u64 {
        self.budget_refusals.load(Relaxed)
    }

    pub(super) fn count_retry(&self) {
        self.retries.fetch_add(1, Relaxed);
    }

    /// Whether the budget pays for one more try at `now` (of [`Live::now`]).
    pub(super) fn withdraw(&self, now: u64, percent: u32) -> bool {
        let requests = self.requests();
        let allowed = lock(&self.budget).withdraw(Duration::from_millis(now), requests, percent);
        if !allowed {
            self.budget_refusals.fetch_add(1, Relaxed);
        }
        allowed
    }

    /// Whether the budget pays for a try that a middleware of a `worker` wants to be made; it is counted then.
    pub fn pay_retry(&self, worker: &Worker) -> bool {
        let shared = &worker.shared;
        let paid = self.withdraw(shared.live.upstream.now(), shared.settings.upstream.retry_budget_percent);
        if paid {
            self.count_retry();
        }
        paid
    }

    /// Shows every endpoint that some plan still uses.
    pub fn for_each_endpoint(&self, mut show: impl FnMut(&EndpointAddress, &EndpointState)) {
        let endpoints = lock(&self.endpoints);
        for (address, state) in endpoints.iter() {
            if let Some(state) = state.upgrade() {
                show(address, &state);
            }
        }
    }
}

impl EndpointState {
    fn new(key: StateKey) -> Self {
        Self {
            key,
            requests: AtomicU64::new(0),
            in_flight: AtomicU32::new(0),
            connect_errors: AtomicU64::new(0),
            ejections: AtomicU64::new(0),
            idle_permits: AtomicU32::new(0),
            failures_in_row: AtomicU32::new(0),
            aside_until: AtomicU64::new(0),
            unhealthy: AtomicBool::new(false),
        }
    }

    pub(super) fn key(&self) -> &StateKey {
        &self.key
    }

    /// Requests sent.
    pub fn requests(&self) -> u64 {
        self.requests.load(Relaxed)
    }

    /// Requests under way; counted only where balancing asks for it ([`super::balance::power_of_two`]).
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    /// Connections that could not be made.
    pub fn connect_errors(&self) -> u64 {
        self.connect_errors.load(Relaxed)
    }

    /// Times that failures of real requests put the endpoint aside.
    pub fn ejections(&self) -> u64 {
        self.ejections.load(Relaxed)
    }

    /// Whether probes say that it must not be used.
    pub fn is_unhealthy(&self) -> bool {
        self.unhealthy.load(Relaxed)
    }

    pub(super) fn set_unhealthy(&self, unhealthy: bool) {
        self.unhealthy.store(unhealthy, Relaxed);
    }

    pub(super) fn count_request(&self) {
        self.requests.fetch_add(1, Relaxed);
    }

    pub(super) fn count_connect_error(&self) {
        self.connect_errors.fetch_add(1, Relaxed);
    }

    /// A real request failed at `now` for a reason that speaks against the endpoint.
    pub(super) fn failed(&self, policy: &PassiveHealth, now: u64) {
        if passive::failed(self, policy, now) {
            self.ejections.fetch_add(1, Relaxed);
        }
    }

    /// A real request was answered.
    pub(super) fn succeeded(&self) {
        passive::succeeded(self);
    }
}

/// Counts a request as under way for as long as it lives.
#[derive(Debug)]
pub(super) struct InFlight(Arc<EndpointState>);

impl InFlight {
    pub(super) fn new(state: &Arc<EndpointState>) -> Self {
        state.in_flight.fetch_add(1, Relaxed);
        Self(state.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}

impl Slots {
    fn take(self: &Arc<Self>) -> StateKey {
        let mut free = lock(&self.free);
        free.serial += 1;
        let serial = free.serial;
        let index = free.returned.pop().unwrap_or_else(|| {
            free.next += 1;
            free.next - 1
        });
        StateKey { index, serial, slots: self.clone() }
    }
}

impl Drop for StateKey {
    fn drop(&mut self) {
        lock(&self.slots.free).returned.push(self.index);
    }
}

/// A panic elsewhere leaves these tables consistent: nothing in them spans two statements.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
