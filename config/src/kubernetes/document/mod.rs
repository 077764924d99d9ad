//! Bytes of a file → objects. Pure: no I/O, no clock, and nothing that a foreign byte could make panic.
//!
//! ```text
//! bytes ──split──> chunks ──text──> serde_json::Value ──read──> Entry (object, refusal, skipped, broken)
//! ```
//!
//! A chunk is the unit of failure and of caching: a broken document costs only itself. Positions below the document
//! are not kept; [`locate`] reads one document again when there is something to show.
//! Nothing here decides between two objects of the same key, and nothing remembers an earlier state:
//! that is the provider's part.

pub mod locate;
mod name;
mod nearest;
mod read;
mod split;
mod text;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

pub use split::{Chunk, MAX_FILE_BYTES, split};

use super::{object::Object, store::Change, store::Key};
use crate::report::{Finding, InputProblem, Origin, SkippedObject};

/// The documents of text that is known to be good, whatever they are; others are left out.
pub(super) fn values(text: &[u8]) -> Vec<serde_json::Value> {
    split(text).into_iter().filter_map(|chunk| text::parse(chunk.bytes).ok().flatten()).collect()
}

/// What was found in a document. `line` counts from the document's first line, which is 0.
#[derive(Clone, Debug)]
pub enum Entry {
    /// An object of a kind that is read.
    Object {
        /// Its key.
        key: Key,
        /// The object.
        object: Object,
        /// Where it starts.
        line: u32,
        /// Fields that nobody knows.
        findings: Vec<Finding>,
    },
    /// An object of a kind that is read, with a field of the wrong type.
    Refused {
        /// Its key.
        key: Key,
        /// Where it starts.
        line: u32,
        /// Why; at least one.
        findings: Vec<Finding>,
    },
    /// An object of a kind that is not read.
    Skipped {
        /// Where it starts.
        line: u32,
        /// What it is; `file` and `line` are those of the record that is made of it.
        what: Box<Skipped>,
    },
    /// What is no object at all.
    Broken {
        /// Where.
        line: u32,
        /// Machine-readable reason.
        reason: &'static str,
        /// What is wrong and the way out.
        message: String,
    },
}

/// An object of a kind that is not read, without its place.
#[derive(Clone, Debug)]
pub struct Skipped {
    /// `apiVersion` as written.
    pub api_version: String,
    /// `kind` as written.
    pub kind: String,
    /// Namespace as written.
    pub namespace: String,
    /// Name as written.
    pub name: String,
    /// Machine-readable reason.
    pub reason: &'static str,
    /// Why.
    pub message: String,
    /// Whether Postern ought to do what the object asks.
    pub refused: bool,
}

impl Entry {
    /// The object's key, where there is one.
    pub fn key(&self) -> Option<&Key> {
        match self {
            Self::Object { key, .. } | Self::Refused { key, .. } => Some(key),
            Self::Skipped { .. } | Self::Broken { .. } => None,
        }
    }

    /// Where it starts in its document.
    pub fn line(&self) -> u32 {
        match self {
            Self::Object { line, .. }
            | Self::Refused { line, .. }
            | Self::Skipped { line, .. }
            | Self::Broken { line, .. } => *line,
        }
    }
}

/// The entries of one chunk: none for a document that is empty or holds only comments.
pub fn parse(chunk: &[u8]) -> Vec<Entry> {
    match text::parse(chunk) {
        Ok(None) => Vec::new(),
        Ok(Some(document)) => read::document(document, || locate::items(chunk), split::first_content_line(chunk)),
        Err(broken) => {
            vec![Entry::Broken { line: broken.line, reason: broken.reason, message: broken.message }]
        }
    }
}

/// The entry of one object that is a tree already, as the API server sends it.
pub fn one(object: serde_json::Value) -> Entry {
    read::single(object)
}

/// A whole file, parsed.
#[derive(Clone, Debug, Default)]
pub struct ParsedFile {
    /// Objects, in the order of the file. Two with one key are both here.
    pub changes: Vec<Change>,
    /// What is no object.
    pub input: Vec<InputProblem>,
    /// Objects of kinds that are not read.
    pub skipped: Vec<SkippedObject>,
}

/// Parses a whole file; `file` only names it.
pub fn parse_bytes(file: &Path, bytes: &[u8]) -> ParsedFile {
    let file = Arc::new(file.to_path_buf());
    let mut parsed = ParsedFile::default();
    for chunk in split(bytes) {
        for entry in parse(chunk.bytes) {
            parsed.add(&file, chunk.line, entry);
        }
    }
    parsed
}

impl ParsedFile {
    fn add(&mut self, file: &Arc<PathBuf>, first: u32, entry: Entry) {
        let line = first.saturating_add(entry.line());
        let origin = Some(Origin { file: file.clone(), line });
        match entry {
            Entry::Object { object, findings, .. } => self.changes.push(Change::Set { object, origin, findings }),
            Entry::Refused { key, findings, .. } => self.changes.push(Change::Refused { key, origin, findings }),
            Entry::Skipped { what, .. } => self.skipped.push(what.at(file.clone(), line)),
            Entry::Broken { reason, message, .. } => {
                self.input.push(InputProblem { file: file.clone(), line, reason, message, last_good_kept: false });
            }
        }
    }
}

impl Skipped {
    /// The record of it, with its place.
    pub fn at(&self, file: Arc<PathBuf>, line: u32) -> SkippedObject {
        SkippedObject {
            file,
            line,
            api_version: self.api_version.clone(),
            kind: self.kind.clone(),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            reason: self.reason,
            message: self.message.clone(),
            refused: self.refused,
        }
    }
}

#[cfg(test)]
mod tests;
