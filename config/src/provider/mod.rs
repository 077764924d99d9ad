//! Where objects come from; the only part of this crate that does I/O. One folder per provider.

pub mod file;
pub mod kubernetes;

use std::{
    collections::BTreeSet,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use imbl::OrdMap;

use crate::{
    allocation::Ledger,
    kubernetes::{
        event::Tell,
        store::{Change, Key, Store},
    },
    report::{InputProblem, Origin, Report, SkippedObject},
    snapshot::Announcement,
};

/// What a provider has to say at one time.
#[derive(Debug)]
pub struct Batch {
    /// Changed objects, each at most once.
    pub changes: Vec<Change>,
    /// Objects that are as they were but stand elsewhere now.
    pub moved: Vec<(Key, Origin)>,
    /// What is no object, if that differs from the batch before.
    pub records: Option<Records>,
    /// When the provider was told of the change, before it waited for more.
    pub noticed: Instant,
    /// How long reading and parsing took.
    pub took: Duration,
    /// Files that were read.
    pub files: usize,
    /// Documents that were parsed; the others were known by their bytes.
    pub documents: usize,
    /// Objects that were demanded and are now in `changes`, or known not to be there.
    pub answered: Vec<Key>,
    /// Whether routes may be missing, because a kind of them is not known yet.
    pub incomplete: bool,
}

/// Objects that others refer to, of kinds that are only fetched when they do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// Referred to from now on.
    pub wanted: Vec<Key>,
    /// Referred to no more.
    pub unwanted: Vec<Key>,
}

impl Demand {
    /// Asks for what `later` asks for too.
    pub fn add(&mut self, later: Self) {
        self.wanted.retain(|key| !later.unwanted.contains(key));
        self.unwanted.retain(|key| !later.wanted.contains(key));
        self.wanted.extend(later.wanted);
        self.unwanted.extend(later.unwanted);
    }

    /// Whether it asks for nothing.
    pub fn is_empty(&self) -> bool {
        self.wanted.is_empty() && self.unwanted.is_empty()
    }
}

/// What is in force on this node: what the cluster is shown follows of it.
#[derive(Clone, Debug)]
pub struct InForce {
    /// The objects.
    pub store: Store,
    /// What became of each.
    pub report: Arc<Report>,
    /// Objects that have a status and came, went or changed, or whose verdict did.
    pub touched: BTreeSet<Key>,
    /// Who wants which addresses and who has them.
    pub ledger: Ledger,
    /// What should be announced.
    pub announcements: OrdMap<IpAddr, Arc<Announcement>>,
    /// What is to be told of objects.
    pub tells: Vec<Tell>,
}

impl InForce {
    /// Puts `later` in place of this one for somebody who has seen neither.
    pub fn merge(&mut self, later: Self) {
        self.touched.extend(later.touched);
        self.tells.extend(later.tells);
        (self.store, self.report, self.ledger) = (later.store, later.report, later.ledger);
        self.announcements = later.announcements;
    }
}

/// What was found that is no object at hand: all of it, not only what is new.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records {
    /// What could not be read as an object. Sorted.
    pub input: Vec<InputProblem>,
    /// Objects of kinds that are not read. Sorted.
    pub skipped: Vec<SkippedObject>,
    /// Of which release the definitions of the Gateway API in the cluster are, if that is known.
    pub bundle: Option<Arc<str>>,
}

impl Batch {
    /// Nothing yet, of what was noticed at `noticed`.
    pub fn at(noticed: Instant) -> Self {
        Self {
            changes: Vec::new(),
            moved: Vec::new(),
            records: None,
            noticed,
            took: Duration::ZERO,
            files: 0,
            documents: 0,
            answered: Vec::new(),
            incomplete: false,
        }
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.moved.is_empty() && self.records.is_none() && self.answered.is_empty()
    }
}
