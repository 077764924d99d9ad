//! Nonces: signed with a key of the process, good for some minutes, and each count with one good once.
//!
//! A nonce says when it was made, so unused ones need no memory. Those in use are bounded; when there are too many, the
//! eldest are given up, and with them all that are as old, so that forgetting never lets a count be used again.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use postern_config::model::id::MiddlewareId;
use tokio::time::Instant;

/// How long a nonce is good. Clients get the next one without asking their user.
const LIFETIME: Duration = Duration::from_secs(300);
/// Nonces in use that are remembered.
const MOST: usize = 16_384;
/// Counts below the highest that may still come: browsers ask over several connections at once.
const WINDOW: u32 = 64;
/// Bytes of time and randomness.
const BODY: usize = 16;

/// Nonces of all middlewares of this process.
pub(in crate::middleware) struct Nonces {
    key: hmac::Key,
    /// Time is counted from here.
    begin: Instant,
    used: Mutex<Used>,
}

type Body = [u8; BODY];

#[derive(Default)]
struct Used {
    counts: HashMap<Body, Counts>,
    /// Nonces made at this time or before are not good any more, in milliseconds.
    floor: Option<u64>,
}

/// Which counts were used with a nonce.
#[derive(Clone, Copy)]
struct Counts {
    highest: u32,
    /// Bit n: `highest - n` was used.
    seen: u64,
}

impl Default for Nonces {
    fn default() -> Self {
        let key: [u8; 32] = rand::random();
        let used = Mutex::default();
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, &key), begin: Instant::now(), used }
    }
}

impl std::fmt::Debug for Nonces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Nonces").finish_non_exhaustive()
    }
}

impl Nonces {
    /// A new one for `id`.
    pub(super) fn make(&self, id: &MiddlewareId) -> String {
        let mut body: Body = rand::random();
        for (to, from) in body.iter_mut().zip(self.now().to_be_bytes()) {
            *to = from;
        }
        let mut bytes = body.to_vec();
        bytes.extend_from_slice(self.sign(id, &body).as_ref());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Uses `count` with a nonce; false where the nonce is not ours, too old, or the count was used.
    pub(super) fn take(&self, id: &MiddlewareId, nonce: &str, count: u32) -> bool {
        let Some((body, made)) = self.read(id, nonce) else { return false };
        let now = self.now();
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if is_old(made, now) || used.floor.is_some_and(|floor| made <= floor) {
            return false;
        }
        used.make_room(&body, now);
        // What has just been given up to make room is not used either.
        if used.floor.is_some_and(|floor| made <= floor) {
            return false;
        }
        used.counts.entry(body).or_insert(Counts { highest: 0, seen: 0 }).take(count)
    }

    /// Its body and when it was made, if it was made here for `id`.
    fn read(&self, id: &MiddlewareId, nonce: &str) -> Option<(Body, u64)> {
        let bytes = URL_SAFE_NO_PAD.decode(nonce).ok()?;
        let (body, signature) = bytes.split_first_chunk::<BODY>()?;
        hmac::verify(&self.key, &signed(id, body), signature).ok()?;
        Some((*body, made(body)))
    }

    fn sign(&self, id: &MiddlewareId, body: &Body) -> hmac::Tag {
        hmac::sign(&self.key, &signed(id, body))
    }

    /// Milliseconds since the process began.
    fn now(&self) -> u64 {
        u64::try_from(self.begin.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

fn signed(id: &MiddlewareId, body: &Body) -> Vec<u8> {
    [body.as_slice(), id.as_str().as_bytes()].concat()
}

fn made(body: &Body) -> u64 {
    let mut time = [0; 8];
    time.iter_mut().zip(body).for_each(|(to, from)| *to = *from);
    u64::from_be_bytes(time)
}

fn is_old(made: u64, now: u64) -> bool {
    now.saturating_sub(made) > LIFETIME.as_millis() as u64
}

impl Used {
    /// Forgets the old ones when there are too many, then the elder half.
    fn make_room(&mut self, wanted: &Body, now: u64) {
        if self.counts.len() < MOST || self.counts.contains_key(wanted) {
            return;
        }
        self.counts.retain(|body, _| !is_old(made(body), now));
        if self.counts.len() < MOST {
            return;
        }
        let mut times: Vec<u64> = self.counts.keys().map(made).collect();
        let (_, middle, _) = times.select_nth_unstable(MOST / 2);
        let floor = *middle;
        self.floor = self.floor.max(Some(floor));
        self.counts.retain(|body, _| made(body) > floor);
    }
}

impl Counts {
    fn take(&mut self, count: u32) -> bool {
        if count == 0 {
            return false;
        }
        if count > self.highest {
            let by = count - self.highest;
            self.seen = if by < WINDOW { self.seen << by } else { 0 } | 1;
            self.highest = count;
            return true;
        }
        let below = self.highest - count;
        let is_free = below < WINDOW && self.seen & (1 << below) == 0;
        if is_free {
            self.seen |= 1 << below;
        }
        is_free
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> MiddlewareId {
        MiddlewareId::new(text)
    }

    #[test]
    fn each_count_is_good_once_in_any_order_within_the_window() {
        let mut counts = Counts { highest: 0, seen: 0 };
        for (count, want) in [
            (0, false),
            (1, true),
            (1, false),
            (3, true),
            (2, true),
            (2, false),
            (3, false),
            (70, true),
            (6, false),
            (7, true),
            (7, false),
            (69, true),
            (1000, true),
            (70, false),
            (999, true),
            (u32::MAX, true),
            (u32::MAX, false),
        ] {
            assert_eq!(counts.take(count), want, "{count}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nonces_grow_old() {
        let nonces = Nonces::default();
        let nonce = nonces.make(&id("a"));
        assert!(nonces.take(&id("a"), &nonce, 1));
        tokio::time::advance(LIFETIME).await;
        assert!(nonces.take(&id("a"), &nonce, 2));
        tokio::time::advance(Duration::from_millis(2)).await;
        assert!(!nonces.take(&id("a"), &nonce, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn only_own_nonces_are_good_and_only_where_they_were_made_for() {
        let (nonces, others) = (Nonces::default(), Nonces::default());
        let nonce = nonces.make(&id("a"));
        assert!(!nonces.take(&id("b"), &nonce, 1));
        assert!(!others.take(&id("a"), &nonce, 1));
        assert!(!nonces.take(&id("a"), &others.make(&id("a")), 1));
        for wrong in ["", "x", "AAAA", &nonce[1..], &format!("{nonce}A")] {
            assert!(!nonces.take(&id("a"), wrong, 1), "{wrong}");
        }
        assert!(nonces.take(&id("a"), &nonce, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_bounded_and_what_is_forgotten_is_not_good_again() {
        let nonces = Nonces::default();
        let first = nonces.make(&id("a"));
        assert!(nonces.take(&id("a"), &first, 1));
        for _ in 0..MOST + MOST / 2 {
            tokio::time::advance(Duration::from_millis(1)).await;
            let nonce = nonces.make(&id("a"));
            assert!(nonces.take(&id("a"), &nonce, 1), "a new one is always good");
        }
        assert!(nonces.used.lock().expect("not poisoned").counts.len() <= MOST);
        assert!(!nonces.take(&id("a"), &first, 1), "its count was used, and it was forgotten");
        assert!(!nonces.take(&id("a"), &first, 2), "nobody knows which of its counts were used");
    }
}
