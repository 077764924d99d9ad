//! Takes off the front of the path what a regular expression matches.

use crate::model::go_regex::GoRegex;

/// Configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StripPrefixRegex {
    /// The first whose leftmost match is at the beginning of the path is taken off. At least one.
    pub expressions: Vec<GoRegex>,
}
