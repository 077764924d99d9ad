//! Conditions, and the findings that they say in words.

use std::{borrow::Cow, collections::BTreeSet};

use crate::report::{Finding, Severity};

/// Findings of one condition that are said in full.
const MOST_FINDINGS: usize = 8;
/// The API takes 32768 characters; nobody reads so many.
const MOST_BYTES: usize = 4096;

/// What all these kinds call their main condition.
pub(super) const ACCEPTED: &str = "Accepted";
/// Whether everything is there that is referred to.
pub(super) const RESOLVED_REFS: &str = "ResolvedRefs";

/// A condition, without its time and generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Condition {
    /// `type`.
    pub(super) kind: &'static str,
    /// `status`.
    pub(super) holds: bool,
    /// Upper camel case.
    pub(super) reason: &'static str,
    /// For people.
    pub(super) message: String,
}

impl Condition {
    /// It holds.
    pub(super) fn yes(kind: &'static str, reason: &'static str, message: impl Into<String>) -> Self {
        Self { kind, holds: true, reason, message: message.into() }
    }

    /// It does not hold.
    pub(super) fn no(kind: &'static str, reason: &'static str, message: impl Into<String>) -> Self {
        Self { kind, holds: false, reason, message: message.into() }
    }

    /// It does not hold, for the reason of the first of `findings`, if there is one.
    pub(super) fn refused(kind: &'static str, findings: &[&Finding]) -> Option<Self> {
        findings.first().map(|first| Self::no(kind, first.reason, said(findings)))
    }

    /// Whether everything is there that `who` refers to; `findings` are about what is not.
    pub(super) fn resolved_refs(who: &str, findings: &[&Finding]) -> Self {
        let all = || Self::yes(RESOLVED_REFS, RESOLVED_REFS, format!("Everything is there that the {who} refers to"));
        Self::refused(RESOLVED_REFS, findings).unwrap_or_else(all)
    }
}

/// Findings in words, each once: field, what is wrong, and the way out.
pub(in crate::kubernetes) fn said(findings: &[&Finding]) -> String {
    let mut seen = BTreeSet::new();
    let findings: Vec<_> = findings.iter().filter(|finding| seen.insert(**finding)).collect();
    let mut parts: Vec<Cow<'_, str>> = findings.iter().take(MOST_FINDINGS).map(|finding| one(finding).into()).collect();
    if findings.len() > MOST_FINDINGS {
        parts.push(format!("and {} more", findings.len() - MOST_FINDINGS).into());
    }
    shortened(parts.join(" | "))
}

/// `good`, and what is not as it should be all the same.
pub(super) fn said_except(good: &str, findings: &[&Finding]) -> String {
    if findings.is_empty() { good.to_owned() } else { shortened(format!("{good}, except: {}", said(findings))) }
}

fn one(finding: &Finding) -> String {
    let Finding { field, message, remedy, .. } = finding;
    let message = if field.is_empty() { message.clone() } else { format!("{field}: {message}") };
    if remedy.is_empty() { message } else { format!("{message}; {remedy}") }
}

/// At most [`MOST_BYTES`] long.
pub(super) fn shortened(text: String) -> String {
    shortened_to(text, MOST_BYTES)
}

/// At most `most` bytes long, which is more than an ellipsis.
pub(in crate::kubernetes) fn shortened_to(mut text: String, most: usize) -> String {
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most.saturating_sub("…".len())));
        text.push('…');
    }
    text
}

/// What is refused, in order.
pub(super) fn refused(findings: &[Finding]) -> Vec<&Finding> {
    findings.iter().filter(|finding| finding.severity == Severity::Refused).collect()
}

/// Whether a finding is about `field` or something in it.
pub(super) fn is_in(finding: &Finding, field: &str) -> bool {
    finding.field.strip_prefix(field).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// The index of the entry of the list `list` that `field` is in, and what comes after: `spec.rules[3].name` → 3, `.name`.
pub(in crate::kubernetes) fn entry_of<'a>(field: &'a str, list: &str) -> Option<(usize, &'a str)> {
    let (index, rest) = field.strip_prefix(list)?.strip_prefix('[')?.split_once(']')?;
    Some((index.parse().ok()?, rest))
}
