//! Replaces parts of the path that the backend sees by a regular expression.

use std::sync::Arc;

use crate::model::go_regex::GoRegex;

/// Configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplacePathRegex {
    /// Compared with the percent-encoded path; not anchored.
    pub regex: GoRegex,
    /// Takes the place of each match; `$1` and `${name}` stand for groups.
    pub replacement: Arc<str>,
}
