//! Lets browsers speak to gRPC backends.

use std::sync::Arc;

/// Configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrpcWeb {
    /// Origins whose scripts may read answers.
    pub origins: Origins,
}

/// Which origins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origins {
    /// All of them.
    Any,
    /// These, byte by byte; perhaps none.
    Listed(Vec<Arc<str>>),
}

impl Origins {
    /// Whether `origin` is among them.
    pub fn contains(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Listed(origins) => origins.iter().any(|listed| **listed == *origin),
        }
    }
}
