//! `postern check`: the verdict of each object and field, without serving anything.

use std::fmt::{self, Display};

use jiff::Timestamp;
use postern_config::{publish::load_once, report::Report};
use serde::Serialize;

use super::{GOOD, REFUSED, complain, print, serve::text_pair, settings};
use crate::{
    args::{self, Output},
    settings::Said,
    view::object::{self, FindingView, InputView, ObjectView, SkippedView},
};

/// Everything that is said of a directory.
#[derive(Debug, Serialize)]
pub struct Checked {
    /// Every object.
    pub objects: Vec<ObjectView>,
    /// What could not be read.
    pub input: Vec<InputView>,
    /// Objects of kinds that are not read.
    pub skipped: Vec<SkippedView>,
    /// Whether nothing is refused or ignored.
    pub good: bool,
}

/// Checks a directory; returns the exit code.
pub(super) fn run(check: &args::Check) -> u8 {
    let variables = std::env::vars_os().filter_map(text_pair).collect();
    let said = Said { file: check.config.clone(), variables, flags: Vec::new() };
    let settings = match settings(&said) {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    let report = match load_once(&check.directory, settings.for_compiler(Timestamp::now())) {
        Ok(published) => published.report,
        Err(error) => return complain([error], REFUSED),
    };
    let checked = Checked::of(&report);
    match check.output {
        Output::Text => print(&checked),
        Output::Json => print(json(&checked)),
    }
    if checked.good { GOOD } else { REFUSED }
}

pub(super) fn json(value: &impl Serialize) -> String {
    let mut text = serde_json::to_string_pretty(value).expect("views have text keys and no failing parts");
    text.push('\n');
    text
}

impl Checked {
    /// What `report` says.
    pub fn of(report: &Report) -> Self {
        let good = report.input.is_empty()
            && report.objects.values().all(|verdict| verdict.is_good())
            && !report.skipped.iter().any(|skipped| skipped.refused);
        Self {
            objects: object::objects(report).collect(),
            input: report.input.iter().map(object::input).collect(),
            skipped: report.skipped.iter().map(object::skipped).collect(),
            good,
        }
    }

    fn count(&self, verdict: &str) -> usize {
        self.objects.iter().filter(|object| object.verdict == verdict).count()
    }
}

/// One line per thing to know: place, object, verdict, field, message, remedy, reason.
impl Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for InputView { file, line, reason, message, .. } in &self.input {
            writeln!(f, "{}: unreadable: {message} [{reason}]", place(file, *line))?;
        }
        for object in &self.objects {
            show(f, object)?;
        }
        for SkippedView { file, line, kind, namespace, name, message, reason, refused, .. } in &self.skipped {
            let verdict = if *refused { "refused" } else { "passed over" };
            let name = if namespace.is_empty() { name.clone() } else { format!("{namespace}/{name}") };
            writeln!(f, "{}: {kind} {name}: {verdict}: {message} [{reason}]", place(file, *line))?;
        }
        let unreadable = self.input.len();
        let refused_kinds = self.skipped.iter().filter(|skipped| skipped.refused).count();
        writeln!(
            f,
            "{} objects: {} accepted, {} with notes, {} with warnings, {} ignored in part, {} refused; {} of kinds that are not read, \
             {refused_kinds} of them refused; {unreadable} unreadable",
            self.objects.len(),
            self.count("accepted"),
            self.count("note"),
            self.count("warning"),
            self.count("ignored"),
            self.count("refused"),
            self.skipped.len(),
        )
    }
}

/// Line 0 is the file as a whole.
fn place(file: &str, line: u32) -> String {
    if line == 0 { file.to_owned() } else { format!("{file}:{line}") }
}

fn show(f: &mut fmt::Formatter<'_>, object: &ObjectView) -> fmt::Result {
    let file = object.file.as_deref().unwrap_or("-");
    let name =
        if object.namespace.is_empty() { object.name.clone() } else { format!("{}/{}", object.namespace, object.name) };
    let head = |line: Option<u32>| format!("{}: {} {name}", place(file, line.unwrap_or_default()), object.kind);
    if object.findings.is_empty() {
        return writeln!(f, "{}: accepted", head(object.line));
    }
    for FindingView { severity, field, reason, message, remedy, line } in &object.findings {
        let field = if field.is_empty() { String::new() } else { format!(" {field}:") };
        let remedy = if remedy.is_empty() { String::new() } else { format!("; {remedy}") };
        writeln!(f, "{}: {severity}:{field} {message}{remedy} [{reason}]", head(line.or(object.line)))?;
    }
    Ok(())
}
