//! Hostnames as the Gateway API writes them.

use std::sync::Arc;

use super::reason;
use crate::{
    model::host::{HostPattern, WildcardDepth},
    report::Finding,
};

/// `example.com` or `*.example.com`, lower-case; what is wrong with it otherwise.
pub(in crate::kubernetes::convert) fn parse(text: &str) -> Result<HostPattern, String> {
    if text.is_empty() || text == "*" {
        return Err("is no hostname; leave it out for every host".to_owned());
    }
    if text.ends_with('.') || text.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err("must be lower-case and without a trailing dot".to_owned());
    }
    HostPattern::parse(text, WildcardDepth::Many).map_err(|error| error.to_string())
}

/// The same without wildcards (`PreciseHostname`).
pub(in crate::kubernetes::convert) fn precise(text: &str) -> Result<Arc<str>, String> {
    match parse(text)? {
        HostPattern::Exact(name) => Ok(name),
        _ => Err("may not be a wildcard here".to_owned()),
    }
}

/// A route's `spec.hostnames`, each with its index. None at all stands for every host; but a list of which no entry
/// is legal stands for none.
pub(super) fn of_route(hostnames: &[Arc<str>], findings: &mut Vec<Finding>) -> Vec<(Option<usize>, HostPattern)> {
    if hostnames.is_empty() {
        return vec![(None, HostPattern::Any)];
    }
    let mut patterns: Vec<(Option<usize>, HostPattern)> = Vec::new();
    for (index, text) in hostnames.iter().enumerate() {
        match parse(text) {
            Ok(pattern) if patterns.iter().any(|(_, other)| *other == pattern) => {}
            Ok(pattern) => patterns.push((Some(index), pattern)),
            Err(problem) => findings.push(Finding::refused(
                format!("spec.hostnames[{index}]"),
                reason::UNSUPPORTED_VALUE,
                format!("{text:?} {problem}"),
            )),
        }
    }
    patterns
}
