//! Compares a password with what is kept of it. All comparisons take the same time wherever the difference is.

use postern_config::model::middleware::basic_auth::Password;
use sha1::{Digest as _, Sha1};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use super::apr1::apr1;

/// How long a comparison takes, relative to the others.
pub(super) fn cost(password: &Password) -> u32 {
    match password {
        Password::Plain(_) => 0,
        Password::Sha1(_) => 1,
        Password::Apr1 { .. } => 2,
        Password::Bcrypt(hash) => 3 + hash.get(4..6).and_then(|cost| cost.parse().ok()).unwrap_or(0),
    }
}

/// Whether `password` fits, where that is known within microseconds.
pub(super) fn verify_fast(hash: &Password, password: &[u8]) -> Option<bool> {
    match hash {
        Password::Plain(text) => {
            let (a, b) = (Sha256::digest(text.as_bytes()), Sha256::digest(password));
            Some(a[..].ct_eq(&b[..]).into())
        }
        Password::Sha1(digest) => Some(Sha1::digest(password)[..].ct_eq(&digest[..]).into()),
        Password::Apr1 { .. } | Password::Bcrypt(_) => None,
    }
}

/// Whether `password` fits, however long it takes.
pub(super) fn verify_slow(hash: &Password, password: &[u8]) -> bool {
    match hash {
        Password::Bcrypt(hash) => bcrypt::verify(password, hash).unwrap_or(false),
        Password::Apr1 { salt, digest } => apr1(password, salt.as_bytes()).as_bytes().ct_eq(digest.as_bytes()).into(),
        fast => verify_fast(fast, password).unwrap_or(false),
    }
}
