//! One log line for each thing that is newly wrong. Warnings for what is refused, ignored or broken; what is merely
//! passed over, or another controller's, is information.

use std::sync::Arc;

use imbl::ordmap::DiffItem;
use tracing::{info, warn};

use crate::{
    model::id::ObjectId,
    report::{Finding, InputProblem, Report, Severity, SkippedObject, Verdict},
};

/// Logs what `after` says and `before` did not.
pub(super) fn difference(before: &Report, after: &Report) {
    for change in before.objects.diff(&after.objects) {
        match change {
            DiffItem::Add(object, verdict) => object_findings(object, None, verdict),
            DiffItem::Update { old: (_, old), new: (object, new) } => object_findings(object, Some(old), new),
            DiffItem::Remove(..) => {}
        }
    }
    let (known, now) = (&before.input, &after.input);
    now.iter().filter(|problem| known.binary_search(problem).is_err()).for_each(input_problem);
    let (known, now) = (&before.skipped, &after.skipped);
    now.iter().filter(|skipped| known.binary_search(skipped).is_err()).for_each(skipped_object);
}

fn object_findings(object: &ObjectId, before: Option<&Arc<Verdict>>, verdict: &Verdict) {
    let said = |message: &str, field: &str| {
        before.is_some_and(|before| before.findings.iter().any(|old| old.message == message && old.field == field))
    };
    for finding in verdict.findings.iter().filter(|finding| !said(&finding.message, &finding.field)) {
        let file = verdict.origin.as_ref().map(|origin| origin.file.display().to_string()).unwrap_or_default();
        let line = finding.line.or(verdict.origin.as_ref().map(|origin| origin.line)).unwrap_or_default();
        let Finding { severity, field, reason, message, remedy, .. } = finding;
        if *severity == Severity::Note {
            info!(%object, file, line, field, reason, "note: {message}");
        } else {
            warn!(%object, file, line, field, reason, remedy, "{}: {message}", severity.as_str());
        }
    }
}

fn input_problem(problem: &InputProblem) {
    warn!(
        file = %problem.file.display(), line = problem.line, reason = problem.reason,
        last_good_kept = problem.last_good_kept, "{}", problem.message
    );
}

fn skipped_object(skipped: &SkippedObject) {
    let (file, line) = (skipped.file.display(), skipped.line);
    let (name, namespace, reason) = (&skipped.name, &skipped.namespace, skipped.reason);
    if skipped.refused {
        warn!(%file, line, namespace, name, reason, "refused: {}", skipped.message);
    } else {
        info!(%file, line, namespace, name, reason, "skipped: {}", skipped.message);
    }
}
