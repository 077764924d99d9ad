//! Puts text in front of the path that the backend sees.

use std::sync::Arc;

/// Configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddPrefix {
    /// Begins with `/` and does not end with one, percent-encoded; empty for `/` itself.
    pub prefix: Arc<str>,
}
