//! What the API server has said so far, and what of it is news. Pure: no I/O and no clock but the time of a batch.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::PathBuf,
    sync::Arc,
    time::Instant,
};

use kube::api::{DynamicObject, TypeMeta};
use serde_json::Value;

use super::{
    fetch::Fetched,
    follow::Trouble,
    resource::{Source, key_of, preferred},
};
use crate::{
    kubernetes::{
        document::{self, Entry},
        object::Kind,
        status,
        store::{Change, Key},
    },
    provider::{Batch, Records},
    report::InputProblem,
};

/// An object as the API server has it.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) key: Key,
    /// `metadata.resourceVersion`.
    pub(super) version: Arc<str>,
    /// `None` for kinds of which only names are followed.
    pub(super) content: Option<Content>,
    /// The fingerprint of our part of its status, for kinds that have one.
    pub(super) status: Option<u128>,
}

/// What an object says.
#[derive(Clone, Debug)]
pub(super) struct Content {
    /// For publishing.
    pub(super) change: Change,
    /// For the disk: without status and what the API server keeps for itself.
    pub(super) kept: Arc<str>,
}

/// News of one source.
#[derive(Debug)]
pub(super) enum Told {
    /// Everything that is there.
    Listed(Source, Vec<Seen>),
    /// New or changed.
    Changed(Source, Seen),
    /// Gone.
    Gone(Source, Key),
    /// The API has no such kind.
    Unknown(Source),
    /// It cannot be followed at the moment.
    Trouble(Source, Trouble),
}

/// What is to be kept on disk: the text of an object, or that it has gone.
pub(super) type Write = (Key, Option<Arc<str>>);

/// See the module.
#[derive(Debug)]
pub(super) struct Collector {
    sources: BTreeMap<Source, State>,
    /// Whether the first batch has been handed over.
    begun: bool,
    changes: HashMap<Key, (Change, Option<Arc<str>>)>,
    answered: Vec<Key>,
    fetch_problems: BTreeMap<Key, String>,
    records_changed: bool,
    noticed: Option<Instant>,
}

#[derive(Debug, Default)]
struct State {
    /// Listed, or known not to be there.
    settled: bool,
    /// Times in a row that the API did not know the kind.
    unknown: u32,
    /// Times that we were refused since it was listed last.
    refused: u32,
    trouble: Option<Trouble>,
    /// What is there, by version; of kinds that matter by reference only, what was fetched.
    known: HashMap<Key, Arc<str>>,
}

impl State {
    /// Why we may not follow it, once that is meant.
    fn refusal(&self) -> Option<&str> {
        match &self.trouble {
            Some(Trouble::Forbidden(why)) if self.refused >= REFUSED_FOR_GOOD => Some(why),
            _ => None,
        }
    }
}

/// A kind of which objects are at hand is believed to be gone when the API has not known it so many times in a row,
/// five seconds apart: an API server that is starting does not know any CRD for a moment.
const UNKNOWN_FOR_GOOD: u32 = 3;
/// A kind is believed to be out of our reach when we were refused so many times, with growing pauses: an API server that
/// is starting does not know anybody's rights for a moment.
const REFUSED_FOR_GOOD: u32 = 5;

impl Collector {
    /// Of these sources.
    pub(super) fn new(sources: Vec<Source>) -> Self {
        Self {
            sources: sources.into_iter().map(|source| (source, State::default())).collect(),
            begun: false,
            changes: HashMap::new(),
            answered: Vec::new(),
            fetch_problems: BTreeMap::new(),
            records_changed: true,
            noticed: None,
        }
    }

    /// Whether a first batch has been handed over.
    pub(super) fn has_begun(&self) -> bool {
        self.begun
    }

    /// How many kinds have not been listed.
    pub(super) fn waiting_for(&self) -> usize {
        self.sources.values().filter(|state| !state.settled).count()
    }

    /// Whether everything is as the API server has it, as far as we may know.
    pub(super) fn is_current(&self) -> bool {
        let current = |state: &State| state.settled && (state.trouble.is_none() || state.refusal().is_some());
        self.begun && self.sources.values().all(current)
    }

    /// What is at hand of the API server.
    pub(super) fn known(&self) -> impl Iterator<Item = &Key> {
        self.sources.values().flat_map(|state| state.known.keys())
    }

    /// `key` is referred to: says whether it is to be fetched, and whether publishing waits for that.
    pub(super) fn want(&mut self, key: &Key) -> Option<bool> {
        let Some(source) = self.source_of(key) else {
            self.set_problem(key, Some("kubernetes.namespaces does not name its namespace".to_owned()));
            self.answered.push(key.clone());
            return None;
        };
        // Without an API server there is what is on disk, and nothing to wait for.
        let waits = self.sources.get(&source).is_none_or(|state| state.settled);
        if !waits {
            self.answered.push(key.clone());
        }
        Some(waits)
    }

    /// Nobody refers to `key` any more: nothing of it is kept.
    pub(super) fn forget(&mut self, key: &Key) {
        self.set_problem(key, None);
        self.forget_version(key);
        self.remove(key.clone());
    }

    /// Takes news; returns the keys whose content must be fetched anew if it is wanted.
    pub(super) fn take(&mut self, told: Told) -> Vec<Key> {
        self.noticed.get_or_insert_with(Instant::now);
        match told {
            Told::Listed(source, seen) => self.listed(&source, seen),
            Told::Changed(source, seen) => self.changed(&source, seen).into_iter().collect(),
            Told::Gone(source, key) => {
                if let Some(state) = self.sources.get_mut(&source) {
                    state.known.remove(&key);
                }
                self.remove(key.clone());
                Vec::from_iter(key.kind.is_by_reference().then_some(key))
            }
            Told::Unknown(source) => {
                self.unknown(&source);
                Vec::new()
            }
            Told::Trouble(source, trouble) => {
                self.trouble(&source, trouble);
                Vec::new()
            }
        }
    }

    /// Takes the content of something that was fetched.
    pub(super) fn fetched(&mut self, fetched: Fetched) {
        self.noticed.get_or_insert_with(Instant::now);
        let Fetched { key, outcome, answers } = fetched;
        let problem = match outcome {
            Ok(Some(seen)) => {
                if let Some(source) = self.source_of(&key) {
                    self.changed(&source, seen);
                }
                None
            }
            Ok(None) => {
                self.forget_version(&key);
                self.remove(key.clone());
                None
            }
            Err(why) => Some(why),
        };
        self.set_problem(&key, problem);
        if answers {
            self.answered.push(key);
        }
    }

    /// Begins with what is kept on disk; each list that comes later takes away what is no longer there.
    pub(super) fn begin_with(&mut self, kept: Vec<(Key, Content)>) {
        self.noticed.get_or_insert_with(Instant::now);
        for (key, content) in kept {
            let source = self.source_of(&key);
            match source.and_then(|source| self.sources.get_mut(&source)) {
                // Listed meanwhile: what is on disk is old.
                Some(state) if state.settled => continue,
                Some(state) => drop(state.known.insert(key.clone(), Arc::default())),
                // Kept when other namespaces were read.
                None => continue,
            }
            self.changes.insert(key, (content.change, None));
        }
        self.begun = true;
    }

    /// What is new, if it may be handed over, with what is to be written to disk.
    pub(super) fn batch(&mut self) -> Option<(Batch, Vec<Write>)> {
        let is_first = !self.begun && self.waiting_for() == 0;
        if !self.begun && !is_first {
            return None;
        }
        self.begun = true;
        let nothing = self.changes.is_empty() && self.answered.is_empty() && !self.records_changed;
        if nothing && !is_first {
            self.noticed = None;
            return None;
        }
        let mut batch = Batch::at(self.noticed.take().unwrap_or_else(Instant::now));
        let mut writes = Vec::new();
        for (key, (change, kept)) in self.changes.drain() {
            let gone = matches!(change, Change::Remove(_));
            if kept.is_some() || gone {
                writes.push((key, kept));
            }
            batch.changes.push(change);
        }
        batch.documents = batch.changes.len();
        batch.answered = std::mem::take(&mut self.answered);
        batch.records = std::mem::take(&mut self.records_changed).then(|| self.records());
        Some((batch, writes))
    }

    fn listed(&mut self, source: &Source, seen: Vec<Seen>) -> Vec<Key> {
        let before = match self.sources.get_mut(source) {
            Some(state) => {
                state.unknown = 0;
                std::mem::take(&mut state.known)
            }
            None => return Vec::new(),
        };
        let mut stale = Vec::new();
        let mut present = HashSet::new();
        for seen in seen {
            present.insert(seen.key.clone());
            if before.get(&seen.key) == Some(&seen.version) && !seen.version.is_empty() {
                if let Some(state) = self.sources.get_mut(source) {
                    state.known.insert(seen.key, seen.version);
                }
            } else {
                stale.extend(self.changed(source, seen));
            }
        }
        for key in before.into_keys().filter(|key| !present.contains(key)) {
            if key.kind.is_by_reference() {
                // It may have become wanted, and have been fetched, while the list was on its way.
                stale.push(key);
            } else {
                self.remove(key);
            }
        }
        self.settle(source);
        stale
    }

    fn changed(&mut self, source: &Source, seen: Seen) -> Option<Key> {
        let state = self.sources.get_mut(source)?;
        state.known.insert(seen.key.clone(), seen.version);
        match seen.content {
            Some(content) => {
                self.put(seen.key, content);
                None
            }
            None => Some(seen.key),
        }
    }

    fn unknown(&mut self, source: &Source) {
        let Some(state) = self.sources.get_mut(source) else { return };
        state.unknown += 1;
        if !state.known.is_empty() && state.unknown < UNKNOWN_FOR_GOOD {
            return;
        }
        let gone = std::mem::take(&mut state.known);
        gone.into_keys().for_each(|key| self.remove(key));
        self.settle(source);
    }

    fn trouble(&mut self, source: &Source, trouble: Trouble) {
        let Some(state) = self.sources.get_mut(source) else { return };
        let reported = state.refusal().map(str::to_owned);
        if state.trouble.as_ref() != Some(&trouble) {
            tracing::warn!(kind = source.kind.as_str(), path = source.path(), ?trouble, "cannot be followed");
        }
        state.refused += u32::from(matches!(trouble, Trouble::Forbidden(_)));
        state.trouble = Some(trouble);
        // What we may not see does not keep the rest waiting.
        state.settled |= state.refusal().is_some();
        self.records_changed |= state.refusal() != reported.as_deref();
    }

    /// The source is as the API server has it.
    fn settle(&mut self, source: &Source) {
        let Some(state) = self.sources.get_mut(source) else { return };
        state.settled = true;
        self.records_changed |= state.refusal().is_some();
        state.refused = 0;
        state.trouble = None;
    }

    fn put(&mut self, key: Key, content: Content) {
        self.changes.insert(key, (content.change, Some(content.kept)));
    }

    fn remove(&mut self, key: Key) {
        self.changes.insert(key.clone(), (Change::Remove(key), None));
    }

    fn forget_version(&mut self, key: &Key) {
        let source = self.source_of(key);
        if let Some(state) = source.and_then(|source| self.sources.get_mut(&source)) {
            state.known.remove(key);
        }
    }

    fn set_problem(&mut self, key: &Key, problem: Option<String>) {
        if self.fetch_problems.get(key) != problem.as_ref() {
            self.records_changed = true;
            match problem {
                Some(why) => drop(self.fetch_problems.insert(key.clone(), why)),
                None => drop(self.fetch_problems.remove(key)),
            }
        }
    }

    fn source_of(&self, key: &Key) -> Option<Source> {
        let of = |namespace: Option<Arc<str>>| Source { kind: key.kind, namespace };
        [of(None), of(Some(key.namespace.clone()))].into_iter().find(|source| self.sources.contains_key(source))
    }

    fn records(&self) -> Records {
        let mut records = Records::default();
        for (source, state) in &self.sources {
            let Some(why) = state.refusal() else { continue };
            records.input.push(problem(
                source.path(),
                format!("may not be read, so its objects are not served: {why}: grant get, list and watch to the service account"),
                !state.known.is_empty(),
            ));
        }
        for (key, why) in &self.fetch_problems {
            let path =
                format!("{}/{}", Source { kind: key.kind, namespace: Some(key.namespace.clone()) }.path(), key.name);
            records.input.push(problem(path, format!("cannot be read: {why}"), false));
        }
        records.input.sort();
        records
    }
}

fn problem(path: String, message: String, last_good_kept: bool) -> InputProblem {
    InputProblem { file: Arc::new(PathBuf::from(path)), line: 0, reason: "NotPermitted", message, last_good_kept }
}

impl Seen {
    /// `object`, turned into ours.
    pub(super) fn whole(kind: Kind, object: DynamicObject, controllers: &[Arc<str>]) -> Self {
        let version = object.metadata.resource_version.clone().unwrap_or_default().into();
        let shown = object.data.get("status").unwrap_or(&Value::Null);
        let status = status::has_status(kind).then(|| status::fingerprint(kind, shown, controllers));
        let (key, content) = content(kind, object);
        Self { key, version, content: Some(content), status }
    }
}

/// What `object` of `kind` says, and whose it is.
fn content(kind: Kind, mut object: DynamicObject) -> (Key, Content) {
    let key = key_of(kind, &object.metadata);
    object.metadata.managed_fields = None;
    if let Value::Object(fields) = &mut object.data {
        fields.remove("status");
    }
    if let Some(annotations) = &mut object.metadata.annotations {
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    }
    object.types = Some(TypeMeta { api_version: preferred(kind).api_version, kind: kind.as_str().to_owned() });
    let value = serde_json::to_value(&object).unwrap_or_default();
    let kept = value.to_string().into();
    (key.clone(), Content { change: change(key, value), kept })
}

/// The change that `value`, one object under `key`, makes.
pub(super) fn change(key: Key, value: Value) -> Change {
    match document::one(value) {
        Entry::Object { object, findings, .. } => Change::Set { object, origin: None, findings },
        Entry::Refused { findings, .. } => Change::Refused { key, origin: None, findings },
        Entry::Skipped { what, .. } => refused(key, what.reason, what.message),
        Entry::Broken { reason, message, .. } => refused(key, reason, message),
    }
}

fn refused(key: Key, reason: &'static str, message: String) -> Change {
    Change::Refused { key, origin: None, findings: vec![crate::report::Finding::refused("", reason, message)] }
}

#[cfg(test)]
mod tests;
