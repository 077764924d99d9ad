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
    LEASE,
    fetch::Fetched,
    follow::Trouble,
    lease::Found,
    resource::{Source, key_of, preferred},
};
use crate::{
    kubernetes::{
        document::{self, Entry},
        object::{Kind, record},
        status::{self, OTHER_INSTALLATION},
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
    /// Its watch holds.
    Held(Source),
    /// The API has no such kind.
    Unknown(Source),
    /// It cannot be followed at the moment.
    Trouble(Source, Trouble),
    /// Of which release the definitions of the Gateway API are, if that is known.
    Bundle(Option<Arc<str>>),
}

/// What is to be kept on disk: the text of an object, or that it has gone.
pub(super) type Write = (Key, Option<Arc<str>>);

/// See the module.
#[derive(Debug)]
pub(super) struct Collector {
    sources: BTreeMap<Source, State>,
    /// Whether the first batch has been handed over.
    begun: bool,
    /// Whether it began although routes are not known.
    incomplete: bool,
    changes: HashMap<Key, (Change, Option<Arc<str>>)>,
    answered: Vec<Key>,
    fetch_problems: BTreeMap<Key, String>,
    others: Found,
    bundle: Option<Arc<str>>,
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
    /// Times that we were refused a watch since one held last, and why.
    unwatched: (u32, String),
    trouble: Option<Trouble>,
    /// What is there, by version; of kinds that matter by reference only, what was fetched.
    known: HashMap<Key, Arc<str>>,
}

impl State {
    /// Why we may not watch it, once that is meant.
    fn unwatched(&self) -> Option<&str> {
        (self.unwatched.0 >= REFUSED_FOR_GOOD).then_some(&self.unwatched.1)
    }

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
            incomplete: false,
            changes: HashMap::new(),
            answered: Vec::new(),
            fetch_problems: BTreeMap::new(),
            others: Found::default(),
            bundle: None,
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
        let current = |state: &State| {
            let is_known = || state.refusal().is_some() || state.unwatched().is_some();
            state.settled && (state.trouble.is_none() || is_known())
        };
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

    /// Begins without the kinds that cannot be listed, if there is no more to wait for: everything else has been, so the
    /// API server is there, and each of these is in trouble. Says which they are.
    pub(super) fn begin_without(&mut self) -> Vec<Source> {
        let missing = || self.sources.iter().filter(|(_, state)| !state.settled);
        let is_all = missing().count() == self.sources.len();
        if is_all || missing().any(|(_, state)| state.trouble.is_none()) {
            return Vec::new();
        }
        let missing: Vec<_> = missing().map(|(source, _)| source.clone()).collect();
        self.begun = true;
        self.incomplete = missing.iter().any(|source| source.kind.is_routing());
        self.records_changed = true;
        self.noticed.get_or_insert_with(Instant::now);
        missing
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
            Told::Held(source) => {
                self.held(&source);
                Vec::new()
            }
            Told::Unknown(source) => {
                self.unknown(&source);
                Vec::new()
            }
            Told::Bundle(bundle) => {
                self.records_changed |= self.bundle != bundle;
                self.bundle = bundle;
                Vec::new()
            }
            Told::Trouble(source, trouble) => {
                self.trouble(&source, trouble);
                Vec::new()
            }
        }
    }

    /// Who else speaks for our controllers.
    pub(super) fn others(&mut self, found: &Found) {
        self.records_changed |= self.others != *found;
        self.others.clone_from(found);
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
        let is_routing = |source: &Source| source.kind.is_routing();
        let is_whole = || self.sources.iter().all(|(source, state)| state.settled || !is_routing(source));
        // What was kept on disk serves for what could not be listed; without it, until it is listed.
        let was_incomplete = self.incomplete;
        self.incomplete &= !is_whole();
        let nothing = was_incomplete == self.incomplete
            && self.changes.is_empty()
            && self.answered.is_empty()
            && !self.records_changed;
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
        batch.incomplete = self.incomplete;
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
        if !gone.is_empty() {
            let (kind, path, objects) = (source.kind.as_str(), source.path(), gone.len());
            tracing::warn!(kind, path, objects, "the kind has been removed from the API, and all its objects with it");
        }
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
        if let Trouble::Unwatched(why) = &trouble {
            let was_meant = state.unwatched().is_some();
            state.unwatched = (state.unwatched.0.saturating_add(1), why.clone());
            self.records_changed |= state.unwatched().is_some() != was_meant;
        }
        state.trouble = Some(trouble);
        // What we may not see does not keep the rest waiting.
        state.settled |= state.refusal().is_some();
        self.records_changed |= state.refusal() != reported.as_deref() || (self.begun && !state.settled);
    }

    /// What we may not watch we may now.
    fn held(&mut self, source: &Source) {
        let Some(state) = self.sources.get_mut(source) else { return };
        self.records_changed |= state.unwatched().is_some();
        state.unwatched = (0, String::new());
    }

    /// The source is as the API server has it.
    fn settle(&mut self, source: &Source) {
        let Some(state) = self.sources.get_mut(source) else { return };
        self.records_changed |= state.refusal().is_some() || !state.settled;
        state.settled = true;
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
        let mut records = Records { bundle: self.bundle.clone(), ..Records::default() };
        for (source, state) in &self.sources {
            if let (false, Some(Trouble::Passing(why))) = (state.settled, &state.trouble) {
                records.input.push(not_listed(source, state, why));
            }
            if let Some(why) = state.unwatched() {
                let message = format!(
                    "may be listed and not watched, so changes are seen seconds late and cost the API server a list each time: {why}: grant watch to the service account"
                );
                records.input.push(problem(source.path(), message, true));
            }
            let Some(why) = state.refusal() else { continue };
            let message = format!(
                "may not be read, so its objects are not served: {why}: grant get, list and watch to the service account"
            );
            records.input.push(problem(source.path(), message, !state.known.is_empty()));
        }
        for (key, why) in &self.fetch_problems {
            let path =
                format!("{}/{}", Source { kind: key.kind, namespace: Some(key.namespace.clone()) }.path(), key.name);
            records.input.push(problem(path, format!("cannot be read: {why}"), false));
        }
        records.input.extend(self.others.others.iter().map(|other| other_installation(other, &self.others)));
        records.input.sort();
        records
    }
}

fn other_installation(other: &str, found: &Found) -> InputProblem {
    let us = &found.own;
    let writes = found.elder.as_ref().unwrap_or(us);
    let message = format!(
        "the Posterns in namespaces {us} and {other} speak for the same controllers; both serve, and the oldest, in {writes}, writes status: uninstall one of them, or give them classes of their own"
    );
    let path = format!("/apis/coordination.k8s.io/v1/namespaces/{other}/leases/{LEASE}");
    InputProblem { reason: OTHER_INSTALLATION, ..problem(path, message, true) }
}

fn not_listed(source: &Source, state: &State, why: &str) -> InputProblem {
    let last_good_kept = !state.known.is_empty();
    let instead = match (last_good_kept, source.kind.is_routing()) {
        (true, _) => "what is kept on disk is served",
        (false, true) => "requests that match no route are answered 503",
        (false, false) => "what refers to its objects is closed",
    };
    let message = format!("could not be listed since the start, so until it can, {instead}: {why}");
    InputProblem { reason: "NotListed", ..problem(source.path(), message, last_good_kept) }
}

fn problem(path: String, message: String, last_good_kept: bool) -> InputProblem {
    InputProblem { file: Arc::new(PathBuf::from(path)), line: 0, reason: "NotPermitted", message, last_good_kept }
}

impl Seen {
    /// `object`, turned into ours.
    pub(super) fn whole(kind: Kind, object: DynamicObject, controllers: &[Arc<str>]) -> Self {
        let version = object.metadata.resource_version.clone().unwrap_or_default().into();
        let shown = object.data.get("status").unwrap_or(&Value::Null);
        let shown = || status::shown(kind, object.metadata.annotations.as_ref(), shown);
        let status = status::has_status(kind).then(|| status::fingerprint(kind, &shown(), controllers));
        let (key, content) = content(kind, object);
        Self { key, version, content: Some(content), status }
    }
}

/// What `object` of `kind` says, and whose it is.
fn content(kind: Kind, mut object: DynamicObject) -> (Key, Content) {
    let key = key_of(kind, &object.metadata);
    if let Some(claimed) = object.types.as_ref().filter(|types| types.kind != kind.as_str()) {
        let message =
            format!("the API server sent an object of kind {} among those of {}", claimed.kind, kind.as_str());
        return (key.clone(), Content { change: refused(key, "WrongKind", message), kept: Arc::default() });
    }
    object.metadata.managed_fields = None;
    if let Value::Object(fields) = &mut object.data
        && let Some(record) = fields.remove("status").and_then(|status| record(kind, &status))
    {
        fields.insert("status".to_owned(), record);
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
