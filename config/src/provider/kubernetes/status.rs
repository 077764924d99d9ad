//! Writes `.status`, as the holder of the Lease and where something would change. What is to be shown is decided by
//! [`crate::kubernetes::status`], whether the nodes serve it by [`super::peers`]; here is when and how.
//!
//! Of what is to be shown only fingerprints are kept, and those by the holder alone: all else follows, at the moment of
//! writing, from what is in force.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use imbl::OrdMap;
use jiff::Timestamp;
use kube::{
    Api, Client, Error as ClientError,
    api::{DynamicObject, PostParams},
};
use serde_json::Value;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};

use super::{
    Telling,
    announced::{Board, Change, Wanted},
    collect::{Seen, Told},
    counts::{Counts, StatusOutcome},
    follow::said,
    lease::Term,
    peers::{Gate, Standing, View},
    resource::Served,
};
use crate::{
    allocation::Ledger,
    kubernetes::{
        announced::{self, World},
        convert::{Settings, exposure::Keeper},
        event::{self, Event},
        object::Kind,
        status::{self, Address, Desired, Nodes, merge},
        store::{Key, Store},
    },
    model::id::ObjectId,
    provider::InForce,
    report::Report,
    snapshot::Announcement,
};

/// Writes under way at once.
const AT_ONCE: usize = 8;
/// Objects that are judged before others get their turn.
const PORTION: usize = 64;
/// Between two views of the peers.
const BETWEEN_VIEWS: Duration = Duration::from_millis(250);
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// Also what a quarrel with another writer comes down to.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A status that is written anew after so long is no quarrel.
const PEACE: Duration = Duration::from_secs(60);
/// Nodes that have said nothing of addresses for so long, since we write, will not.
const SETTLED: Duration = Duration::from_secs(15);

/// See the module.
pub(super) struct Statuses {
    client: Client,
    served: Served,
    counts: Arc<Counts>,
    lease: watch::Receiver<Option<Term>>,
    settings: Settings,
    /// Where things are reached; `None`: no status is written.
    addresses: Option<Vec<Address>>,
    gate: Gate,
    /// Where people are shown who there is, if anybody is interested.
    view: Option<watch::Sender<View>>,
    viewed: Option<Instant>,
    store: Store,
    report: Arc<Report>,
    /// Who has which address, what was written and is not seen yet included.
    ledger: Ledger,
    /// That: what Services were given in this term, until they show it.
    given: BTreeMap<ObjectId, Vec<IpAddr>>,
    /// Who tells of addresses that were given.
    news: mpsc::UnboundedSender<(Key, Telling)>,
    /// What should be announced.
    announcements: OrdMap<IpAddr, Arc<Announcement>>,
    /// What is shown of that.
    board: Board,
    /// Who keeps MetalLB's objects.
    l2_statuses: watch::Sender<Option<Arc<Wanted>>>,
    /// Fingerprints of our parts of what the cluster shows.
    seen: HashMap<Key, u128>,
    /// Whether we hold the Lease, as far as what follows goes by it.
    holds: bool,
    unjudged: Unjudged,
    entries: HashMap<Key, Entry>,
    queue: VecDeque<Key>,
    under_way: FuturesUnordered<BoxFuture<'static, Write>>,
}

/// An object, what is to be told once it is written, and what came of it.
type Write = (Key, Option<Event>, Result<Written, String>);

/// Objects to be judged anew, each once.
#[derive(Default)]
struct Unjudged {
    queue: VecDeque<Key>,
    keys: HashSet<Key>,
}

/// An object that should show something, while we hold the Lease.
#[derive(Default)]
struct Entry {
    /// The fingerprint of what it should show.
    wanted: u128,
    queued: bool,
    /// Writes in a row that did not settle it.
    attempts: u32,
    last: Option<Instant>,
}

/// What a write came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Written {
    Changed,
    Nothing,
    /// Somebody was faster; our watch brings what they wrote.
    Conflict,
}

impl From<Written> for StatusOutcome {
    fn from(written: Written) -> Self {
        match written {
            Written::Changed => Self::Written,
            Written::Nothing => Self::Unchanged,
            Written::Conflict => Self::Conflict,
        }
    }
}

impl Unjudged {
    fn add(&mut self, key: &Key) {
        if self.keys.insert(key.clone()) {
            self.queue.push_back(key.clone());
        }
    }

    fn take(&mut self) -> Option<Key> {
        let key = self.queue.pop_front()?;
        self.keys.remove(&key);
        Some(key)
    }
}

impl Entry {
    fn due(&self) -> Option<Instant> {
        let pause = FIRST_PAUSE.saturating_mul(1 << self.attempts.min(10)).min(LONGEST_PAUSE);
        self.last.map(|last| last + if self.attempts == 0 { Duration::ZERO } else { pause })
    }
}

impl Statuses {
    /// Nothing is in force yet; written while `lease` says that we may.
    pub(super) fn new(
        client: Client,
        (served, counts): (Served, Arc<Counts>),
        lease: watch::Receiver<Option<Term>>,
        settings: Settings,
        addresses: Option<Vec<Address>>,
        gate: Gate,
        (view, news): (Option<watch::Sender<View>>, mpsc::UnboundedSender<(Key, Telling)>),
    ) -> Self {
        Self {
            announcements: OrdMap::new(),
            board: Board::default(),
            l2_statuses: watch::Sender::default(),
            client,
            served,
            counts,
            lease,
            settings,
            addresses,
            gate,
            view,
            viewed: None,
            store: Store::default(),
            report: Arc::default(),
            ledger: Ledger::default(),
            given: BTreeMap::new(),
            news,
            seen: HashMap::new(),
            holds: false,
            unjudged: Unjudged::default(),
            entries: HashMap::new(),
            queue: VecDeque::new(),
            under_way: FuturesUnordered::new(),
        }
    }

    /// Who else there is, and what they say.
    pub(super) fn gate(&mut self) -> &mut Gate {
        &mut self.gate
    }

    /// Where things are reached from now on.
    pub(super) fn reached_at(&mut self, addresses: Vec<Address>) {
        self.addresses = Some(addresses);
        if self.holds {
            let all = self.store.iter().map(|(key, _)| key).filter(|key| status::has_status(key.kind));
            all.for_each(|key| self.unjudged.add(key));
        }
    }

    /// What is in force from now on.
    pub(super) fn in_force(&mut self, news: &InForce) {
        self.gate.in_force(news, Instant::now());
        (self.store, self.report) = (news.store.clone(), news.report.clone());
        self.announcements = news.announcements.clone();
        self.board.set_stale();
        self.take_ledger(&news.ledger);
        if self.holds {
            news.touched.iter().for_each(|key| self.unjudged.add(key));
        }
    }

    /// Who has which address from now on, beside what was given and is not seen yet.
    fn take_ledger(&mut self, ledger: &Ledger) {
        let is_unseen = |of: &ObjectId, addresses: &mut Vec<IpAddr>| {
            ledger.claims.get(of).is_some_and(|claim| claim.recorded != *addresses)
        };
        self.given.retain(is_unseen);
        let before = std::mem::take(&mut self.ledger);
        self.ledger = if self.given.is_empty() { ledger.clone() } else { ledger.with(&self.given) };
        if self.settings.addresses.keeper == Keeper::Cluster {
            self.counts.allocation(self.ledger.allocation.clone());
        }
        if self.holds {
            self.ledger.difference(&before).iter().filter_map(Key::named).for_each(|key| self.unjudged.add(&key));
        }
    }

    /// What the watch says of what the cluster shows.
    pub(super) fn told(&mut self, told: &Told) {
        match told {
            Told::Listed(_, all) => all.iter().for_each(|seen| self.shows(seen)),
            Told::Changed(_, seen) => self.shows(seen),
            Told::Gone(_, key) => {
                self.seen.remove(key);
                self.entries.remove(key);
            }
            Told::Held(_) | Told::Unknown(_) | Told::Trouble(..) | Told::Bundle(_) => {}
        }
    }

    /// The cluster shows this.
    fn shows(&mut self, seen: &Seen) {
        let Some(fingerprint) = seen.status.filter(|_| self.addresses.is_some()) else { return };
        if self.seen.insert(seen.key.clone(), fingerprint) != Some(fingerprint) {
            self.enqueue(&seen.key);
        }
    }

    /// Writes what is to be written; never ends. May be dropped at any time and called again.
    pub(super) async fn work(&mut self) {
        loop {
            self.follow_lease();
            let now = Instant::now();
            self.look(now);
            self.look_at_addresses(now);
            if self.judge_some() {
                tokio::task::yield_now().await;
                continue;
            }
            let wake = self.start_due(now);
            let wakes = [self.gate.wake(now), self.show_peers(now), self.addresses_wake(now), Some(wake)];
            let wake = wakes.into_iter().flatten().min().unwrap_or(wake);
            tokio::select! {
                Some((key, given, outcome)) = self.under_way.next(), if !self.under_way.is_empty() => {
                    self.done(&key, given, outcome);
                }
                changed = self.lease.changed() => if changed.is_err() { return std::future::pending().await },
                () = sleep_until(wake) => {}
            }
        }
    }

    /// Begins or ends a term, when the Lease is ours or is not any more.
    fn follow_lease(&mut self) {
        let now = Instant::now();
        let holds = self.lease.borrow_and_update().is_some();
        if std::mem::replace(&mut self.holds, holds) == holds {
            return;
        }
        (self.unjudged, self.queue, self.entries, self.given) = Default::default();
        self.under_way.clear();
        self.board = Board::default();
        self.board.set_stale();
        self.l2_statuses.send_replace(None);
        if holds {
            self.gate.begin_term(&self.store, now);
            let all = self.store.iter().map(|(key, _)| key).filter(|key| status::has_status(key.kind));
            all.for_each(|key| self.unjudged.add(key));
        } else {
            self.gate.end_term();
        }
    }

    /// What the nodes have said, or have not said for too long.
    fn look(&mut self, now: Instant) {
        let look = self.gate.look(now);
        look.objects.iter().for_each(|key| self.unjudged.add(key));
        if look.nodes {
            self.board.set_stale();
            let gateways = self.store.iter().map(|(key, _)| key).filter(|key| key.kind == Kind::Gateway);
            gateways.for_each(|key| self.unjudged.add(key));
        }
    }

    /// What is to be shown of addresses now, by what nodes say of them.
    fn look_at_addresses(&mut self, now: Instant) {
        let gives = self.addresses.is_some() && self.settings.addresses.keeper == Keeper::Cluster;
        let Some(began) = self.gate.decides_since().filter(|_| self.holds && gives) else { return };
        if self.gate.take_news() {
            self.board.set_stale();
        }
        let is_settled = now.duration_since(began) >= SETTLED;
        if !self.board.is_due(now, is_settled) {
            return;
        }
        let accounts = self.gate.accounts(now);
        let world = World { announcements: &self.announcements, accounts: &accounts, is_settled };
        let changes = self.board.look(now, &world, (&self.ledger, &self.report));
        if changes.is_empty() {
            return;
        }
        for Change { key, before, after } in changes {
            let tell = |telling| drop(self.news.send((key.clone(), telling)));
            announced::events(&before, &after).into_iter().for_each(|event| tell(Telling::Done(event)));
            tell(Telling::Announced(announced::notices(&after, key.kind == Kind::IpAddressPool)));
            self.unjudged.add(&key);
        }
        let wanted = self.board.l2_statuses(&self.ledger);
        self.l2_statuses.send_if_modified(|told| {
            let differs = told.as_deref() != Some(&wanted);
            if differs {
                *told = Some(Arc::new(wanted));
            }
            differs
        });
    }

    fn addresses_wake(&self, now: Instant) -> Option<Instant> {
        let began = self.gate.decides_since().filter(|_| self.holds)?;
        let settled = Some(began + SETTLED).filter(|settled| *settled > now);
        self.board.wake().into_iter().chain(settled).min()
    }

    /// Which of MetalLB's objects there should be.
    pub(super) fn l2_statuses(&self) -> watch::Receiver<Option<Arc<Wanted>>> {
        self.l2_statuses.subscribe()
    }

    /// Shows people who there is, not too often; returns when to look again.
    fn show_peers(&mut self, now: Instant) -> Option<Instant> {
        let view = self.view.as_ref()?;
        if let Some(next) = self.viewed.map(|last| last + BETWEEN_VIEWS).filter(|next| *next > now) {
            return Some(next);
        }
        view.send_replace(self.gate.view(now));
        self.viewed = Some(now);
        self.holds.then_some(now + BETWEEN_VIEWS)
    }

    /// Judges some of what is to be judged anew. Says whether there was anything.
    fn judge_some(&mut self) -> bool {
        for at in 0..PORTION {
            let Some(key) = self.unjudged.take() else { return at > 0 };
            self.judge(&key);
        }
        true
    }

    fn judge(&mut self, key: &Key) {
        if self.addresses.is_none() {
            return;
        }
        let standing = self.gate.standing(key);
        if matches!(standing, Standing::Undecided | Standing::Pending(_)) {
            let programmed = self.desired(key, &Standing::Programmed).map(|desired| desired.fingerprint());
            if programmed.is_some() && programmed.as_ref() == self.seen.get(key) {
                self.gate.settle(key);
            }
        }
        match self.wanted(key).map(|desired| desired.fingerprint()) {
            Some(wanted) => {
                let entry = self.entries.entry(key.clone()).or_default();
                if entry.wanted != wanted {
                    (entry.wanted, entry.attempts) = (wanted, 0);
                }
                self.enqueue(key);
            }
            // What it shows is left to whoever has it now, or to when more is known.
            None => drop(self.entries.remove(key)),
        }
    }

    /// What `key` should show; `None`: what it shows is left alone.
    fn wanted(&self, key: &Key) -> Option<Desired> {
        match self.gate.standing(key) {
            Standing::Undecided => None,
            standing => self.desired(key, &standing),
        }
    }

    fn desired(&self, key: &Key, standing: &Standing) -> Option<Desired> {
        let behind = if let Standing::Pending(behind) = standing { &**behind } else { &[] };
        let nodes = Nodes { behind, silent: self.gate.silent(), unbound: self.gate.unbound() };
        let context = status::Context {
            settings: &self.settings,
            store: &self.store,
            report: &self.report,
            addresses: self.addresses.as_ref()?,
            programmed: *standing == Standing::Programmed,
            nodes,
            ledger: &self.ledger,
            announced: self.board.told(key),
        };
        status::desired(self.store.get(key)?, self.report.objects.get(&key.id())?, &context)
    }

    /// Starts what may be written now; returns when to look again.
    fn start_due(&mut self, now: Instant) -> Instant {
        let far = now + LONGEST_PAUSE;
        if !self.lease.borrow().is_some_and(|term| term.holds(now)) {
            return far;
        }
        let mut wake = far;
        for _ in 0..self.queue.len() {
            if self.under_way.len() >= AT_ONCE {
                break;
            }
            let Some(key) = self.queue.pop_front() else { break };
            if let Some(later) = self.start(key, now) {
                wake = wake.min(later);
            }
        }
        wake
    }

    /// Writes what `key` should show, or returns when to try.
    fn start(&mut self, key: Key, now: Instant) -> Option<Instant> {
        let is_settled = self.is_settled(&key);
        let entry = self.entries.get_mut(&key)?;
        entry.queued = false;
        if is_settled {
            return None;
        }
        if let Some(due) = entry.due().filter(|due| *due > now) {
            entry.queued = true;
            self.queue.push_back(key);
            return Some(due);
        }
        if entry.last.is_some_and(|last| now.duration_since(last) > PEACE) {
            entry.attempts = 0;
        }
        entry.last = Some(now);
        entry.attempts = entry.attempts.saturating_add(1);
        let desired = self.wanted(&key)?;
        let given = self.give(&key);
        let api = self.served.api_of(self.client.clone(), &key);
        self.under_way.push(Box::pin(async move {
            let outcome = write(api, &key, &desired).await.map_err(|error| said(&error));
            (key, given, outcome)
        }));
        None
    }

    /// Remembers what a Service is given, until it shows that. Returns what there is to tell of it.
    fn give(&mut self, key: &Key) -> Option<Event> {
        let of = key.id();
        let Ok(assignment) = &self.ledger.allocation.outcomes.get(&of)?.result else {
            self.given.remove(&of);
            return None;
        };
        let is_new = self.ledger.claims.get(&of)?.recorded != assignment.addresses;
        self.given.insert(of, assignment.addresses.clone());
        is_new.then(|| event::of_assignment(assignment))
    }

    fn done(&mut self, key: &Key, given: Option<Event>, outcome: Result<Written, String>) {
        if let (Some(event), Ok(Written::Changed)) = (given, &outcome) {
            // An error means that no events are written.
            let _nobody = self.news.send((key.clone(), Telling::Done(event)));
        }
        self.count(key, outcome);
    }

    fn count(&mut self, key: &Key, outcome: Result<Written, String>) {
        self.counts.status(key.kind, outcome.as_ref().map_or(StatusOutcome::Failed, |written| (*written).into()));
        match outcome {
            Ok(Written::Changed) => tracing::debug!(
                kind = key.kind.as_str(),
                namespace = &*key.namespace,
                name = &*key.name,
                "status written"
            ),
            Ok(Written::Nothing) => {
                // Others are ahead of us, or left no room: what the watch brings decides.
                return;
            }
            Ok(Written::Conflict) => {}
            Err(error) => {
                tracing::warn!(
                    kind = key.kind.as_str(),
                    namespace = &*key.namespace,
                    name = &*key.name,
                    error,
                    "status not written"
                );
            }
        }
        self.enqueue(key);
    }

    fn is_settled(&self, key: &Key) -> bool {
        self.entries.get(key).is_none_or(|entry| self.seen.get(key) == Some(&entry.wanted))
    }

    fn enqueue(&mut self, key: &Key) {
        let is_settled = self.is_settled(key);
        let Some(entry) = self.entries.get_mut(key) else { return };
        if is_settled {
            entry.attempts = 0;
        } else if !entry.queued {
            entry.queued = true;
            self.queue.push_back(key.clone());
        }
    }
}

/// Reads the object anew and writes its status if it does not show `desired`; a change in between is a conflict.
async fn write(api: Api<DynamicObject>, key: &Key, desired: &Desired) -> Result<Written, ClientError> {
    let Some(mut object) = api.get_opt(&key.name).await? else { return Ok(Written::Nothing) };
    let mut status = object.data.get("status").cloned().unwrap_or_else(|| Value::Object(serde_json::Map::new()));
    let current = status::shown(key.kind, object.metadata.annotations.as_ref(), &status);
    let Some(wanted) = merge(&current, desired, Timestamp::now()) else { return Ok(Written::Nothing) };
    status::put(key.kind, &mut object.metadata.annotations, &mut status, wanted);
    if let Value::Object(fields) = &mut object.data {
        fields.insert("status".to_owned(), status);
    }
    object.metadata.managed_fields = None;
    match api.replace_subresource("status", &key.name, &PostParams::default(), &object).await {
        Ok(_) => Ok(Written::Changed),
        Err(ClientError::Api(status)) if matches!(status.code, 404 | 409) => Ok(Written::Conflict),
        Err(error) => Err(error),
    }
}
