//! Writes events about objects, as the holder of the Lease. What is worth telling is decided by
//! [`crate::kubernetes::event`]; here is when, how fast, and that it is told once.
//!
//! Nothing is kept anywhere but in the cluster: an event's name is made of what it says, so that a new holder, or the same
//! one after a restart, finds it told. One that happens again is counted up.

pub(super) mod pace;
mod write;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use kube::{Client, Error as ClientError};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use self::{
    pace::Pace,
    write::{Mark, Telling, mark, write},
};
use super::{
    collect::Told,
    counts::{Counts, EventOutcome},
    follow::said,
    lease::Term,
    resource::Served,
};
use crate::kubernetes::{
    event::{Event, Notice, Tell, difference},
    store::Key,
};

/// Objects that are written about at once.
const AT_ONCE: usize = 4;
/// So many events at once, and then one after each pause: five thousand broken objects take eight minutes.
const BURST: u32 = 100;
const PAUSE: Duration = Duration::from_millis(100);
/// The same for one object: what comes and goes all the time is told as it is when its turn comes.
const BURST_OF_ONE: u32 = 8;
const PAUSE_OF_ONE: Duration = Duration::from_secs(300);
/// Marks of one object that are remembered, to count up what happens again.
const MOST_MARKS: usize = 32;
/// After the API server did not answer as it should.
const AFTER_TROUBLE: Duration = Duration::from_secs(5);
/// After we were told that we may not.
const AFTER_REFUSAL: Duration = Duration::from_secs(600);

/// See the module.
pub(super) struct Events {
    client: Client,
    lease: watch::Receiver<Option<Term>>,
    /// Who writes, for people.
    instance: Arc<str>,
    served: Served,
    counts: Arc<Counts>,
    objects: HashMap<Key, Known>,
    queue: VecDeque<Key>,
    pace: Pace,
    /// Nothing is written before.
    not_before: Instant,
    refused: bool,
    under_way: FuturesUnordered<BoxFuture<'static, Written>>,
}

/// An object, the notices that it was written about with, and what came of it.
type Written = (Key, Arc<[Notice]>, Result<(), ClientError>);

/// An object that something was wrong with.
struct Known {
    of_verdict: Arc<[Notice]>,
    of_announcing: Arc<[Notice]>,
    /// Both.
    now: Arc<[Notice]>,
    /// The notices that the last events were about.
    told: Arc<[Notice]>,
    /// What this process has told, and how often.
    marks: BTreeMap<Mark, i32>,
    /// What was done and is to be told once.
    done: Vec<Event>,
    pace: Pace,
    queued: bool,
}

impl Events {
    /// None yet; written while `lease` says that we may.
    pub(super) fn new(
        client: Client,
        lease: watch::Receiver<Option<Term>>,
        instance: &str,
        (served, counts): (Served, Arc<Counts>),
    ) -> Self {
        let now = Instant::now();
        Self {
            client,
            lease,
            instance: instance.into(),
            served,
            counts,
            objects: HashMap::new(),
            queue: VecDeque::new(),
            pace: Pace::new(BURST, PAUSE, now),
            not_before: now,
            refused: false,
            under_way: FuturesUnordered::new(),
        }
    }

    /// What is wrong from now on.
    pub(super) fn tell(&mut self, tells: Vec<Tell>) {
        for Tell { key, notices } in tells {
            if notices.is_empty() && !self.objects.contains_key(&key) {
                continue;
            }
            self.change(key, |known| known.of_verdict = notices);
        }
    }

    /// What stands against the announcement of what `key` has, from now on.
    pub(super) fn tell_announced(&mut self, key: Key, notices: Arc<[Notice]>) {
        if !notices.is_empty() || self.objects.contains_key(&key) {
            self.change(key, |known| known.of_announcing = notices);
        }
    }

    fn change(&mut self, key: Key, change: impl FnOnce(&mut Known)) {
        let known = self.objects.entry(key.clone()).or_insert_with(Known::new);
        change(known);
        known.now = known.of_verdict.iter().chain(&*known.of_announcing).cloned().collect();
        let nothing_to_tell =
            known.now.is_empty() && known.told.is_empty() && known.marks.is_empty() && known.done.is_empty();
        if nothing_to_tell && !known.queued {
            self.objects.remove(&key);
        } else {
            self.enqueue(&key);
        }
    }

    /// Something was done with `key`. It is told once: where that fails, the object itself still shows it.
    pub(super) fn tell_once(&mut self, key: Key, event: Event) {
        let known = self.objects.entry(key.clone()).or_insert_with(Known::new);
        if known.done.len() < MOST_MARKS {
            known.done.push(event);
        }
        self.enqueue(&key);
    }

    /// What has gone is nobody's to tell of.
    pub(super) fn told(&mut self, told: &Told) {
        if let Told::Gone(_, key) = told {
            self.objects.remove(key);
        }
    }

    /// Writes what is to be written; never ends. May be dropped at any time and called again.
    pub(super) async fn work(&mut self) {
        loop {
            let wake = self.start_due();
            tokio::select! {
                Some((key, notices, outcome)) = self.under_way.next(), if !self.under_way.is_empty() => {
                    self.done(&key, notices, outcome);
                }
                changed = self.lease.changed() => if changed.is_err() { return std::future::pending().await },
                () = sleep_until(wake) => {}
            }
        }
    }

    /// Starts what may be written now; returns when to look again.
    fn start_due(&mut self) -> Instant {
        let now = Instant::now();
        let far = now + AFTER_REFUSAL;
        if !self.lease.borrow_and_update().is_some_and(|term| term.holds(now)) {
            return far;
        }
        let mut wake = far;
        for _ in 0..self.queue.len() {
            let ready = self.pace.ready(now).max(self.not_before);
            if self.under_way.len() >= AT_ONCE || ready > now {
                return wake.min(ready.max(now));
            }
            let Some(key) = self.queue.pop_front() else { break };
            let Some(known) = self.objects.get_mut(&key) else { continue };
            let ready = known.pace.ready(now);
            if ready > now {
                wake = wake.min(ready);
                self.queue.push_back(key);
                continue;
            }
            known.queued = false;
            let tellings = known.tellings();
            known.done.clear();
            let Ok(count @ 1..) = u32::try_from(tellings.len()) else {
                known.told.clone_from(&known.now);
                continue;
            };
            known.pace.take(1, now);
            self.pace.take(count, now);
            self.start(key, tellings);
        }
        wake
    }

    fn start(&mut self, key: Key, tellings: Vec<Telling>) {
        let notices = self.objects.get(&key).map(|known| known.now.clone()).unwrap_or_default();
        let (client, instance, counts) = (self.client.clone(), self.instance.clone(), self.counts.clone());
        let objects = self.served.api_of(client.clone(), &key);
        self.under_way.push(Box::pin(async move {
            let count = |outcome| counts.event(outcome);
            let outcome = write(client, objects, &key, &tellings, &instance, count).await;
            (key, notices, outcome)
        }));
    }

    fn done(&mut self, key: &Key, notices: Arc<[Notice]>, outcome: Result<(), ClientError>) {
        let outcome = outcome.map_err(|error| Trouble::of(&error, said(&error)));
        match outcome {
            Ok(()) => self.refused = false,
            Err(Trouble::NotTaken(error)) => {
                self.counts.event(EventOutcome::Dropped);
                tracing::debug!(
                    kind = key.kind.as_str(),
                    namespace = &*key.namespace,
                    name = &*key.name,
                    error,
                    "event not taken"
                );
            }
            Err(Trouble::Refused(error)) => {
                self.counts.event(EventOutcome::Failed);
                if !std::mem::replace(&mut self.refused, true) {
                    tracing::warn!(
                        error,
                        "events cannot be written: grant create and patch on events.events.k8s.io, or set kubernetes.events to false"
                    );
                }
                return self.put_off(key, AFTER_REFUSAL);
            }
            Err(Trouble::Passing(error)) => {
                self.counts.event(EventOutcome::Failed);
                tracing::debug!(
                    kind = key.kind.as_str(),
                    namespace = &*key.namespace,
                    name = &*key.name,
                    error,
                    "event not written yet"
                );
                return self.put_off(key, AFTER_TROUBLE);
            }
        }
        if let Some(known) = self.objects.get_mut(key) {
            known.has_told(notices);
        }
        self.enqueue(key);
    }

    fn put_off(&mut self, key: &Key, pause: Duration) {
        self.not_before = Instant::now() + pause;
        self.enqueue(key);
    }

    fn enqueue(&mut self, key: &Key) {
        let Some(known) = self.objects.get_mut(key) else { return };
        let is_news = known.now != known.told || !known.done.is_empty();
        if is_news && !known.queued {
            known.queued = true;
            self.queue.push_back(key.clone());
        }
    }
}

impl Known {
    fn new() -> Self {
        let pace = Pace::new(BURST_OF_ONE, PAUSE_OF_ONE, Instant::now());
        Self {
            of_verdict: Arc::default(),
            of_announcing: Arc::default(),
            now: Arc::default(),
            told: Arc::default(),
            marks: BTreeMap::new(),
            done: Vec::new(),
            pace,
            queued: false,
        }
    }

    fn tellings(&self) -> Vec<Telling> {
        let events = difference(&self.told, &self.now).into_iter().chain(self.done.iter().cloned());
        events.map(|event| Telling { before: self.marks.get(&mark(&event)).copied().unwrap_or(0), event }).collect()
    }

    fn has_told(&mut self, notices: Arc<[Notice]>) {
        for event in difference(&self.told, &notices) {
            let mark = mark(&event);
            if self.marks.len() < MOST_MARKS || self.marks.contains_key(&mark) {
                let times = self.marks.entry(mark).or_default();
                *times = times.saturating_add(1);
            }
        }
        self.told = notices;
    }
}

/// Why an event was not written.
enum Trouble {
    /// We may not.
    Refused(String),
    /// Nobody may: its namespace is going, or the API server does not like it.
    NotTaken(String),
    /// Time may heal it.
    Passing(String),
}

impl Trouble {
    fn of(error: &ClientError, text: String) -> Self {
        let ClientError::Api(status) = error else { return Self::Passing(text) };
        let causes = status.details.iter().flat_map(|details| &details.causes);
        let is_going = causes.into_iter().any(|cause| cause.reason == "NamespaceTerminating");
        match status.code {
            401 | 403 if !is_going => Self::Refused(text),
            429 | 500.. => Self::Passing(text),
            _ => Self::NotTaken(text),
        }
    }
}
