//! Credentials that were verified, by a digest under a key that no other process has: what is remembered is of no use
//! to anyone who reads it. The stored hash is part of what is digested, so a changed password is a new credential.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use aws_lc_rs::hmac;
use postern_config::model::middleware::basic_auth::Password;

use super::Turn;

/// Credentials remembered; beyond, all are forgotten and verified anew.
const MOST: usize = 8_192;
/// Hashes that may be waiting to be computed.
const MOST_WAITING: usize = 256;

pub(super) type Digest = [u8; 32];

/// What was verified, and how much of it is under way.
pub(crate) struct Verified {
    key: hmac::Key,
    digests: Mutex<HashSet<Digest>>,
    pub(super) waiting: AtomicUsize,
}

impl Default for Verified {
    fn default() -> Self {
        let key: [u8; 32] = rand::random();
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, &key), digests: Mutex::default(), waiting: AtomicUsize::new(0) }
    }
}

impl std::fmt::Debug for Verified {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verified").field("waiting", &self.waiting).finish_non_exhaustive()
    }
}

impl Verified {
    /// The digest of a name and a password that are compared with `hash`.
    pub(super) fn digest(&self, name: &str, password: &[u8], hash: &Password) -> Digest {
        let parts: [&[u8]; 4] = match hash {
            Password::Bcrypt(hash) => [name.as_bytes(), password, hash.as_bytes(), b""],
            Password::Apr1 { salt, digest } => [name.as_bytes(), password, salt.as_bytes(), digest.as_bytes()],
            Password::Sha1(digest) => [name.as_bytes(), password, digest, b""],
            Password::Plain(text) => [name.as_bytes(), password, text.as_bytes(), b""],
        };
        let mut context = hmac::Context::with_key(&self.key);
        for part in parts {
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part);
        }
        let mut digest = [0; 32];
        digest.iter_mut().zip(context.sign().as_ref()).for_each(|(to, from)| *to = *from);
        digest
    }

    pub(super) fn contains(&self, digest: &Digest) -> bool {
        self.digests.lock().unwrap_or_else(PoisonError::into_inner).contains(digest)
    }

    pub(super) fn insert(&self, digest: Digest) {
        let mut digests = self.digests.lock().unwrap_or_else(PoisonError::into_inner);
        if digests.len() >= MOST {
            digests.clear();
        }
        digests.insert(digest);
    }

    /// A place among those who compute a hash, if there is one.
    pub(super) fn turn(self: &Arc<Self>) -> Option<Turn> {
        let turn = Turn(self.clone());
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        (before < MOST_WAITING).then_some(turn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_credentials_have_the_same_digest() {
        let verified = Verified::default();
        let hash = Password::Bcrypt("x".into());
        let digest = verified.digest("a", b"bc", &hash);
        assert_eq!(digest, verified.digest("a", b"bc", &hash));
        assert_ne!(digest, verified.digest("ab", b"c", &hash));
        assert_ne!(digest, verified.digest("a", b"bc", &Password::Bcrypt("y".into())));
        assert_ne!(digest, Verified::default().digest("a", b"bc", &hash), "each process has its own key");
    }

    #[test]
    fn the_number_of_hashes_under_way_is_bounded() {
        let verified = Arc::new(Verified::default());
        let turns: Vec<_> = (0..MOST_WAITING).map(|_| verified.turn().expect("a place")).collect();
        assert!(verified.turn().is_none());
        drop(turns);
        assert!(verified.turn().is_some());
    }
}
