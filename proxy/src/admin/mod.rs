//! Shows state; changes nothing but the log level and the begin of a drain. Lives on the control runtime.
//!
//! Questions come in through the doors of [`door`], [`server`] takes connections, [`guard`] decides who may ask, [`api`]
//! answers, [`traefik`] and [`dashboard`] beside it, [`crate::view`] says what is shown.

mod api;
mod berth;
mod dashboard;
mod door;
mod guard;
mod inside;
mod server;
mod socket;
mod traefik;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use postern_config::{
    kubernetes::object::Kind,
    provider::kubernetes::{Counts, takeover::Takeover},
    report::Report,
};
use tokio::sync::{Notify, watch};

pub use berth::Berth;
pub use door::{DoorError, Doors};
pub use inside::open as open_inside;

use crate::{announce::Vips, listener::Status, peer, telemetry::log::LevelControl, worker::Shared};

/// What the admin server shows, kept up to date by `app`.
pub struct State {
    /// Plan, counters, live state.
    pub shared: Arc<Shared>,
    /// The newest verdicts.
    pub report: ArcSwap<Report>,
    /// What is bound.
    pub listeners: Arc<ArcSwap<Status>>,
    /// What is done beside other products, once that is decided.
    pub takeover: watch::Receiver<Option<Arc<Takeover>>>,
    /// The link to other nodes, where there is one.
    pub peers: Option<Arc<peer::Status>>,
    /// Virtual addresses.
    pub vips: Arc<Vips>,
    /// Changes the log level.
    pub log_level: LevelControl,
    /// When the process was started.
    pub started: Timestamp,
    /// What is counted of the cluster's API, where objects come from there.
    pub cluster: Option<Arc<Counts>>,
    /// Asked through the API to drain.
    pub drain: Notify,
    draining: AtomicBool,
    programmed: AtomicBool,
    was_ready: AtomicBool,
}

impl State {
    /// A node that serves nothing yet.
    pub fn new(
        shared: Arc<Shared>,
        listeners: Arc<ArcSwap<Status>>,
        takeover: watch::Receiver<Option<Arc<Takeover>>>,
        peers: Option<Arc<peer::Status>>,
        vips: Arc<Vips>,
        log_level: LevelControl,
        cluster: Option<Arc<Counts>>,
    ) -> Self {
        Self {
            shared,
            report: ArcSwap::default(),
            listeners,
            takeover,
            peers,
            vips,
            log_level,
            started: Timestamp::now(),
            cluster,
            drain: Notify::new(),
            draining: AtomicBool::new(false),
            programmed: AtomicBool::new(false),
            was_ready: AtomicBool::new(false),
        }
    }

    /// Every object that was listed at start is in the plan that workers read.
    pub fn set_programmed(&self) {
        self.programmed.store(true, Relaxed);
    }

    /// Whether it is so.
    pub fn is_programmed(&self) -> bool {
        self.programmed.load(Relaxed)
    }

    /// Whether this node serves: it is one of its roles, and it does not merely observe what another edge does, once that
    /// is decided. `false` too where it
    /// never is: nobody follows objects then.
    pub async fn serves(&self) -> bool {
        let mut takeover = self.takeover.clone();
        let decided = takeover.wait_for(Option::is_some).await;
        let owns = |takeover: &Arc<Takeover>| !takeover.decision.observes();
        self.shared.settings.roles.serve && decided.is_ok_and(|decided| decided.as_ref().is_some_and(owns))
    }

    /// What is done beside other products; `None`: not decided yet.
    pub fn takeover(&self) -> Option<Arc<Takeover>> {
        self.takeover.borrow().clone()
    }

    /// The node is on its way out: no longer ready, whatever else holds.
    pub fn set_draining(&self) {
        self.draining.store(true, Relaxed);
    }

    /// Whether the node is on its way out.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Relaxed)
    }

    /// Whether traffic may come: the objects listed at start are programmed and their listeners bound. What goes wrong
    /// later costs only itself, so it does not take the node out of service. A node that merely observes is ready when it
    /// can say what it would serve, so that it can be rolled out; one that was asked to own and may not never is, so that a
    /// rolling update stops before it takes away the edge of the next node.
    pub fn is_ready(&self) -> bool {
        if self.is_draining() || !self.refusals().is_empty() {
            return false;
        }
        let ready = self.was_ready.load(Relaxed) || self.first_ready();
        if ready {
            self.was_ready.store(true, Relaxed);
        }
        ready
    }

    fn first_ready(&self) -> bool {
        let status = self.listeners.load();
        let bound = |key| status.bound.iter().any(|(bound, _)| bound == key);
        self.programmed.load(Relaxed)
            && status.problems.is_empty()
            && (self.shared.observing.load(Relaxed) || self.shared.plan.load().snapshot.listeners.keys().all(bound))
    }

    /// Why what was asked to be owned is not.
    fn refusals(&self) -> Vec<String> {
        let takeover = self.takeover();
        takeover.iter().flat_map(|takeover| takeover.decision.refusals()).map(|ruling| ruling.why.clone()).collect()
    }

    /// Why the node is not ready, in one line.
    pub fn not_ready_because(&self) -> String {
        if self.is_draining() {
            return "draining".to_owned();
        }
        let refusals = self.refusals();
        if !refusals.is_empty() {
            return refusals.join("; ");
        }
        if self.takeover().is_none() {
            return "the objects listed at start are not programmed yet: the API server does not answer, and nothing says \
                    whether another edge runs"
                .to_owned();
        }
        if !self.programmed.load(Relaxed) {
            return format!("the objects listed at start are not programmed yet{}", self.awaited());
        }
        let status = self.listeners.load();
        let problems: Vec<_> = status.problems.iter().map(ToString::to_string).collect();
        if problems.is_empty() { "listeners are not bound yet".to_owned() } else { problems.join("; ") }
    }

    /// The kinds of objects that the cluster has not listed yet, and what keeps them; empty where there are none.
    fn awaited(&self) -> String {
        let tally = self.cluster.as_ref().map(|counts| counts.tally()).unwrap_or_default();
        let one = |(kind, trouble): (Kind, Option<&str>)| match trouble {
            Some(trouble) => format!("{} ({trouble})", kind.as_str()),
            None => kind.as_str().to_owned(),
        };
        let awaited: Vec<_> = tally.awaited().map(one).collect();
        if awaited.is_empty() { String::new() } else { format!("; waiting for {}", awaited.join(", ")) }
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("ready", &self.is_ready()).finish_non_exhaustive()
    }
}
