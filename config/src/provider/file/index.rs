//! Which document of which file defines which object. Decides between several, keeps what a broken file formerly
//! defined, and says what has changed since it was last asked.
//!
//! No I/O. Keeps neither texts nor trees: a document is its hash, its line and its entries, and the object of an
//! entry is shared with whoever was told of it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::PathBuf,
    sync::Arc,
};

use foldhash::fast::RandomState;

use crate::{
    kubernetes::{
        document::Entry,
        object::Object,
        store::{Change, Key},
    },
    provider::Records,
    report::{Finding, InputProblem, Origin},
};

/// 128 bits of a document's bytes.
pub(super) type Hash = u128;

/// A document in the index, until it is taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct DocumentId(usize);

/// A document of a file's new content.
#[derive(Debug)]
pub(super) enum Incoming {
    /// One that the file had before, by its bytes.
    Known(DocumentId),
    /// Another.
    Parsed(Hash, Vec<Entry>),
}

/// A whole file that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unreadable {
    /// Machine-readable reason.
    pub(super) reason: &'static str,
    /// What is wrong and the way out.
    pub(super) message: String,
    /// Whether something that was read there before stays.
    pub(super) last_good_kept: bool,
}

/// What changed since the last time.
#[derive(Debug, Default)]
pub(super) struct Difference {
    pub(super) changes: Vec<Change>,
    pub(super) moved: Vec<(Key, Origin)>,
    pub(super) records: Option<Records>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Index {
    files: BTreeMap<Arc<PathBuf>, File>,
    documents: HashMap<DocumentId, Document, RandomState>,
    objects: HashMap<Key, Claims, RandomState>,
    /// Keys whose claims changed since the last difference.
    touched: BTreeSet<Key>,
    /// Documents that stand on another line since the last difference.
    moved: BTreeSet<DocumentId>,
    /// Documents with something that is no object.
    noted: BTreeSet<DocumentId>,
    /// Keys with more than one claim.
    contested: BTreeSet<Key>,
    /// The same when records were last told.
    reported: BTreeSet<Key>,
    records_stale: bool,
    next: usize,
}

#[derive(Debug, Default)]
struct File {
    documents: Vec<DocumentId>,
    /// Former documents, of which some objects stay while the file is broken.
    kept: Vec<DocumentId>,
    unreadable: Option<Unreadable>,
}

#[derive(Debug)]
struct Document {
    file: Arc<PathBuf>,
    line: u32,
    hash: Hash,
    kept: bool,
    entries: Vec<Entry>,
}

/// An entry of a document.
type Claim = (DocumentId, usize);

#[derive(Debug, Default)]
struct Claims {
    by: Vec<Claim>,
    /// What was last told.
    shown: Option<Shown>,
}

#[derive(Debug)]
struct Shown {
    /// `None`: refused.
    object: Option<Object>,
    findings: Vec<Finding>,
    origin: Origin,
}

impl Document {
    fn line_of(&self, entry: &Entry) -> u32 {
        self.line.saturating_add(entry.line())
    }

    fn is_broken(&self) -> bool {
        self.entries.iter().any(|entry| matches!(entry, Entry::Broken { .. }))
    }

    fn is_noted(&self) -> bool {
        self.entries.iter().any(|entry| entry.key().is_none())
    }
}

impl Index {
    /// The documents that `file` has, by their bytes; each may be handed back once as [`Incoming::Known`].
    pub(super) fn known(&self, file: &PathBuf) -> HashMap<Hash, Vec<DocumentId>, RandomState> {
        let mut known: HashMap<Hash, Vec<DocumentId>, RandomState> = HashMap::default();
        let documents = self.files.get(file).into_iter().flat_map(|file| file.documents.iter().rev());
        for id in documents {
            if let Some(document) = self.documents.get(id) {
                known.entry(document.hash).or_default().push(*id);
            }
        }
        known
    }

    /// The files that are known, readable or not.
    pub(super) fn files(&self) -> impl Iterator<Item = &Arc<PathBuf>> {
        self.files.keys()
    }

    /// `file` now consists of `incoming`, each with its line.
    pub(super) fn replace(&mut self, file: &Arc<PathBuf>, incoming: Vec<(u32, Incoming)>) {
        let before = self.files.remove(file).unwrap_or_default();
        let documents: Vec<_> = incoming.into_iter().map(|(line, document)| self.take(file, line, document)).collect();
        let present: BTreeSet<_> = documents.iter().copied().collect();
        let gone: Vec<_> = before.documents.into_iter().filter(|id| !present.contains(id)).chain(before.kept).collect();
        let broken = documents.iter().any(|id| self.documents.get(id).is_some_and(Document::is_broken));
        let kept =
            if broken { gone.into_iter().filter(|id| self.keep(*id, &present)).collect() } else { self.drop_all(gone) };
        self.records_stale |= before.unreadable.is_some() || broken;
        self.files.insert(file.clone(), File { documents, kept, unreadable: None });
    }

    /// `file` cannot be read: what it defined stays.
    pub(super) fn fail(&mut self, file: &Arc<PathBuf>, why: Unreadable) {
        let file = self.files.entry(file.clone()).or_default();
        self.records_stale |= file.unreadable.as_ref() != Some(&why);
        file.unreadable = Some(why);
    }

    /// `file` has gone, and what it defined with it.
    pub(super) fn remove(&mut self, file: &PathBuf) {
        if let Some(file) = self.files.remove(file) {
            self.records_stale |= file.unreadable.is_some();
            self.drop_all(file.documents.into_iter().chain(file.kept));
        }
    }

    /// Changes and records since the last call.
    pub(super) fn difference(&mut self) -> Difference {
        let mut difference = Difference::default();
        let moved = std::mem::take(&mut self.moved);
        self.touch_contested(&moved);
        for key in std::mem::take(&mut self.touched) {
            self.records_stale |= self.contested.contains(&key) || self.reported.contains(&key);
            self.settle(key, &mut difference);
        }
        for id in moved {
            self.follow(id, &mut difference.moved);
        }
        if std::mem::take(&mut self.records_stale) {
            self.reported.clone_from(&self.contested);
            difference.records = Some(self.records());
        }
        difference
    }

    /// Where several documents claim a key, a move may decide between them anew.
    fn touch_contested(&mut self, moved: &BTreeSet<DocumentId>) {
        if self.contested.is_empty() {
            return;
        }
        let documents = moved.iter().filter_map(|id| self.documents.get(id));
        let keys = documents.flat_map(keys).map(|(_, key)| key).filter(|key| self.contested.contains(key));
        self.touched.extend(keys.collect::<Vec<_>>());
    }

    fn take(&mut self, file: &Arc<PathBuf>, line: u32, document: Incoming) -> DocumentId {
        match document {
            Incoming::Known(id) => {
                self.shift(id, line);
                id
            }
            Incoming::Parsed(hash, entries) => {
                let document = Document { file: file.clone(), line, hash, kept: false, entries };
                self.add(document)
            }
        }
    }

    fn shift(&mut self, id: DocumentId, line: u32) {
        let Some(document) = self.documents.get_mut(&id) else { return };
        if document.line != line {
            document.line = line;
            self.moved.insert(id);
            self.records_stale |= self.noted.contains(&id);
        }
    }

    fn add(&mut self, document: Document) -> DocumentId {
        let id = DocumentId(self.next);
        self.next += 1;
        for (at, entry) in document.entries.iter().enumerate() {
            let Some(key) = entry.key() else { continue };
            let claims = self.objects.entry(key.clone()).or_default();
            claims.by.push((id, at));
            if claims.by.len() > 1 {
                self.contested.insert(key.clone());
            }
            self.touched.insert(key.clone());
        }
        if document.is_noted() {
            self.noted.insert(id);
            self.records_stale = true;
        }
        self.documents.insert(id, document);
        id
    }

    fn drop_all(&mut self, ids: impl IntoIterator<Item = DocumentId>) -> Vec<DocumentId> {
        for id in ids {
            let keys = self.documents.get(&id).map(keys).unwrap_or_default();
            keys.into_iter().for_each(|(at, key)| self.withdraw((id, at), &key));
            self.forget(id);
        }
        Vec::new()
    }

    fn forget(&mut self, id: DocumentId) {
        self.records_stale |= self.noted.remove(&id);
        self.moved.remove(&id);
        self.documents.remove(&id);
    }

    fn withdraw(&mut self, claim: Claim, key: &Key) {
        let Some(claims) = self.objects.get_mut(key) else { return };
        let before = claims.by.len();
        claims.by.retain(|other| *other != claim);
        if claims.by.len() < before {
            self.touched.insert(key.clone());
            if claims.by.len() < 2 {
                self.contested.remove(key);
            }
        }
    }

    /// Keeps what document `id`, which is no longer in its file, defined and the file's `present` ones do not.
    /// Says whether anything is left of it.
    fn keep(&mut self, id: DocumentId, present: &BTreeSet<DocumentId>) -> bool {
        let Some(document) = self.documents.get_mut(&id) else { return false };
        document.kept = true;
        let mut left = false;
        for (at, key) in keys(document) {
            let claims = self.objects.get(&key).map(|claims| claims.by.as_slice()).unwrap_or_default();
            if claims.iter().any(|(other, _)| present.contains(other)) {
                self.withdraw((id, at), &key);
            } else {
                left |= claims.contains(&(id, at));
                self.touched.insert(key);
            }
        }
        self.records_stale |= self.noted.remove(&id);
        if !left {
            self.forget(id);
        }
        left
    }

    /// Tells where the objects of a document stand now that it has moved.
    fn follow(&mut self, id: DocumentId, moved: &mut Vec<(Key, Origin)>) {
        let Some(document) = self.documents.get(&id) else { return };
        for (at, key) in keys(document) {
            let Some(claims) = self.objects.get_mut(&key).filter(|claims| claims.by == [(id, at)]) else { continue };
            let origin = document.entries.get(at).map(|entry| origin(document, entry));
            let (Some(shown), Some(origin)) = (&mut claims.shown, origin) else { continue };
            if shown.origin != origin {
                shown.origin = origin.clone();
                moved.push((key, origin));
            }
        }
    }

    /// The best claim on `key`: a standing one before a kept one, then the first by place.
    fn winner(&self, claims: &Claims) -> Option<(&Document, &Entry)> {
        self.ranked(claims).into_iter().next()
    }

    fn ranked(&self, claims: &Claims) -> Vec<(&Document, &Entry)> {
        let entry = |(id, at): &Claim| {
            let document = self.documents.get(id)?;
            Some((document, document.entries.get(*at)?, *at))
        };
        let mut found: Vec<_> = claims.by.iter().filter_map(entry).collect();
        found.sort_by_key(|(document, entry, at)| (document.kept, &document.file, document.line_of(entry), *at));
        found.into_iter().map(|(document, entry, _)| (document, entry)).collect()
    }

    /// Adds what is to be told of `key` now, if it differs from what was told.
    fn settle(&mut self, key: Key, difference: &mut Difference) {
        let Some(claims) = self.objects.get(&key) else { return };
        let Some((document, entry)) = self.winner(claims) else {
            let shown = self.objects.remove(&key).and_then(|claims| claims.shown);
            difference.changes.extend(shown.map(|_| Change::Remove(key)));
            return;
        };
        let Some(shown) = Shown::of(document, entry) else { return };
        match &claims.shown {
            Some(before) if before.says(&shown) && before.origin == shown.origin => return,
            Some(before) if before.says(&shown) => difference.moved.push((key.clone(), shown.origin.clone())),
            _ => difference.changes.push(shown.change(&key)),
        }
        self.objects.entry(key).or_default().shown = Some(shown);
    }

    fn records(&self) -> Records {
        let mut records = Records::default();
        for (path, file) in &self.files {
            records.input.extend(file.unreadable.iter().map(|why| InputProblem {
                file: path.clone(),
                line: 0,
                reason: why.reason,
                message: why.message.clone(),
                last_good_kept: why.last_good_kept,
            }));
        }
        for document in self.noted.iter().filter_map(|id| self.documents.get(id)) {
            self.note(document, &mut records);
        }
        for claims in self.contested.iter().filter_map(|key| self.objects.get(key)) {
            records.input.extend(self.duplicates(claims));
        }
        records.input.sort();
        records.skipped.sort();
        records
    }

    fn note(&self, document: &Document, records: &mut Records) {
        for entry in &document.entries {
            let line = document.line_of(entry);
            match entry {
                Entry::Broken { reason, message, .. } => records.input.push(InputProblem {
                    file: document.file.clone(),
                    line,
                    reason,
                    message: message.clone(),
                    last_good_kept: self.files.get(&document.file).is_some_and(|file| !file.kept.is_empty()),
                }),
                Entry::Skipped { what, .. } => records.skipped.push(what.at(document.file.clone(), line)),
                Entry::Object { .. } | Entry::Refused { .. } => {}
            }
        }
    }

    fn duplicates(&self, claims: &Claims) -> Vec<InputProblem> {
        let mut ranked = self.ranked(claims).into_iter().filter(|(document, _)| !document.kept);
        let Some((used, entry)) = ranked.next() else { return Vec::new() };
        let used = origin(used, entry);
        let problem = |(document, entry): (&Document, &Entry)| InputProblem {
            file: document.file.clone(),
            line: document.line_of(entry),
            reason: "DuplicateObject",
            message: format!(
                "{} is defined at {used} too, and that one is used: remove one of them",
                entry.key().map(|key| key.id().to_string()).unwrap_or_default()
            ),
            last_good_kept: false,
        };
        ranked.map(problem).collect()
    }
}

/// The keys of a document's objects, with the number of each one's entry.
fn keys(document: &Document) -> Vec<(usize, Key)> {
    document.entries.iter().enumerate().filter_map(|(at, entry)| Some((at, entry.key()?.clone()))).collect()
}

fn origin(document: &Document, entry: &Entry) -> Origin {
    Origin { file: document.file.clone(), line: document.line_of(entry) }
}

impl Shown {
    fn of(document: &Document, entry: &Entry) -> Option<Self> {
        let (object, findings) = match entry {
            Entry::Object { object, findings, .. } => (Some(object.clone()), findings.clone()),
            Entry::Refused { findings, .. } => (None, findings.clone()),
            Entry::Skipped { .. } | Entry::Broken { .. } => return None,
        };
        Some(Self { object, findings, origin: origin(document, entry) })
    }

    /// Whether both say the same, wherever it stands.
    fn says(&self, other: &Self) -> bool {
        self.findings == other.findings && self.object == other.object
    }

    fn change(&self, key: &Key) -> Change {
        let (origin, findings) = (Some(self.origin.clone()), self.findings.clone());
        match &self.object {
            Some(object) => Change::Set { object: object.clone(), origin, findings },
            None => Change::Refused { key: key.clone(), origin, findings },
        }
    }
}
