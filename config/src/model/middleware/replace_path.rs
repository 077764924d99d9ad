//! Replaces the path that the backend sees.

use std::sync::Arc;

/// Configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplacePath {
    /// Begins with `/`, percent-encoded.
    pub path: Arc<str>,
}
