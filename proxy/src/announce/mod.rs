//! The wire between what is published and the agent that announces: what of the snapshot should be announced goes there,
//! with why it must not be; who owns what comes back for the admin server. Who owns what is decided in `l2announce`.

mod account;
mod pulse;
mod wish;

use std::{
    path::Path,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use postern_config::{
    kubernetes::announced::Account,
    model::cluster_key::{ClusterKey, ClusterKeys},
    provider::kubernetes::peers,
};
use postern_l2announce::{
    agent::{self, Agent, Inputs, Shown, Wishes},
    election::State,
    heartbeat::{Installation, Keys, Readiness},
};
use tokio::sync::{mpsc, watch};

use self::{account::Accounts, pulse::Pulse, wish::Announcements};
use crate::{
    listener::Status,
    settings::Settings,
    worker::{Shared, WorkerHandle},
};

/// How often it is seen whether workers run, and what is shown is brought up to date.
const LOOK: Duration = Duration::from_millis(250);

/// How long to wait for listeners before addresses are announced that need none.
const PATIENCE: Duration = Duration::from_secs(5);

/// What an operator may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Give away what this node owns, and take nothing.
    Drain,
    /// Take part again.
    Undrain,
    /// Move addresses to where they would be, had all nodes been there from the start.
    Rebalance,
}

/// Which of the processes of this node announces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// This one, as soon as no other does.
    #[default]
    Here,
    /// A successor.
    Succeeded,
    /// None: the node gives everything away.
    Leaving,
}

/// The side that the rest of the process sees.
#[derive(Debug)]
pub struct Vips {
    shown: watch::Sender<Arc<Shown>>,
    phase: watch::Sender<Phase>,
    commands: mpsc::UnboundedSender<Command>,
    account: watch::Sender<Option<Arc<Account>>>,
    /// Whether announcing is one of this process's roles.
    pub enabled: bool,
}

impl Vips {
    /// Who owns what, as this node sees it; empty while nothing is announced.
    pub fn shown(&self) -> Arc<Shown> {
        self.shown.borrow().clone()
    }

    /// What the holder of the Lease is to know of it; nothing as long as nothing is announced.
    pub fn account(&self) -> watch::Receiver<Option<Arc<Account>>> {
        self.account.subscribe()
    }

    /// Asks for it.
    pub fn ask(&self, command: Command) {
        // An error means that nothing is announced any more.
        let _ended = self.commands.send(command);
    }

    /// Resolves once this process answers for no address that another node could take.
    pub async fn left(&self) {
        let mut shown = self.shown.subscribe();
        let _ended = shown.wait_for(|shown| !answers(shown)).await;
    }

    /// A successor has the sockets, and goes on announcing.
    pub fn succeed(&self) {
        self.phase.send_replace(Phase::Succeeded);
    }

    /// The successor has gone: this process announces again.
    pub fn resume(&self) {
        self.go_over(Phase::Succeeded, Phase::Here);
    }

    /// The process is on its way out: other nodes take what it owns, unless a successor has it. True if there is something
    /// that they could take.
    pub fn leave(&self) -> bool {
        self.go_over(Phase::Here, Phase::Leaving) && answers(&self.shown.borrow())
    }

    /// Nothing changes in another phase than `from`. True if it did.
    fn go_over(&self, from: Phase, to: Phase) -> bool {
        self.phase.send_if_modified(|phase| {
            let changes = *phase == from;
            if changes {
                *phase = to;
            }
            changes
        })
    }
}

fn answers(shown: &Shown) -> bool {
    let others = shown.peers.values().any(|peer| peer.readiness == Readiness::Ready);
    others && shown.addresses.values().any(|it| matches!(it.view.state, State::Owned | State::Offered(_)))
}

/// What decides whether addresses may be announced.
pub struct Served {
    /// Plan and settings.
    pub shared: Arc<Shared>,
    /// What is bound.
    pub listeners: Arc<ArcSwap<Status>>,
    /// Whether everything that was listed at start is in force.
    pub programmed: Box<dyn Fn() -> bool>,
}

/// The side that works.
#[derive(Debug)]
pub struct Announcer {
    vips: Arc<Vips>,
    commands: mpsc::UnboundedReceiver<Command>,
    keys: Option<watch::Receiver<peers::Keys>>,
}

/// Both sides. `keys` are those of the link between nodes, where there is one.
pub fn new(settings: &Settings, keys: Option<watch::Receiver<peers::Keys>>) -> (Arc<Vips>, Announcer) {
    let (commands, asked) = mpsc::unbounded_channel();
    let vips = Arc::new(Vips {
        shown: watch::Sender::default(),
        phase: watch::Sender::default(),
        account: watch::Sender::default(),
        commands,
        enabled: settings.roles.announce,
    });
    (vips.clone(), Announcer { vips, commands: asked, keys })
}

/// What the agent is told, from here.
struct Tell {
    wishes: watch::Sender<Option<Arc<Wishes>>>,
    keys: watch::Sender<Option<Keys>>,
    unserved: watch::Sender<Option<Arc<str>>>,
    readiness: watch::Sender<Readiness>,
}

impl Tell {
    fn inputs(&self) -> Inputs {
        Inputs {
            wishes: self.wishes.subscribe(),
            keys: self.keys.subscribe(),
            unserved: self.unserved.subscribe(),
            readiness: self.readiness.subscribe(),
        }
    }
}

impl Announcer {
    /// Announces what is published, as long as the process lives. `plans` tells of each new plan.
    pub async fn run(mut self, served: Served, mut plans: watch::Receiver<u64>, workers: Vec<WorkerHandle>) {
        if !self.vips.enabled {
            return std::future::pending().await;
        }
        let settings = served.shared.settings.clone();
        let tell = Tell {
            wishes: watch::Sender::default(),
            keys: watch::Sender::new(self.current_keys(&settings)),
            unserved: watch::Sender::default(),
            readiness: watch::Sender::default(),
        };
        let mut phase = self.vips.phase.subscribe();
        let mut pulse = Pulse::of(workers);
        let mut accounts = Accounts::new(self.vips.account.clone());
        let mut agent: Option<Agent> = None;
        let mut look = tokio::time::interval(LOOK);
        let started = Instant::now();
        let mut told = None;
        loop {
            let now = *phase.borrow_and_update();
            // What it serves on its way out is decided: it gives everything away, and drains then.
            if now != Phase::Leaving {
                self.tell(&served, &tell, &mut told, &pulse);
            }
            let begins = serves_or_never_will(&served) || started.elapsed() >= PATIENCE;
            agent = if begins || agent.is_some() { self.in_phase(now, agent, &settings, &tell) } else { None };
            let mut news = agent.as_ref().map(Agent::shown);
            if let Some(news) = &mut news {
                let shown = news.borrow_and_update().clone();
                accounts.tell(&shown);
                self.vips.shown.send_replace(shown);
            }
            tokio::select! {
                Ok(()) = plans.changed() => {}
                Ok(()) = phase.changed() => {}
                Some(command) = self.commands.recv() => obey(command, agent.as_ref(), &tell),
                () = changed(&mut self.keys) => {
                    tell.keys.send_replace(self.current_keys(&settings));
                }
                () = changed(&mut news), if now == Phase::Leaving => {}
                _ = look.tick() => pulse.feel(),
            }
        }
    }

    /// `told` are the announcements that the agent knows: they change with a plan alone, and this is called several times a
    /// second.
    fn tell(&self, served: &Served, tell: &Tell, told: &mut Option<Announcements>, pulse: &Pulse) {
        let plan = served.shared.plan.load();
        let announcements = &plan.snapshot.announcements;
        if (served.programmed)() && !told.as_ref().is_some_and(|told| told.ptr_eq(announcements)) {
            *told = Some(announcements.clone());
            let wishes = wish::wishes(announcements);
            tell.wishes.send_if_modified(|told| {
                let changes = told.as_deref() != Some(&wishes);
                if changes {
                    *told = Some(Arc::new(wishes));
                }
                changes
            });
        }
        let unserved = unserved(served, pulse);
        tell.unserved.send_if_modified(|told| std::mem::replace(told, unserved.clone()) != unserved);
    }

    /// The agent as it should be in `phase`. There is none before there is something to announce, or left to undo.
    fn in_phase(&self, phase: Phase, agent: Option<Agent>, settings: &Settings, tell: &Tell) -> Option<Agent> {
        match (phase, agent) {
            (Phase::Here, None) if is_needed(settings, &tell.wishes) => {
                match Agent::start(told_once(settings), tell.inputs()) {
                    Ok(agent) => Some(agent),
                    Err(error) => {
                        tracing::error!(%error, "addresses cannot be announced: no thread can be had; trying on");
                        None
                    }
                }
            }
            (Phase::Succeeded, Some(agent)) => {
                agent.hand_over();
                None
            }
            (Phase::Leaving, Some(agent)) => {
                agent.leave();
                Some(agent)
            }
            (_, agent) => agent,
        }
    }

    /// Those of the link, or the operator's.
    fn current_keys(&self, settings: &Settings) -> Option<Keys> {
        let of_link = self.keys.as_ref().and_then(|keys| match &*keys.borrow() {
            peers::Keys::Known(keys) => Some(keys.clone()),
            peers::Keys::Unknown | peers::Keys::Absent | peers::Keys::Bad => None,
        });
        let own = || settings.cluster_key.clone().map(|current| ClusterKeys { current, previous: None });
        let keys = of_link.or_else(own)?;
        Some(Keys::new(keys.current.bytes(), keys.previous.as_ref().map(ClusterKey::bytes)))
    }
}

fn is_needed(settings: &Settings, wishes: &watch::Sender<Option<Arc<Wishes>>>) -> bool {
    let wishes = wishes.borrow();
    let left = || Path::new(&settings.vips.directory).join("addresses").exists();
    wishes.as_ref().is_some_and(|wishes| !wishes.is_empty() || left())
}

fn told_once(settings: &Settings) -> agent::Settings {
    let vips = &settings.vips;
    // Who is not of the same cluster has another key: the name is for those who wonder whose heartbeats they see.
    let installation = settings.cluster.scope.lease_namespace.as_deref().unwrap_or("postern");
    agent::Settings {
        node: settings.node_name(),
        installation: Installation::named(installation),
        profile: vips.profile,
        port: vips.port,
        exclude: vips.exclude.clone(),
        refresh: vips.refresh,
        notrack: vips.notrack,
        hand_back: vips.hand_back,
        drain: settings.drain_deadline,
        directory: vips.directory.clone(),
    }
}

fn obey(command: Command, agent: Option<&Agent>, tell: &Tell) {
    match command {
        Command::Drain => drop(tell.readiness.send_replace(Readiness::Draining)),
        Command::Undrain => drop(tell.readiness.send_replace(Readiness::Ready)),
        Command::Rebalance => agent.into_iter().for_each(Agent::rebalance),
    }
}

/// Why what arrives at addresses that Postern serves would not be served.
fn unserved(served: &Served, pulse: &Pulse) -> Option<Arc<str>> {
    if !served.shared.settings.roles.serve {
        return Some("serve is none of this process's roles".into());
    }
    if served.shared.observing.load(Relaxed) {
        return Some("another edge serves here, and Postern observes".into());
    }
    if !(served.programmed)() {
        return Some("no objects are in force yet".into());
    }
    let status = served.listeners.load();
    if status.bound.is_empty() {
        let why = status.problems.first().map_or_else(|| "nothing asks for a listener".to_owned(), ToString::to_string);
        return Some(format!("nothing is bound: {why}").into());
    }
    pulse.trouble()
}

/// What a predecessor hands over is lost if the agent begins with the word that nothing is served.
fn serves_or_never_will(served: &Served) -> bool {
    let is_observing = served.shared.observing.load(Relaxed);
    !served.shared.settings.roles.serve || is_observing || !served.listeners.load().bound.is_empty()
}

/// Never, where there is nothing that could.
async fn changed<T>(input: &mut Option<watch::Receiver<T>>) {
    if let Some(input) = input
        && input.changed().await.is_ok()
    {
        return;
    }
    std::future::pending().await
}
