//! Tells clients the media type of answers whose backend did not.

/// Configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentType {
    /// Whether anything is done at all; off only where the deprecated `autoDetect: false` says so.
    pub detect: bool,
}
