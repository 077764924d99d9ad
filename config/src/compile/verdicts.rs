//! What there is to say of each object, by where it was found out, and the report made of it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use super::unit::Unit;
use crate::{
    model::{host::HostPattern, id::ObjectId},
    report::{Finding, Origin, Report, Verdict},
    snapshot::{OwnerId, Place, SocketKey},
};

/// Where a finding was found out; each replaces its own findings alone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Source {
    /// When the object was read.
    Input,
    /// When a unit was asked.
    Unit(Unit),
    /// Between all who want addresses.
    Allocation,
    /// Between rules of one place.
    Rules(Place),
    /// Between claims on a socket: number of the object's claim.
    Socket(SocketKey, usize),
    /// Between claims on an SNI pattern: number of the object's claim.
    Sni(SocketKey, HostPattern, usize),
}

/// What there is to say of each object.
#[derive(Debug, Default)]
pub(super) struct Verdicts {
    notes: HashMap<ObjectId, Notes>,
    dirty: BTreeSet<ObjectId>,
}

#[derive(Debug, Default)]
struct Notes {
    /// Whether the object is at hand; of others nothing is said.
    present: bool,
    origin: Option<Origin>,
    findings: HashMap<Source, Vec<Finding>>,
    attached: BTreeMap<Arc<str>, u32>,
}

impl Verdicts {
    /// An object was read.
    pub(super) fn enter(&mut self, object: &ObjectId, origin: Option<Origin>, findings: Vec<Finding>) {
        let notes = self.note(object);
        notes.present = true;
        notes.origin = origin;
        self.tell(object, Source::Input, findings);
    }

    /// An object stands elsewhere.
    pub(super) fn relocate(&mut self, object: &ObjectId, origin: Origin) {
        if self.notes.get(object).is_some_and(|notes| notes.present) {
            self.note(object).origin = Some(origin);
        }
    }

    /// An object has gone.
    pub(super) fn leave(&mut self, object: &ObjectId) {
        let notes = self.note(object);
        notes.present = false;
        notes.origin = None;
        self.tell(object, Source::Input, Vec::new());
    }

    /// Replaces what is known of `object` from `source`.
    pub(super) fn tell(&mut self, object: &ObjectId, source: Source, findings: Vec<Finding>) {
        if findings.is_empty() {
            let known = self.notes.get_mut(object).and_then(|notes| notes.findings.remove(&source));
            if known.is_some() {
                self.dirty.insert(object.clone());
            }
        } else {
            self.note(object).findings.insert(source, findings);
        }
    }

    /// Replaces what is known from `source`, of whichever objects; returns the objects that it is about.
    pub(super) fn say(
        &mut self,
        source: &Source,
        before: &[ObjectId],
        findings: Vec<(ObjectId, Finding)>,
    ) -> Vec<ObjectId> {
        let mut by_object: BTreeMap<ObjectId, Vec<Finding>> = BTreeMap::new();
        for (object, finding) in findings {
            by_object.entry(object).or_default().push(finding);
        }
        for object in before.iter().filter(|object| !by_object.contains_key(*object)) {
            self.tell(object, source.clone(), Vec::new());
        }
        let about = by_object.keys().cloned().collect();
        for (object, findings) in by_object {
            self.tell(&object, source.clone(), findings);
        }
        about
    }

    /// Replaces the parts that one object is attached to.
    pub(super) fn attach(&mut self, before: &[OwnerId], after: &[OwnerId]) {
        if before == after {
            return;
        }
        for owner in after {
            *self.note(&owner.object).attached.entry(owner.section.clone()).or_insert(0) += 1;
        }
        for owner in before {
            let attached = &mut self.note(&owner.object).attached;
            let left = attached.get(&owner.section).map_or(0, |count| count.saturating_sub(1));
            if left == 0 {
                attached.remove(&owner.section);
            } else {
                attached.insert(owner.section.clone(), left);
            }
        }
    }

    /// Brings the report up to date.
    pub(super) fn write(&mut self, report: &mut Report) {
        for object in std::mem::take(&mut self.dirty) {
            let Some(notes) = self.notes.get(&object) else { continue };
            if !notes.present {
                report.objects.remove(&object);
                if notes.findings.is_empty() && notes.attached.is_empty() {
                    self.notes.remove(&object);
                }
                continue;
            }
            let verdict = notes.verdict();
            if report.objects.get(&object).is_none_or(|before| **before != verdict) {
                report.objects.insert(object, Arc::new(verdict));
            }
        }
    }

    fn note(&mut self, object: &ObjectId) -> &mut Notes {
        self.dirty.insert(object.clone());
        self.notes.entry(object.clone()).or_default()
    }
}

impl Notes {
    fn verdict(&self) -> Verdict {
        let mut findings: Vec<_> = self.findings.values().flatten().cloned().collect();
        findings.sort();
        findings.dedup();
        Verdict { origin: self.origin.clone(), findings, attached: self.attached.clone() }
    }
}
