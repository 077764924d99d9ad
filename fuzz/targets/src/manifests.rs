//! Bytes of a file → objects, with the time that a hostile document may take.

use std::path::Path;

use postern_config::kubernetes::document;

/// Any file. Each change and each problem lies within it, and parsing twice says the same.
pub fn manifests(data: &[u8]) {
    let parsed = document::parse_bytes(Path::new("input.yaml"), data);
    let lines = data.iter().filter(|byte| **byte == b'\n').count() + 1;
    for problem in &parsed.input {
        assert!(problem.line as usize <= lines, "line {} of {lines}", problem.line);
        assert!(!problem.message.is_empty(), "a problem says what is wrong");
    }
    let again = document::parse_bytes(Path::new("input.yaml"), data);
    assert_eq!(parsed.input, again.input, "the same bytes have the same problems");
    assert_eq!(parsed.changes.len(), again.changes.len(), "the same bytes hold the same objects");
}
