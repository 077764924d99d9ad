//! Verdicts: what became of each object, and what could not be read as one.

use postern_config::{
    model::id::ObjectId,
    report::{Finding, InputProblem, Report, SkippedObject, Verdict},
};
use serde::Serialize;

/// One object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectView {
    /// Kind as the object spells it.
    pub kind: String,
    /// Empty for cluster-scoped kinds.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// `accepted`, `warning`, `ignored` or `refused`.
    pub verdict: &'static str,
    /// Where it was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// First line in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// Worst first.
    pub findings: Vec<FindingView>,
}

/// One thing to know about an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FindingView {
    /// `warning`, `ignored` or `refused`.
    pub severity: &'static str,
    /// The field; empty for the object as a whole.
    pub field: String,
    /// Machine-readable reason.
    pub reason: String,
    /// What is wrong.
    pub message: String,
    /// The way out.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub remedy: String,
    /// Line of the field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
}

/// What could not be read as an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InputView {
    /// File or directory.
    pub file: String,
    /// Line; 0 for the file as a whole.
    pub line: u32,
    /// Machine-readable reason.
    pub reason: String,
    /// What is wrong and the way out.
    pub message: String,
    /// Whether the last good content is still served.
    pub last_good_kept: bool,
}

/// An object of a kind that is not read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SkippedView {
    /// `apiVersion` as written.
    pub api_version: String,
    /// `kind` as written.
    pub kind: String,
    /// Namespace as written.
    pub namespace: String,
    /// Name as written.
    pub name: String,
    /// Where it was read.
    pub file: String,
    /// Line in it.
    pub line: u32,
    /// Machine-readable reason.
    pub reason: String,
    /// Why.
    pub message: String,
    /// Whether it asks for something that Postern ought to do and does not.
    pub refused: bool,
}

/// `verdict` about `id`.
pub fn object(id: &ObjectId, verdict: &Verdict) -> ObjectView {
    ObjectView {
        kind: id.kind.to_string(),
        namespace: id.namespace.to_string(),
        name: id.name.to_string(),
        verdict: verdict.worst().map_or("accepted", |severity| severity.as_str()),
        file: verdict.origin.as_ref().map(|origin| origin.file.display().to_string()),
        line: verdict.origin.as_ref().map(|origin| origin.line),
        findings: verdict.findings.iter().map(finding).collect(),
    }
}

/// Every object, in the report's order.
pub fn objects(report: &Report) -> impl Iterator<Item = ObjectView> {
    report.objects.iter().map(|(id, verdict)| object(id, verdict))
}

fn finding(finding: &Finding) -> FindingView {
    FindingView {
        severity: finding.severity.as_str(),
        field: finding.field.clone(),
        reason: finding.reason.to_owned(),
        message: finding.message.clone(),
        remedy: finding.remedy.clone(),
        line: finding.line,
    }
}

/// What could not be read.
pub fn input(problem: &InputProblem) -> InputView {
    InputView {
        file: problem.file.display().to_string(),
        line: problem.line,
        reason: problem.reason.to_owned(),
        message: problem.message.clone(),
        last_good_kept: problem.last_good_kept,
    }
}

/// An object that is not read.
pub fn skipped(object: &SkippedObject) -> SkippedView {
    SkippedView {
        api_version: object.api_version.clone(),
        kind: object.kind.clone(),
        namespace: object.namespace.clone(),
        name: object.name.clone(),
        file: object.file.display().to_string(),
        line: object.line,
        reason: object.reason.to_owned(),
        message: object.message.clone(),
        refused: object.refused,
    }
}
