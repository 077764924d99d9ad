//! Asks for a name and a password that never crosses the wire (RFC 7616).

use std::{fmt, sync::Arc};

use http::HeaderName;

/// Configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DigestAuth {
    /// Who may pass; names are unique. At least one, and all have a hash by one of [`DigestAuth::algorithms`].
    pub users: Arc<[User]>,
    /// What the hashes are made for, and what browsers show. Free of characters that no header field may hold.
    pub realm: Arc<str>,
    /// What clients are offered, the strongest first: those by which every user has a hash. At least one.
    pub algorithms: Vec<Algorithm>,
    /// Whether the backend does not see the credentials.
    pub remove_header: bool,
    /// Field that tells the backend the user.
    pub user_header: Option<HeaderName>,
}

/// Who may pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Without colon.
    pub name: Arc<str>,
    /// What the password is known by: at most one per algorithm.
    pub hashes: Vec<Hash>,
}

/// A hash of `name:realm:password`. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Hash {
    /// How it was made.
    pub algorithm: Algorithm,
    /// Lower-case hexadecimal, of the algorithm's length.
    pub text: Arc<str>,
}

/// How hashes are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// What old clients and Traefik know.
    Md5,
    /// RFC 7616.
    Sha256,
}

impl Algorithm {
    /// All of them, the strongest first.
    pub const ALL: [Self; 2] = [Self::Sha256, Self::Md5];

    /// The name in challenges.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
        }
    }

    /// Hexadecimal digits of a hash.
    pub fn digits(self) -> usize {
        match self {
            Self::Md5 => 32,
            Self::Sha256 => 64,
        }
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}(…)", self.algorithm)
    }
}
