//! Takes text off the front of the path that the backend sees.

use std::sync::Arc;

/// Configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StripPrefix {
    /// The first that the path begins with (byte by byte, not by element) is taken off. Percent-encoded; at least one.
    pub prefixes: Vec<Arc<str>>,
}
