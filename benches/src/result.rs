//! What can go wrong while measuring; always the fault of the set-up, and always the end of the question.

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A file, socket or process could not be used.
    #[error("{0}: {1}")]
    Io(String, #[source] std::io::Error),
    /// A program behaved otherwise than expected.
    #[error("{0}")]
    Unexpected(String),
}

/// A result with our error.
pub(crate) type Result<T> = std::result::Result<T, Error>;

/// Says what was being done when I/O failed.
pub(crate) trait Context<T> {
    /// Adds `what`.
    fn context(self, what: impl Into<String>) -> Result<T>;
}

impl<T> Context<T> for std::io::Result<T> {
    fn context(self, what: impl Into<String>) -> Result<T> {
        self.map_err(|error| Error::Io(what.into(), error))
    }
}
