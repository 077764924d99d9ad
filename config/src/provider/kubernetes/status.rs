//! Writes `.status`, as the holder of the Lease and where something would change. What is to be shown is decided by
//! [`crate::kubernetes::status`]; here is when and how.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use jiff::Timestamp;
use kube::{Client, Error as ClientError, api::PostParams};
use serde_json::Value;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use super::{
    collect::{Seen, Told},
    follow::chain,
    lease::Term,
    resource::api_of,
};
use crate::{
    kubernetes::{
        status::{Desired, merge},
        store::Key,
    },
    provider::Show,
};

/// Writes under way at once.
const AT_ONCE: usize = 8;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// Also what a quarrel with another writer comes down to.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A status that is written anew after so long is no quarrel.
const PEACE: Duration = Duration::from_secs(60);

/// See the module.
pub(super) struct Statuses {
    client: Client,
    lease: watch::Receiver<Option<Term>>,
    entries: HashMap<Key, Entry>,
    queue: VecDeque<Key>,
    under_way: FuturesUnordered<BoxFuture<'static, (Key, Result<Written, String>)>>,
}

#[derive(Default)]
struct Entry {
    /// Fingerprint of our part of what the cluster shows.
    seen: Option<u128>,
    desired: Option<Desired>,
    /// The fingerprint of `desired`.
    wanted: Option<u128>,
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

impl Entry {
    fn is_settled(&self) -> bool {
        self.wanted.is_none() || self.wanted == self.seen
    }

    fn due(&self) -> Option<Instant> {
        let pause = FIRST_PAUSE.saturating_mul(1 << self.attempts.min(10)).min(LONGEST_PAUSE);
        self.last.map(|last| last + if self.attempts == 0 { Duration::ZERO } else { pause })
    }
}

impl Statuses {
    /// None yet; written while `lease` says that we may.
    pub(super) fn new(client: Client, lease: watch::Receiver<Option<Term>>) -> Self {
        Self { client, lease, entries: HashMap::new(), queue: VecDeque::new(), under_way: FuturesUnordered::new() }
    }

    /// What should be shown from now on.
    pub(super) fn show(&mut self, shown: Vec<Show>) {
        for Show { key, desired } in shown {
            if desired.is_none() && !self.entries.contains_key(&key) {
                continue;
            }
            let entry = self.entries.entry(key.clone()).or_default();
            if entry.desired != desired {
                entry.wanted = desired.as_ref().map(Desired::fingerprint);
                // Without one, what it shows is left to whoever has it now.
                entry.desired = desired;
                entry.attempts = 0;
            }
            self.enqueue(&key);
        }
    }

    /// What the watch says of what the cluster shows.
    pub(super) fn told(&mut self, told: &Told) {
        match told {
            Told::Listed(_, all) => all.iter().for_each(|seen| self.shows(seen)),
            Told::Changed(_, seen) => self.shows(seen),
            Told::Gone(_, key) => drop(self.entries.remove(key)),
            Told::Unknown(_) | Told::Trouble(..) => {}
        }
    }

    fn shows(&mut self, seen: &Seen) {
        if let Some(fingerprint) = seen.status {
            self.seen(&seen.key, fingerprint);
        }
    }

    /// The cluster shows this of `key`.
    fn seen(&mut self, key: &Key, fingerprint: u128) {
        let entry = self.entries.entry(key.clone()).or_default();
        if entry.seen.replace(fingerprint) != Some(fingerprint) {
            self.enqueue(key);
        }
    }

    /// Writes what is to be written; never ends. May be dropped at any time and called again.
    pub(super) async fn work(&mut self) {
        loop {
            let wake = self.start_due();
            tokio::select! {
                Some((key, outcome)) = self.under_way.next(), if !self.under_way.is_empty() => self.done(&key, outcome),
                changed = self.lease.changed() => if changed.is_err() { return std::future::pending().await },
                () = sleep_until(wake) => {}
            }
        }
    }

    /// Starts what may be written now; returns when to look again.
    fn start_due(&mut self) -> Instant {
        let now = Instant::now();
        let far = now + LONGEST_PAUSE;
        if !self.lease.borrow_and_update().is_some_and(|term| term.holds(now)) {
            return far;
        }
        let mut wake = far;
        for _ in 0..self.queue.len() {
            if self.under_way.len() >= AT_ONCE {
                break;
            }
            let Some(key) = self.queue.pop_front() else { break };
            let Some(entry) = self.entries.get_mut(&key) else { continue };
            entry.queued = false;
            if entry.is_settled() {
                continue;
            }
            if let Some(due) = entry.due().filter(|due| *due > now) {
                wake = wake.min(due);
                entry.queued = true;
                self.queue.push_back(key);
                continue;
            }
            if entry.last.is_some_and(|last| now.duration_since(last) > PEACE) {
                entry.attempts = 0;
            }
            entry.last = Some(now);
            entry.attempts = entry.attempts.saturating_add(1);
            let Some(desired) = entry.desired.clone() else { continue };
            let client = self.client.clone();
            self.under_way.push(Box::pin(async move {
                let outcome = write(client, &key, &desired).await.map_err(|error| chain(&error));
                (key, outcome)
            }));
        }
        wake
    }

    fn done(&mut self, key: &Key, outcome: Result<Written, String>) {
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

    fn enqueue(&mut self, key: &Key) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        if entry.is_settled() {
            entry.attempts = 0;
        } else if !entry.queued {
            entry.queued = true;
            self.queue.push_back(key.clone());
        }
    }
}

/// Reads the object anew and writes its status if it does not show `desired`; a change in between is a conflict.
async fn write(client: Client, key: &Key, desired: &Desired) -> Result<Written, ClientError> {
    let api = api_of(client, key);
    let Some(mut object) = api.get_opt(&key.name).await? else { return Ok(Written::Nothing) };
    let current = object.data.get("status").cloned().unwrap_or_else(|| Value::Object(serde_json::Map::new()));
    let Some(status) = merge(&current, desired, Timestamp::now()) else { return Ok(Written::Nothing) };
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
