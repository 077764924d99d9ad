//! The key that the nodes of one cluster share: who has it may speak to them. What is made of it is not known here.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// 32 random bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct ClusterKey([u8; Self::LENGTH]);

/// The keys that are valid at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterKeys {
    /// The one to speak with.
    pub current: ClusterKey,
    /// The one before, while not every node has the current one.
    pub previous: Option<ClusterKey>,
}

/// The operator's: a text or bytes that are no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Too many bytes, or too few.
    #[error("{0} bytes where 32 are wanted; `head -c 32 /dev/urandom` makes them")]
    Length(usize),
    /// Text that is not base64.
    #[error("no base64; `head -c 32 /dev/urandom | base64` makes a key")]
    Text,
}

impl ClusterKey {
    /// In bytes.
    pub const LENGTH: usize = 32;

    /// Of exactly 32 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        bytes.try_into().map(Self).map_err(|_| KeyError::Length(bytes.len()))
    }

    /// The bytes, which nobody else may see.
    pub fn bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }
}

/// As an operator writes it where there is no cluster to keep it: in base64.
impl FromStr for ClusterKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::from_bytes(&STANDARD.decode(text.trim()).map_err(|_| KeyError::Text)?)
    }
}

impl fmt::Debug for ClusterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

impl ClusterKeys {
    /// Those that are valid, the one to speak with first.
    pub fn iter(&self) -> impl Iterator<Item = &ClusterKey> {
        std::iter::once(&self.current).chain(&self.previous)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_32_bytes_and_never_shown() {
        let key = ClusterKey::from_bytes(&[7; 32]).expect("a key");
        assert_eq!(STANDARD.encode([7; 32]).parse(), Ok(key.clone()));
        assert_eq!(format!("{key:?}"), "(secret)");
        assert_eq!(ClusterKey::from_bytes(&[7; 31]), Err(KeyError::Length(31)));
        assert_eq!("not a key!".parse::<ClusterKey>(), Err(KeyError::Text));
    }
}
