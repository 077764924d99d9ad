//! Redirects by a regular expression on the URL.

use std::sync::Arc;

use crate::model::go_regex::GoRegex;

/// Configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedirectRegex {
    /// Compared with `scheme://host[:port]/path[?query]`; not anchored.
    pub regex: GoRegex,
    /// Takes the place of each match; `$1` and `${name}` stand for groups.
    pub replacement: Arc<str>,
    /// 301 (GET) and 308 (others) in place of 302 and 307.
    pub permanent: bool,
}
