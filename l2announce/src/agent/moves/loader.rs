//! Puts flows into the kernel, on a thread of its own: many take longer than a heartbeat may wait.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::Duration,
};

use tokio::sync::mpsc::UnboundedSender;

use super::{neighbourhood::At, round::Told};
use crate::{
    kernel::{self, Flow, Kernel},
    wire::MacAddr,
};

/// How long connections that no list has yet are not reset.
const HOLD: Duration = Duration::from_millis(1500);
/// Flows that are loaded while others wait for the kernel.
const AT_ONCE: usize = 2000;

/// What is to be done.
#[derive(Debug)]
pub(super) enum Job {
    /// Hand back what was told of the addresses.
    Load {
        addresses: BTreeSet<IpAddr>,
        told: Vec<Told>,
        lasts: Duration,
        /// The addresses are about to be announced.
        is_move: bool,
    },
    /// Hand nothing of the addresses back any more.
    Forget { addresses: BTreeSet<IpAddr> },
    /// Hand nothing back to this node any more.
    Clear { link: Arc<str>, mac: MacAddr },
}

/// What was done.
#[derive(Debug)]
pub(in crate::agent) struct Loaded {
    /// May be announced.
    pub(super) prepared: BTreeSet<IpAddr>,
    /// How many flows are handed back.
    pub(super) held: usize,
    /// Something could not be done; it was said.
    pub(super) has_failed: bool,
}

/// The thread.
#[derive(Debug)]
pub(super) struct Loader {
    jobs: mpsc::Sender<Job>,
    thread: thread::JoinHandle<()>,
}

impl Loader {
    pub(super) fn start(kernel: Arc<Mutex<Kernel>>, done: UnboundedSender<Loaded>) -> io::Result<Self> {
        let (jobs, ordered) = mpsc::channel();
        let mut held = Held { kernel, flows: BTreeMap::new(), has_failed: false };
        let thread = thread::Builder::new().name("flows".to_owned()).spawn(move || {
            for job in ordered {
                // Who is to be told may have ended.
                let _ended = done.send(held.carry_out(job));
            }
        })?;
        Ok(Self { jobs, thread })
    }

    pub(super) fn order(&self, job: Job) {
        // The thread runs as long as this is there.
        let _ended = self.jobs.send(job);
    }

    pub(super) fn stop(self) {
        drop(self.jobs);
        let _panicked = self.thread.join();
    }
}

/// What this process has put into the kernel.
struct Held {
    kernel: Arc<Mutex<Kernel>>,
    flows: BTreeMap<At, BTreeSet<Flow>>,
    has_failed: bool,
}

impl Held {
    fn carry_out(&mut self, job: Job) -> Loaded {
        self.has_failed = false;
        let prepared = match job {
            Job::Load { addresses, told, lasts, is_move } => {
                self.load(&addresses, &told, lasts, is_move);
                if is_move { addresses } else { BTreeSet::new() }
            }
            Job::Forget { addresses } => {
                let all: Vec<At> = self.flows.keys().cloned().collect();
                all.iter().for_each(|at| self.drop_other(at, &addresses, &BTreeSet::new()));
                BTreeSet::new()
            }
            Job::Clear { link, mac } => {
                self.flows.remove(&(link.clone(), mac));
                self.with("end the handing back of flows", |kernel| kernel.clear(&link, mac));
                BTreeSet::new()
            }
        };
        self.flows.retain(|_, flows| !flows.is_empty());
        Loaded { prepared, held: self.flows.values().map(BTreeSet::len).sum(), has_failed: self.has_failed }
    }

    fn load(&mut self, addresses: &BTreeSet<IpAddr>, told: &[Told], lasts: Duration, is_move: bool) {
        if is_move {
            self.with("hold resets", |kernel| kernel.hold_resets(addresses, HOLD));
            // What is left of an earlier move ends sooner than it should now.
            let all: Vec<At> = self.flows.keys().cloned().collect();
            all.iter().for_each(|at| self.drop_other(at, addresses, &BTreeSet::new()));
        }
        for told in told {
            let flows: BTreeSet<Flow> =
                told.flows.iter().filter(|flow| addresses.contains(&flow.local().ip())).copied().collect();
            for at in &told.places {
                if told.is_whole {
                    self.drop_other(at, addresses, &flows);
                }
                self.add(at, &flows, lasts);
            }
        }
    }

    /// Those of `addresses` that are not among `flows` end.
    fn drop_other(&mut self, at: &At, addresses: &BTreeSet<IpAddr>, flows: &BTreeSet<Flow>) {
        let Some(held) = self.flows.get_mut(at) else { return };
        let is_over = |flow: &&Flow| addresses.contains(&flow.local().ip()) && !flows.contains(*flow);
        let over: Vec<Flow> = held.iter().filter(is_over).copied().collect();
        held.retain(|flow| !is_over(&flow));
        for part in over.chunks(AT_ONCE) {
            self.with("end the handing back of flows", |kernel| kernel.drop_flows(&at.0, at.1, part.iter().copied()));
        }
    }

    fn add(&mut self, at: &At, flows: &BTreeSet<Flow>, lasts: Duration) {
        if flows.is_empty() {
            return;
        }
        if !self.flows.contains_key(at) {
            // A process before this one may have left some, which end sooner.
            self.with("end the handing back of flows", |kernel| kernel.clear(&at.0, at.1));
        }
        let held = self.flows.entry(at.clone()).or_default();
        let new: Vec<Flow> = flows.difference(held).copied().collect();
        for part in new.chunks(AT_ONCE) {
            let added = self
                .with("hand flows back", |kernel| kernel.hand_back(&at.0, at.1, part.iter().copied(), lasts).map(drop));
            if added {
                self.flows.entry(at.clone()).or_default().extend(part);
            }
        }
    }

    /// One thing is done in the kernel; others get their turn between two.
    fn with(&mut self, doing: &str, act: impl FnOnce(&mut Kernel) -> Result<(), kernel::Error>) -> bool {
        let done = act(&mut self.kernel.lock().unwrap_or_else(PoisonError::into_inner));
        if let Err(error) = &done {
            self.has_failed = true;
            tracing::warn!(%error, doing, "the connections of an address that has moved may be reset");
        }
        done.is_ok()
    }
}
