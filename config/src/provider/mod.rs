//! Where objects come from; the only part of this crate that does I/O. One folder per provider.

pub mod file;

use std::time::{Duration, Instant};

use crate::{
    kubernetes::store::{Change, Key},
    report::{InputProblem, Origin, SkippedObject},
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
}

/// What was found that is no object at hand: all of it, not only what is new.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records {
    /// What could not be read as an object. Sorted.
    pub input: Vec<InputProblem>,
    /// Objects of kinds that are not read. Sorted.
    pub skipped: Vec<SkippedObject>,
}

impl Batch {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.moved.is_empty() && self.records.is_none()
    }
}
