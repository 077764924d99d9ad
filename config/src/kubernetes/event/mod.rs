//! Verdicts → what `kubectl describe` should tell of an object: one notice for each reason for which a part of it is not
//! served, and the event that a change of notices is worth.
//!
//! Pure: whoever writes events gives time, holds the Lease and keeps the rate. What protects and cannot be carried out is
//! refused, so it is told; what merely has no effect is left to status and log.

mod related;

use std::sync::Arc;

use crate::{
    allocation::Assignment,
    kubernetes::{
        object::Object,
        status::{OTHER_INSTALLATION, said, shortened_to},
        store::Key,
    },
    report::{Finding, Severity, Verdict},
};

/// Reasons of one object that are told; the worst come first, status and `/api/v1/problems` have the rest.
const MOST_REASONS: usize = 4;
/// What the API takes (`ValidateEvent` of kube-apiserver).
pub(super) const MOST_BYTES: usize = 1024;

/// One thing that is wrong with an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Upper camel case: that of the findings.
    pub reason: &'static str,
    /// Fields, causes and ways out.
    pub note: String,
    /// The object that has to be mended, where it is another.
    pub related: Option<Key>,
}

/// What an object's notices are, from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tell {
    /// Which object.
    pub key: Key,
    /// None: all of it is served, or it is nobody's.
    pub notices: Arc<[Notice]>,
}

/// What is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A `Warning`.
    Wrong(Notice),
    /// A `Normal`: nothing is wrong any more.
    Mended,
    /// A `Normal`: something was done.
    Done {
        /// Upper camel case.
        reason: &'static str,
        /// What.
        note: String,
    },
}

impl Event {
    /// `type`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Wrong(_) => "Warning",
            Self::Mended | Self::Done { .. } => "Normal",
        }
    }

    /// `reason`.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Wrong(notice) => notice.reason,
            Self::Mended => "Accepted",
            Self::Done { reason, .. } => reason,
        }
    }

    /// `note`.
    pub fn note(&self) -> &str {
        match self {
            Self::Wrong(notice) => &notice.note,
            Self::Mended => "Everything in it is served; what was wrong has been mended",
            Self::Done { note, .. } => note,
        }
    }

    /// `related`.
    pub fn related(&self) -> Option<&Key> {
        match self {
            Self::Wrong(notice) => notice.related.as_ref(),
            Self::Mended | Self::Done { .. } => None,
        }
    }
}

/// What is wrong with an object that has `verdict`; `object` is missing where it could not be read as one.
pub fn notices(object: Option<&Object>, verdict: &Verdict) -> Arc<[Notice]> {
    let mut reasons: Vec<(&'static str, Vec<&Finding>)> = Vec::new();
    for finding in verdict.findings.iter().filter(|finding| finding.severity == Severity::Refused) {
        match reasons.iter_mut().find(|(reason, _)| *reason == finding.reason) {
            Some((_, findings)) => findings.push(finding),
            None => reasons.push((finding.reason, vec![finding])),
        }
    }
    let notice = |(reason, findings): (&'static str, Vec<&Finding>)| {
        let related = object.and_then(|object| findings.iter().find_map(|finding| related::of(object, &finding.field)));
        Notice { reason, note: shortened_to(said(&findings), MOST_BYTES), related }
    };
    reasons.into_iter().take(MOST_REASONS).map(notice).collect()
}

/// That another installation speaks for the same controllers.
pub fn of_others(what: &str) -> Notice {
    Notice { reason: OTHER_INSTALLATION, note: shortened_to(what.to_owned(), MOST_BYTES), related: None }
}

/// That addresses were given, as MetalLB tells it.
pub fn of_assignment(assignment: &Assignment) -> Event {
    let addresses: Vec<_> = assignment.addresses.iter().map(ToString::to_string).collect();
    let note = format!("Assigned IP {} of pool {}", addresses.join(", "), assignment.pool);
    Event::Done { reason: "IPAllocated", note: shortened_to(note, MOST_BYTES) }
}

/// What is worth telling when an object's notices change.
pub fn difference(before: &[Notice], after: &[Notice]) -> Vec<Event> {
    if after.is_empty() {
        return if before.is_empty() { Vec::new() } else { vec![Event::Mended] };
    }
    after.iter().filter(|notice| !before.contains(notice)).cloned().map(Event::Wrong).collect()
}

#[cfg(test)]
mod tests;
