//! The publishing loop: what a provider says → compiler → subscriber, with the time that each stage took.
//!
//! What requests depend on goes first: a batch's changes are compiled and handed over at once; lines of findings, moved
//! origins and what is no object follow in a second output with the same snapshot. Nothing is decided here.

mod lines;
mod log;

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, channel},
    },
    thread,
    time::{Duration, Instant},
};

use imbl::ordmap::DiffItem;
use jiff::Timestamp;
use tokio::sync::{mpsc, watch};

use self::lines::Lines;
use crate::{
    allocation::Ledger,
    compile::{Changed, Compiler, Output},
    kubernetes::{
        convert::Settings,
        event::{self, Tell},
        status,
        store::{Change, Key},
    },
    model::id::ObjectId,
    provider::{
        Batch, Demand, InForce, Records,
        file::{self, DirectoryError, FileProvider},
        kubernetes::{self, ClusterError, Counts, News, Scope, peers::Link, takeover::Takeover},
    },
    report::{Origin, Report, Severity, Verdict},
    snapshot::Snapshot,
};

/// How often certificates are judged anew though nothing was written.
const JUDGE_EVERY: Duration = Duration::from_secs(60);
/// How long an output waits for objects that it refers to and that are not at hand yet.
const ANSWER: Duration = Duration::from_secs(2);
/// Outputs that may wait for the subscriber before publishing waits too.
const WAITING: usize = 8;

/// What should run from now on, and how it came about.
#[derive(Clone, Debug)]
pub struct Published {
    /// What should run.
    pub snapshot: Arc<Snapshot>,
    /// What became of each object.
    pub report: Arc<Report>,
    /// Where `snapshot` differs from the one that was published before; everything, the first time.
    pub changed: Changed,
    /// How it came about.
    pub stages: Stages,
    /// For the cluster, once this is in force: to be handed to [`Publisher::tell`].
    pub in_force: Option<InForce>,
}

/// What a batch cost, by stage.
#[derive(Clone, Copy, Debug)]
pub struct Stages {
    /// When the provider was told of the (first) change.
    pub noticed: Instant,
    /// Reading and parsing.
    pub read: Duration,
    /// Compiling.
    pub compile: Duration,
    /// Files that were read.
    pub files: usize,
    /// Documents that were parsed.
    pub documents: usize,
    /// Objects that changed.
    pub objects: usize,
    /// Units that the compiler recomputed.
    pub recomputed: usize,
}

impl Stages {
    fn none() -> Self {
        let (noticed, none) = (Instant::now(), Duration::ZERO);
        Self { noticed, read: none, compile: none, files: 0, documents: 0, objects: 0, recomputed: 0 }
    }

    fn of(batch: &Batch) -> Self {
        Self {
            noticed: batch.noticed,
            read: batch.took,
            files: batch.files,
            documents: batch.documents,
            objects: batch.changes.len(),
            ..Self::none()
        }
    }

    fn add(&mut self, later: Self) {
        self.noticed = self.noticed.min(later.noticed);
        self.read += later.read;
        self.compile += later.compile;
        self.files += later.files;
        self.documents += later.documents;
        self.objects += later.objects;
        self.recomputed += later.recomputed;
    }
}

impl Published {
    /// Puts `later` in place of this one for a subscriber that has seen neither.
    pub fn merge(&mut self, later: Self) {
        self.snapshot = later.snapshot;
        self.report = later.report;
        self.changed.sockets.extend(later.changed.sockets);
        self.changed.clusters.extend(later.changed.clusters);
        self.changed.middlewares.extend(later.changed.middlewares);
        self.changed.certificates.extend(later.changed.certificates);
        self.changed.addresses.extend(later.changed.addresses);
        self.changed.incomplete |= later.changed.incomplete;
        self.stages.add(later.stages);
        match (&mut self.in_force, later.in_force) {
            (Some(before), Some(later)) => before.merge(later),
            (before @ None, later) => *before = later,
            (Some(_), None) => {}
        }
    }
}

/// Reads and compiles `directory` once, with all lines filled in: for commands that look and leave.
pub fn load_once(directory: &Path, settings: Settings) -> Result<Published, DirectoryError> {
    let batch = FileProvider::open(directory)?.read();
    Ok(Pipeline::new(settings).whole(batch))
}

/// Later outputs; publishing stops when this is dropped.
#[derive(Debug)]
pub struct Publisher {
    outputs: mpsc::Receiver<Published>,
    news: Option<mpsc::UnboundedSender<News>>,
    link: Option<Link>,
    takeover: watch::Receiver<Option<Arc<Takeover>>>,
    counts: Option<Arc<Counts>>,
    _files: Option<file::Watching>,
    /// Dropped with this: the Lease is given back before the process ends.
    _cluster: Option<kubernetes::Watching>,
}

impl Publisher {
    /// The next output; several that wait come as one. `None` when publishing has stopped, which only an error makes it.
    pub async fn next(&mut self) -> Option<Published> {
        let mut next = self.outputs.recv().await?;
        while let Ok(later) = self.outputs.try_recv() {
            next.merge(later);
        }
        Some(next)
    }

    /// What is done beside other products, once that is decided: before the first output.
    pub fn takeover(&self) -> watch::Receiver<Option<Arc<Takeover>>> {
        self.takeover.clone()
    }

    /// What is counted of the cluster's API; `None` where objects come from files.
    pub fn counts(&self) -> Option<Arc<Counts>> {
        self.counts.clone()
    }

    /// What the link between the nodes needs, if there is to be one; once.
    pub fn link(&mut self) -> Option<Link> {
        self.link.take()
    }

    /// Tells whoever shows the cluster what has become of this node.
    pub fn tell(&self, news: News) {
        if let Some(sender) = &self.news {
            // An error means that nobody watches any more.
            let _ended = sender.send(news);
        }
    }
}

/// Reads and compiles `directory`, and publishes again whenever it changes or, by `clock`, a certificate's time comes.
pub fn start(
    directory: &Path,
    settings: Settings,
    clock: fn() -> Timestamp,
) -> Result<(Published, Publisher), DirectoryError> {
    let (send, batches) = channel();
    let (first, watching) = file::watch(directory, move |batch| send.send(batch).is_ok())?;
    let mut pipeline = Pipeline::new(settings);
    let published = pipeline.whole(first);
    log::difference(&Report::default(), &published.report);
    let (outputs, receiver) = mpsc::channel(WAITING);
    let publishing =
        Loop { pipeline, outputs, clock, logged: published.report.clone(), ledger: Ledger::default(), cluster: None };
    let spawned = thread::Builder::new().name("publish".into()).spawn(move || publishing.run(&batches));
    spawned.map_err(|source| DirectoryError::Unreadable { path: directory.to_path_buf(), source })?;
    let takeover = watch::Sender::new(Some(Arc::new(Takeover::of_files()))).subscribe();
    Ok((
        published,
        Publisher {
            outputs: receiver,
            news: None,
            link: None,
            takeover,
            counts: None,
            _files: Some(watching),
            _cluster: None,
        },
    ))
}

/// Compiles what a cluster holds, and publishes again whenever it changes or, by `clock`, a certificate's time comes.
/// The first output comes when it is decided what is done beside other products, everything has been listed, and what
/// it refers to has been fetched.
pub fn start_cluster(scope: Scope, settings: Settings, clock: fn() -> Timestamp) -> Result<Publisher, ClusterError> {
    let (send, batches) = channel();
    let (decide, decisions) = channel();
    let decided = move |takeover| drop(decide.send(takeover));
    let mut watching = kubernetes::watch(scope, settings.clone(), decided, move |batch| send.send(batch).is_ok())?;
    let (news, link, demands) = (Some(watching.news()), watching.link(), watching.demands());
    let counts = Some(watching.counts());
    let (outputs, receiver) = mpsc::channel(WAITING);
    let (tell, takeover) = watch::channel(None);
    let run = move || {
        let Some(decided) = until(&decisions, &outputs) else { return };
        let pipeline = Pipeline::new(decided.apply(settings));
        tell.send_replace(Some(Arc::new(decided)));
        let mut publishing = Loop {
            pipeline,
            outputs,
            clock,
            logged: Arc::default(),
            ledger: Ledger::default(),
            cluster: Some(demands),
        };
        if publishing.begin(&batches) {
            publishing.run(&batches);
        }
    };
    thread::Builder::new().name("publish".into()).spawn(run)?;
    Ok(Publisher { outputs: receiver, news, link, takeover, counts, _files: None, _cluster: Some(watching) })
}

/// The first of `messages`; `None` when nobody listens to `outputs` any more, or none will come.
fn until<T>(messages: &Receiver<T>, outputs: &mpsc::Sender<Published>) -> Option<T> {
    loop {
        match messages.recv_timeout(JUDGE_EVERY) {
            Ok(message) => return Some(message),
            Err(RecvTimeoutError::Timeout) if !outputs.is_closed() => {}
            Err(_) => return None,
        }
    }
}

struct Loop {
    pipeline: Pipeline,
    outputs: mpsc::Sender<Published>,
    clock: fn() -> Timestamp,
    logged: Arc<Report>,
    /// Who had which address when that was last told.
    ledger: Ledger,
    /// Who is asked for objects that matter by reference only; `None` where objects come from files.
    cluster: Option<mpsc::UnboundedSender<Demand>>,
}

impl Loop {
    fn run(mut self, batches: &Receiver<Batch>) {
        let mut judge = Instant::now() + JUDGE_EVERY;
        loop {
            let wanted = match batches.recv_timeout(judge.saturating_duration_since(Instant::now())) {
                Ok(batch) => self.publish(batch, batches),
                Err(RecvTimeoutError::Timeout) => {
                    judge = Instant::now() + JUDGE_EVERY;
                    self.judge(batches)
                }
                Err(RecvTimeoutError::Disconnected) => return,
            };
            if !wanted {
                return;
            }
        }
    }

    /// Publishes the first batch, however long what it refers to takes. Says whether anybody listens.
    fn begin(&mut self, batches: &Receiver<Batch>) -> bool {
        let Some(first) = until(batches, &self.outputs) else { return false };
        self.publish_within(first, batches, Duration::MAX)
    }

    fn publish(&mut self, batch: Batch, waiting: &Receiver<Batch>) -> bool {
        self.publish_within(batch, waiting, ANSWER)
    }

    /// Publishes `batch` and all that wait behind it, when what they refer to is at hand or `patience` has run out.
    /// Says whether anybody listens.
    fn publish_within(&mut self, batch: Batch, waiting: &Receiver<Batch>, patience: Duration) -> bool {
        let (mut published, mut later) = self.pipeline.changes(batch);
        while let Ok(batch) = waiting.try_recv() {
            self.take(batch, &mut published, &mut later);
        }
        self.meet_demand(&mut published, &mut later, waiting, patience);
        let changed = published.stages.objects > 0 || published.changed.incomplete;
        if changed && self.outputs.blocking_send(published).is_err() {
            return false;
        }
        let touched = std::mem::take(&mut later.touched);
        let completed = self.pipeline.complete(later);
        self.tell(completed, touched)
    }

    /// Logs and publishes what is complete, with what the cluster has to know of it. Says whether anybody listens.
    fn tell(&mut self, mut completed: Published, touched: BTreeSet<Key>) -> bool {
        completed.in_force = self.cluster.is_some().then(|| self.in_force(touched, &completed.report));
        log::difference(&self.logged, &completed.report);
        self.logged.clone_from(&completed.report);
        self.ledger.clone_from(self.pipeline.compiler.ledger());
        self.outputs.blocking_send(completed).is_ok()
    }

    /// Asks for what `published` refers to, and takes it in as it comes.
    fn meet_demand(
        &mut self,
        published: &mut Published,
        later: &mut Later,
        batches: &Receiver<Batch>,
        patience: Duration,
    ) {
        let started = Instant::now();
        let mut open = BTreeSet::new();
        loop {
            let demand = std::mem::take(&mut self.pipeline.demand);
            // Files hold all there is: nobody need be asked.
            let Some(cluster) = &self.cluster else { return };
            if !demand.is_empty() {
                let mut gone = Batch::at(published.stages.noticed);
                gone.incomplete = published.snapshot.incomplete;
                gone.changes.extend(demand.unwanted.iter().cloned().map(Change::Remove));
                open.extend(demand.wanted.iter().cloned());
                // An error means that watching has ended, which the next look at batches tells.
                let _ended = cluster.send(demand);
                self.take(gone, published, later);
                continue;
            }
            let left = patience.saturating_sub(started.elapsed());
            let Some(batch) = (!open.is_empty()).then(|| batches.recv_timeout(left).ok()).flatten() else { return };
            open.retain(|key| !batch.answered.contains(key));
            self.take(batch, published, later);
        }
    }

    /// All that changed, `touched` and verdicts alike, with what depends on it.
    fn in_force(&self, mut touched: BTreeSet<Key>, report: &Arc<Report>) -> InForce {
        let compiler = &self.pipeline.compiler;
        let store = compiler.store();
        for change in self.logged.objects.diff(&report.objects) {
            let (DiffItem::Add(id, _) | DiffItem::Update { new: (id, _), .. } | DiffItem::Remove(id, _)) = change;
            touched.extend(Key::named(id));
        }
        if status::others(&self.logged) != status::others(report) || self.logged.bundle != report.bundle {
            touched.extend(status::own_classes(store, self.pipeline.compiler.settings()));
        }
        let ledger = compiler.ledger();
        touched.extend(ledger.difference(&self.ledger).iter().filter_map(Key::named));
        let dependants = touched.iter().flat_map(|key| status::dependants(&key.id(), store));
        let dependants: Vec<_> = dependants.collect();
        touched.extend(dependants);
        touched.retain(|key| status::has_status(key.kind));
        InForce {
            store: store.clone(),
            report: report.clone(),
            touched,
            ledger: ledger.clone(),
            announcements: compiler.announcements().clone(),
            tells: self.tells(report),
        }
    }

    /// What is to be told of all whose verdict changed.
    fn tells(&self, report: &Report) -> Vec<Tell> {
        let store = self.pipeline.compiler.store();
        let is_refused = |verdict: &Verdict| verdict.worst() == Some(Severity::Refused);
        let tell = |change: DiffItem<'_, '_, ObjectId, Arc<Verdict>>| {
            let (id, was_refused, verdict) = match change {
                DiffItem::Add(id, verdict) => (id, false, verdict),
                DiffItem::Update { old: (_, before), new: (id, verdict) } => (id, is_refused(before), verdict),
                DiffItem::Remove(..) => return None,
            };
            let key = Key::named(id).filter(|_| was_refused || is_refused(verdict))?;
            Some(Tell { notices: event::notices(store.get(&key), verdict), key })
        };
        let mut tells: Vec<_> = self.logged.objects.diff(&report.objects).filter_map(tell).collect();
        self.add_others(&mut tells, report);
        tells
    }

    /// Tells of other installations at the classes that they share.
    fn add_others(&self, tells: &mut Vec<Tell>, report: &Report) {
        let (store, others) = (self.pipeline.compiler.store(), status::others(report));
        let news = status::others(&self.logged) != others;
        for key in status::own_classes(store, self.pipeline.compiler.settings()) {
            let notices = || report.objects.get(&key.id()).map(|verdict| event::notices(store.get(&key), verdict));
            let with_others =
                || notices().unwrap_or_default().iter().cloned().chain(others.map(event::of_others)).collect();
            match tells.iter_mut().find(|tell| tell.key == key) {
                Some(tell) => tell.notices = with_others(),
                None if news => tells.push(Tell { notices: with_others(), key: key.clone() }),
                None => {}
            }
        }
    }

    fn take(&mut self, batch: Batch, published: &mut Published, later: &mut Later) {
        let (next, more) = self.pipeline.changes(batch);
        published.merge(next);
        later.add(more);
    }

    fn judge(&mut self, batches: &Receiver<Batch>) -> bool {
        let mut judged = self.pipeline.judge((self.clock)());
        let mut touched = BTreeSet::new();
        if !self.pipeline.demand.is_empty() {
            let mut later = Later::default();
            self.meet_demand(&mut judged, &mut later, batches, ANSWER);
            touched = std::mem::take(&mut later.touched);
            judged.merge(self.pipeline.complete(later));
        }
        if touched.is_empty() && judged.changed.is_empty() && judged.report.objects == self.logged.objects {
            return !self.outputs.is_closed();
        }
        self.tell(judged, touched)
    }
}

/// What of a batch no request depends on.
#[derive(Debug, Default)]
struct Later {
    moved: Vec<(Key, Origin)>,
    records: Option<Records>,
    /// Objects that came, went or changed.
    touched: BTreeSet<Key>,
}

impl Later {
    fn add(&mut self, more: Self) {
        self.moved.extend(more.moved);
        self.touched.extend(more.touched);
        self.records = more.records.or(self.records.take());
    }
}

/// Compiler and lines. No thread, no channel.
struct Pipeline {
    compiler: Compiler,
    lines: Lines,
    /// What nobody was asked for yet.
    demand: Demand,
}

impl Pipeline {
    fn new(settings: Settings) -> Self {
        Self { compiler: Compiler::new(settings), lines: Lines::default(), demand: Demand::default() }
    }

    fn whole(&mut self, batch: Batch) -> Published {
        let (mut published, later) = self.changes(batch);
        published.merge(self.complete(later));
        published
    }

    fn changes(&mut self, batch: Batch) -> (Published, Later) {
        let stages = Stages::of(&batch);
        let touched = batch.changes.iter().map(Change::key).collect();
        let later = Later { moved: batch.moved, records: batch.records, touched };
        self.compiler.set_incomplete(batch.incomplete);
        (self.compile(stages, |compiler| compiler.apply(batch.changes)), later)
    }

    fn complete(&mut self, later: Later) -> Published {
        for (key, origin) in later.moved {
            self.compiler.relocate(&key, origin);
        }
        if let Some(records) = later.records {
            self.compiler.set_input_problems(records.input);
            self.compiler.set_skipped(records.skipped);
            self.compiler.set_bundle(records.bundle);
        }
        let mut completed = self.compile(Stages::none(), |compiler| compiler.apply(Vec::<Change>::new()));
        self.lines.fill();
        completed.report = Arc::new(self.lines.show(&completed.report));
        completed
    }

    fn judge(&mut self, now: Timestamp) -> Published {
        let mut judged = self.compile(Stages::none(), |compiler| compiler.set_now(now));
        self.lines.fill();
        judged.report = Arc::new(self.lines.show(&judged.report));
        judged
    }

    fn compile(&mut self, mut stages: Stages, compile: impl FnOnce(&mut Compiler) -> Output) -> Published {
        let started = Instant::now();
        let Output { snapshot, report, changed, recomputed, demand } = compile(&mut self.compiler);
        stages.compile = started.elapsed();
        stages.recomputed = recomputed;
        self.lines.take(&report);
        self.demand.add(demand);
        Published { snapshot, report: Arc::new(self.lines.show(&report)), changed, stages, in_force: None }
    }
}

#[cfg(test)]
mod tests;
