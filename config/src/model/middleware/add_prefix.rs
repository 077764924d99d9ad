//! Puts text in front of the path that the backend sees.

use std::sync::Arc;

/// Configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddPrefix {
    /// Begins with `/`, percent-encoded.
    pub prefix: Arc<str>,
}
