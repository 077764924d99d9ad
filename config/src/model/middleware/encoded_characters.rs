//! Refuses paths with certain encoded characters.

/// Configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedCharacters {
    /// Characters that may not stand encoded in a path; none of them is one that normalisation decodes.
    pub denied: Vec<u8>,
}
