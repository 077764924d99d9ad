//! Asks for a name and a password (RFC 7617).

use std::{fmt, sync::Arc};

use http::{HeaderName, HeaderValue};

/// Configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BasicAuth {
    /// Who may pass; names are unique. At least one.
    pub users: Arc<[User]>,
    /// The challenge: `Basic realm="…"`.
    pub challenge: HeaderValue,
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
    /// What the password is compared with.
    pub password: Password,
}

/// What a password is compared with. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub enum Password {
    /// `$2a$`, `$2b$` or `$2y$`, cost and all; cost 4 to [`MAX_BCRYPT_COST`].
    Bcrypt(Arc<str>),
    /// `$apr1$`: MD5, a thousand rounds.
    Apr1 {
        /// Up to 8 bytes.
        salt: Arc<str>,
        /// The 22 characters after it.
        digest: Arc<str>,
    },
    /// `{SHA}`: SHA-1 without salt.
    Sha1([u8; 20]),
    /// As it is (Secrets of type `kubernetes.io/basic-auth`).
    Plain(Arc<str>),
}

/// Cost above which bcrypt hashes are refused: 2^16 rounds take about 4 s of a core per try.
pub const MAX_BCRYPT_COST: u32 = 16;

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bcrypt(_) => "Bcrypt(…)",
            Self::Apr1 { .. } => "Apr1(…)",
            Self::Sha1(_) => "Sha1(…)",
            Self::Plain(_) => "Plain(…)",
        })
    }
}
