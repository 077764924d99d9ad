//! Fills in the line of each finding's field, by reading the object's document again. Verdicts that did not change
//! keep their lines; a file is read once for all findings about it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
};

use imbl::{OrdMap, ordmap::DiffItem};

use crate::{
    kubernetes::document::locate::Locator,
    model::id::ObjectId,
    provider::file::read_file,
    report::{Report, Verdict},
};

type Verdicts = OrdMap<ObjectId, Arc<Verdict>>;

/// Verdicts as they come, as they are shown, and what is still to be looked up.
#[derive(Debug, Default)]
pub(super) struct Lines {
    compiled: Verdicts,
    shown: Verdicts,
    pending: BTreeSet<ObjectId>,
}

impl Lines {
    /// Takes over what changed since the last report.
    pub(super) fn take(&mut self, report: &Report) {
        let before = std::mem::replace(&mut self.compiled, report.objects.clone());
        for change in before.diff(&report.objects) {
            match change {
                DiffItem::Add(object, verdict) | DiffItem::Update { new: (object, verdict), .. } => {
                    self.put(object, verdict);
                }
                DiffItem::Remove(object, _) => {
                    self.shown.remove(object);
                    self.pending.remove(object);
                }
            }
        }
    }

    fn put(&mut self, object: &ObjectId, verdict: &Arc<Verdict>) {
        self.shown.insert(object.clone(), verdict.clone());
        let lacks = verdict.origin.is_some() && verdict.findings.iter().any(|finding| finding.line.is_none());
        if lacks {
            self.pending.insert(object.clone());
        } else {
            self.pending.remove(object);
        }
    }

    /// Looks up what is pending.
    pub(super) fn fill(&mut self) {
        for (file, objects) in self.by_file() {
            // A file that has gone meanwhile is about to be reported as such; its findings stay without lines.
            let Ok(bytes) = read_file(&file) else { continue };
            let mut locator = Locator::new(&bytes);
            for (_, object) in objects {
                if let Some(verdict) = self.shown.get_mut(&object) {
                    locate(Arc::make_mut(verdict), &mut locator);
                }
            }
        }
    }

    /// What is pending, by file and in the order of the file, so that each document is read once.
    fn by_file(&mut self) -> BTreeMap<Arc<PathBuf>, BTreeSet<(u32, ObjectId)>> {
        let mut files: BTreeMap<Arc<PathBuf>, BTreeSet<_>> = BTreeMap::new();
        for object in std::mem::take(&mut self.pending) {
            let origin = self.shown.get(&object).and_then(|verdict| verdict.origin.clone());
            if let Some(origin) = origin {
                files.entry(origin.file).or_default().insert((origin.line, object));
            }
        }
        files
    }

    /// `report` with lines, as far as they are known.
    pub(super) fn show(&self, report: &Report) -> Report {
        Report { objects: self.shown.clone(), ..report.clone() }
    }
}

fn locate(verdict: &mut Verdict, locator: &mut Locator<'_>) {
    let Some(object) = verdict.origin.as_ref().map(|origin| origin.line) else { return };
    for finding in &mut verdict.findings {
        finding.line = finding.line.or_else(|| locator.find(object, &finding.field));
    }
}
