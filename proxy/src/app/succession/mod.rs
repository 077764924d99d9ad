//! Who accepts: this process, its predecessor, or its successor. Owns everything that is listened on.
//!
//! ```text
//! start ─> Unsettled ── nobody there, or taken over ──> Settled ── a successor takes ──> resting ─> the end
//!             └─ again every second                        ^────── it dies or hands back ──┘
//! ```
//!
//! One task goes through this, step by step: while it speaks with another process no change of the plan touches a socket,
//! and of two processes that ask at once the second waits.

mod desk;
mod settle;

use std::{convert::Infallible, net::SocketAddr, path::PathBuf, rc::Rc, sync::Arc, time::Duration};

use http::{Request, Response};
use hyper::body::Incoming;
use tokio::sync::{oneshot, watch};

pub(super) use self::desk::Desk;
use crate::{
    admin::State,
    exchange::{Body, Connection},
    handover::{self, Door, Newcomer, Offered, Place, Predecessor, Progress, Purpose, Ready, Refusal, Replaced},
    listener::Listeners,
    telemetry::metrics::HandOver,
    worker::Worker,
};

/// Pause before a socket that could not be bound is tried again.
const RETRY: Duration = Duration::from_secs(3);
/// Pause before a process that has not got its place yet asks for it again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// Everything that is listened on, and the way to those who had it before and will have it next.
pub(super) struct Succession<F> {
    listeners: Listeners<F>,
    desk: Desk,
    state: Arc<State>,
    /// Where processes meet; `None`: they do not.
    meeting: Option<PathBuf>,
    settled: bool,
    door: Option<Door>,
    predecessor: Option<Predecessor>,
}

/// What there is to do.
enum Event {
    Stop,
    Changed,
    Retry,
    Newcomer(Newcomer),
    PredecessorGone,
}

/// How a successor's time came to its end.
enum Outcome {
    Stop,
    Resumed,
}

impl<F, R> Succession<F>
where
    F: Fn(Request<Incoming>, Rc<Connection>, Rc<Worker>) -> R + Clone + Send + 'static,
    R: Future<Output = Response<Body>> + 'static,
{
    /// Nothing is bound yet but what `desk` has.
    pub(super) fn new(listeners: Listeners<F>, desk: Desk, state: Arc<State>) -> Self {
        let meeting = state.shared.settings.handover.socket.clone();
        Self { listeners, desk, state, meeting, settled: false, door: None, predecessor: None }
    }

    /// Where the admin server is, the one for scrapers, and the virtual address.
    pub(super) fn operators(&self) -> [Option<SocketAddr>; 3] {
        [Purpose::Admin, Purpose::Metrics, Purpose::AdminVip].map(|purpose| self.desk.address(purpose))
    }

    /// Brings what is bound in line with the plan. Before the first plan nothing is: a predecessor that has one serves.
    pub(super) async fn attend(&mut self) {
        if self.settled {
            self.listeners.reconcile();
        } else if self.state.is_programmed() {
            self.settle().await;
        }
        self.desk.bind();
    }

    /// Follows the plan and serves successors until `stop` is asked for, or a successor has taken over and the settings
    /// say to leave then, which `replaced` is told.
    pub(super) async fn run(
        &mut self,
        plans: &mut watch::Receiver<u64>,
        mut stop: oneshot::Receiver<Infallible>,
        replaced: oneshot::Sender<()>,
    ) {
        loop {
            match self.next(plans, &mut stop).await {
                Event::Stop => return,
                Event::Changed | Event::Retry => self.attend().await,
                Event::PredecessorGone => {
                    tracing::info!("the predecessor has left");
                    self.predecessor = None;
                    self.listeners.forget_predecessor();
                }
                Event::Newcomer(newcomer) => {
                    let Some(successor) = self.hand_over(newcomer).await else { continue };
                    if self.state.shared.settings.handover.leave {
                        // Nobody listens when the node is on its way out already.
                        let _gone = replaced.send(());
                        return;
                    }
                    match self.rest(successor, plans, &mut stop).await {
                        Outcome::Stop => return,
                        Outcome::Resumed => {}
                    }
                }
            }
        }
    }

    async fn next(&mut self, plans: &mut watch::Receiver<u64>, stop: &mut oneshot::Receiver<Infallible>) -> Event {
        let pause = self.pause();
        tokio::select! {
            biased;
            _ = stop => Event::Stop,
            changed = plans.changed() => if changed.is_ok() { Event::Changed } else { Event::Stop },
            newcomer = newcomer(&mut self.door) => Event::Newcomer(newcomer),
            () = gone(self.predecessor.as_ref()) => Event::PredecessorGone,
            () = wait(pause) => Event::Retry,
        }
    }

    /// After which time to try again what could not be done.
    fn pause(&self) -> Option<Duration> {
        let waits_for_its_place = self.state.is_programmed() && !self.settled;
        if waits_for_its_place || !self.desk.is_complete() {
            return Some(ASK_AGAIN);
        }
        let status = self.listeners.status().load_full();
        // Most likely another process that leaves has it still.
        let is_leaving = |taken: bool| taken && self.meeting.is_some();
        let pause = |taken| if is_leaving(taken) { ASK_AGAIN } else { RETRY };
        status.problems.iter().map(|problem| pause(problem.taken)).min()
    }

    /// Hands over to `newcomer`; `None` when nothing came of it and we accept as before.
    async fn hand_over(&mut self, newcomer: Newcomer) -> Option<Replaced> {
        let handed = match newcomer.is_of_our_version() {
            true => self.offer(newcomer).await,
            false => self.part(newcomer).await,
        };
        match handed {
            Ok(successor) => {
                tracing::info!("another process has taken over; this one serves the connections that it has");
                self.count(HandOver::Replaced);
                self.state.vips.succeed();
                if let Some(predecessor) = self.predecessor.take() {
                    predecessor.retire().await;
                }
                Some(successor)
            }
            Err(error) => {
                tracing::warn!(%error, "another process wanted to take over and did not; this one goes on");
                self.count(HandOver::Failed);
                None
            }
        }
    }

    async fn offer(&mut self, newcomer: Newcomer) -> Result<Replaced, handover::Broken> {
        let offered = self.offered(newcomer.workers);
        tracing::info!(groups = offered.len(), workers = newcomer.workers, "another process asks to take over");
        let ready = handover::offer(newcomer, &offered).await?;
        let places: Vec<_> = offered.iter().map(|offered| offered.place).collect();
        drop(offered);
        let takes = |purpose, port, address| is_taken(&ready, &places, purpose, port, address);
        self.listeners.rest();
        self.desk.rest(|purpose, address| takes(purpose, 0, address));
        let declined: Vec<_> = places.iter().filter(|place| !ready.takes(place)).copied().collect();
        match ready.rested().await {
            Ok(successor) => {
                self.listeners.close(|port, address| {
                    declined.iter().any(|place| is_traffic(place) && (place.port, place.address) == (port, address))
                });
                Ok(successor)
            }
            Err(error) => {
                self.accept_again();
                Err(error)
            }
        }
    }

    /// Gives up what one of another version has bound beside.
    async fn part(&mut self, newcomer: Newcomer) -> Result<Replaced, handover::Broken> {
        tracing::warn!(
            theirs = newcomer.version,
            "another process asks to take over in another version of the hand-over"
        );
        let successor = newcomer.part().await?;
        self.listeners.close(|_, _| true);
        self.desk.release();
        Ok(successor)
    }

    fn offered(&mut self, workers: usize) -> Vec<Offered> {
        let traffic = self.listeners.bequeath(workers).into_iter().map(|heirloom| {
            let (port, address) = (heirloom.port, heirloom.address);
            (Place { purpose: Purpose::Traffic, group: 0, port, address }, heirloom.sockets)
        });
        let places = traffic.chain(self.desk.copies()).zip(0_u16..);
        places.map(|((place, sockets), group)| Offered { place: Place { group, ..place }, sockets }).collect()
    }

    /// Keeps what `successor` accepts on until it is clear that it will not be needed again.
    async fn rest(
        &mut self,
        successor: Replaced,
        plans: &mut watch::Receiver<u64>,
        stop: &mut oneshot::Receiver<Infallible>,
    ) -> Outcome {
        loop {
            tokio::select! {
                biased;
                _ = &mut *stop => return Outcome::Stop,
                progress = successor.progress() => return match progress {
                    Progress::Gone => self.take_back("it has died").await,
                    Progress::HandsBack => {
                        let outcome = self.take_back("it was told to stop").await;
                        successor.resumed().await;
                        outcome
                    }
                    Progress::Retires => self.retire(stop).await,
                },
                newcomer = newcomer(&mut self.door) => refuse(newcomer).await,
                // What the plan wants now is the successor's to bind.
                changed = plans.changed() => if changed.is_err() { return Outcome::Stop },
            }
        }
    }

    async fn take_back(&mut self, why: &str) -> Outcome {
        tracing::warn!("the process that had taken over does not serve any more ({why}): this one accepts again");
        self.count(HandOver::Resumed);
        self.accept_again();
        self.open_door();
        Outcome::Resumed
    }

    fn accept_again(&mut self) {
        self.state.vips.resume();
        self.listeners.resume();
        self.listeners.reconcile();
        self.desk.resume();
    }

    async fn retire(&mut self, stop: &mut oneshot::Receiver<Infallible>) -> Outcome {
        tracing::info!("the process that had taken over was itself replaced");
        self.listeners.renounce();
        self.desk.release();
        self.door = None;
        let _asked = stop.await;
        Outcome::Stop
    }

    /// Gives all up and waits for the connections, as [`Listeners::drain`] does. A predecessor that is still there accepts
    /// again first: an update that is called off refuses nobody.
    pub(super) async fn drain(mut self, at_once: impl Future<Output = ()>) {
        let handed_back = match self.predecessor.take() {
            Some(predecessor) => predecessor.hand_back().await,
            None => false,
        };
        if handed_back {
            tracing::info!("the predecessor accepts again");
        }
        self.door = None;
        self.listeners.drain(handed_back, at_once).await;
    }

    /// From now on successors ask us.
    fn open_door(&mut self) {
        let Some(path) = &self.meeting else { return };
        match Door::open(path, self.state.shared.metrics.clone()) {
            Ok(door) => self.door = Some(door),
            Err(error) => tracing::error!(%error, "the next process will find this one's ports taken"),
        }
    }

    fn count(&self, outcome: HandOver) {
        self.state.shared.metrics.control.handed_over(outcome);
    }
}

fn is_traffic(place: &Place) -> bool {
    place.purpose == Purpose::Traffic
}

fn is_taken(ready: &Ready, places: &[Place], purpose: Purpose, port: u16, address: SocketAddr) -> bool {
    let is_it = |place: &&Place| (place.purpose, place.port, place.address) == (purpose, port, address);
    places.iter().find(is_it).is_some_and(|place| ready.takes(place))
}

async fn refuse(newcomer: Newcomer) {
    tracing::warn!("another process asks to take over from one that was replaced");
    if let Err(error) = newcomer.refuse(Refusal::Busy).await {
        tracing::debug!(%error, "it has gone");
    }
}

async fn newcomer(door: &mut Option<Door>) -> Newcomer {
    match door {
        Some(door) => door.newcomer().await,
        None => std::future::pending().await,
    }
}

async fn gone(predecessor: Option<&Predecessor>) {
    match predecessor {
        Some(predecessor) => predecessor.gone().await,
        None => std::future::pending().await,
    }
}

async fn wait(pause: Option<Duration>) {
    match pause {
        Some(pause) => tokio::time::sleep(pause).await,
        None => std::future::pending().await,
    }
}
