//! A worker: one thread, one current-thread runtime, its own sockets, pools and metric shard.
//!
//! No task on a worker runs longer than about 200 µs without yielding; what takes longer goes to [`Shared::offload`].

mod inside;
mod threads;

use std::{
    cell::RefCell,
    rc::Rc,
    sync::{Arc, atomic::AtomicBool},
};

use arc_swap::ArcSwap;
use http::HeaderValue;
pub use inside::{Ask, Inside};
pub use threads::{WorkerHandle, Workers};

use crate::{
    listener,
    plan::{Live, Plan},
    settings::Settings,
    telemetry::{access_log, metrics, rarely::Rarely},
    upstream,
};

/// What all workers share.
pub struct Shared {
    /// The current plan. Workers read it through a cache of their own.
    pub plan: Arc<ArcSwap<Plan>>,
    /// What the operator said.
    pub settings: Arc<Settings>,
    /// This host's name, as X-Forwarded-Server says it.
    pub server_name: HeaderValue,
    /// State that outlives plans.
    pub live: Live,
    /// Counters of the whole process: one shard per worker.
    pub metrics: Arc<metrics::Metrics>,
    /// Runs what would hold a worker up (password hashes, heavy compression): bounded.
    pub offload: tokio::runtime::Handle,
    /// Another edge serves here, and this process only reports what it would do: no socket is bound, no backend probed.
    pub observing: AtomicBool,
    /// Answers for routes that lead to Postern itself.
    pub inside: Inside,
}

/// One worker's own things. Lives in an `Rc`; never crosses threads.
pub struct Worker {
    /// From 0.
    pub index: usize,
    /// What all share.
    pub shared: Arc<Shared>,
    /// Pools and cursors.
    pub upstream: upstream::WorkerState,
    /// Connections and TLS configurations.
    pub listeners: listener::WorkerState,
    /// This worker's access-log queue.
    pub access_log: access_log::Queue,
    /// Lines about clients that break a limit or the protocol.
    pub offences: Rarely,
    plan: RefCell<PlanCache>,
}

/// A plan as requests hold it: counted per worker, so that cores do not fight for one counter.
pub type PlanRef = Rc<Arc<Plan>>;

struct PlanCache {
    newest: arc_swap::Cache<Arc<ArcSwap<Plan>>, Arc<Plan>>,
    held: PlanRef,
}

impl Worker {
    /// A worker without connections.
    pub fn new(index: usize, shared: Arc<Shared>, access_log: access_log::Queue) -> Self {
        let mut newest = arc_swap::Cache::new(shared.plan.clone());
        let held = Rc::new(newest.load().clone());
        let plan = RefCell::new(PlanCache { newest, held });
        Self {
            index,
            shared,
            upstream: upstream::WorkerState::default(),
            listeners: listener::WorkerState::default(),
            access_log,
            offences: Rarely::default(),
            plan,
        }
    }

    /// The newest plan: one atomic load when nothing has changed.
    pub fn plan(&self) -> PlanRef {
        let cache = &mut *self.plan.borrow_mut();
        let newest = cache.newest.load();
        if !Arc::ptr_eq(newest, &cache.held) {
            cache.held = Rc::new(newest.clone());
        }
        cache.held.clone()
    }

    /// This worker's metric shard.
    pub fn metrics(&self) -> &metrics::Shard {
        self.shared.metrics.shard(self.index)
    }
}
