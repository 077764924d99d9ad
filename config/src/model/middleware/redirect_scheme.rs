//! Redirects to another scheme or port.

use std::sync::Arc;

/// Configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedirectScheme {
    /// The scheme to redirect to, lower-case.
    pub scheme: Arc<str>,
    /// The port to redirect to, left out where it is the scheme's own; `None`: the scheme's own.
    pub port: Option<u16>,
    /// 301 (GET) and 308 (others) in place of 302 and 307.
    pub permanent: bool,
}
