//! A directory in, outputs out.

use std::{fs, time::Duration};

use super::*;
use crate::report::{Finding, Severity};

/// How long an output may take on a busy machine; only a failing test waits for it.
const DEADLINE: Duration = Duration::from_secs(20);

fn settings() -> Settings {
    Settings::for_files(Timestamp::UNIX_EPOCH)
}

const SERVICE: &str = "# a comment\napiVersion: v1\nkind: Service\nmetadata:\n  name: a\n  colour: red\n";

fn findings<'r>(report: &'r Report, name: &str) -> &'r [Finding] {
    let found = report.objects.iter().find(|(object, _)| &*object.name == name);
    found.map(|(_, verdict)| verdict.findings.as_slice()).unwrap_or_default()
}

#[test]
fn a_finding_says_on_which_line_its_field_is() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!("{SERVICE}---\n{}", SERVICE.replace("name: a", "name: b"));
    fs::write(folder.path().join("a.yaml"), text).unwrap();
    fs::write(folder.path().join("b.yaml"), "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\n---\n]")
        .unwrap();
    let published = load_once(folder.path(), settings()).unwrap();
    for (name, line) in [("a", 6), ("b", 13)] {
        let finding = &findings(&published.report, name)[0];
        assert_eq!(
            (finding.severity, finding.field.as_str(), finding.reason, finding.line),
            (Severity::Ignored, "metadata.colour", "UnknownField", Some(line))
        );
    }
    assert_eq!(published.report.skipped[0].kind, "Deployment");
    assert_eq!(published.report.input[0].line, 5);
    assert_eq!((published.stages.files, published.stages.documents, published.stages.objects), (2, 4, 2));
}

#[tokio::test]
async fn a_change_is_published_and_so_are_lines_that_moved() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.yaml");
    fs::write(&file, SERVICE).unwrap();
    let (first, mut publisher) = start(folder.path(), settings(), || Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!(findings(&first.report, "a")[0].line, Some(6));
    fs::write(&file, format!("apiVersion: v1\nkind: Service\nmetadata: {{name: b, wrong: 1}}\n---\n{SERVICE}"))
        .unwrap();
    let lined = |report: &Report| {
        let line = |name| findings(report, name).first().and_then(|finding| finding.line);
        (line("a"), line("b"))
    };
    let awaited = async {
        loop {
            let next = publisher.next().await.expect("publishing goes on");
            if lined(&next.report) == (Some(10), Some(3)) {
                return;
            }
        }
    };
    tokio::time::timeout(DEADLINE, awaited).await.expect("the lines came in time");
}

#[test]
fn outputs_that_nobody_saw_add_up() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.yaml"), SERVICE).unwrap();
    let mut merged = load_once(folder.path(), settings()).unwrap();
    let sockets = merged.changed.sockets.len();
    assert!(sockets > 0, "the entry points are there from the first output on");
    let again = load_once(folder.path(), settings()).unwrap();
    merged.merge(again);
    assert_eq!((merged.changed.sockets.len(), merged.stages.documents), (sockets, 2));
}

#[test]
fn a_directory_that_is_not_there_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    assert!(load_once(&folder.path().join("none"), settings()).is_err());
    assert!(start(&folder.path().join("none"), settings(), || Timestamp::UNIX_EPOCH).is_err());
}
