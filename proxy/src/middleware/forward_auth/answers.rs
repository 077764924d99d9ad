//! What an auth server said of requests that it let pass, for a while: those with the same key are not asked about again.
//!
//! Only consent is remembered, and only that of requests that hold some credential of the key. Keys are digests, so
//! that no credential stays in memory.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::{HeaderMap, HeaderValue, header};
use postern_config::model::middleware::forward_auth::{AnswerCache, KeyPart};
use sha2::{Digest as _, Sha256};

use crate::exchange::Exchange;

/// Answers that are kept at a time.
const MOST: usize = 4096;
/// Larger heads are not kept: names and values together, in bytes.
const LARGEST: usize = 8 * 1024;

/// What a request is known by.
pub(super) type Key = [u8; 32];

/// The answers of one middleware.
#[derive(Debug)]
pub(super) struct Answers {
    spec: AnswerCache,
    /// With the time until when each holds, counted from any moment that stays the same.
    kept: Mutex<HashMap<Key, (Duration, Arc<HeaderMap>)>>,
}

impl Answers {
    pub(super) fn new(spec: &AnswerCache) -> Self {
        Self { spec: spec.clone(), kept: Mutex::default() }
    }

    /// What `exchange` is known by; `None` when it holds no credential.
    pub(super) fn key(&self, exchange: &Exchange) -> Option<Key> {
        let mut digest = Sha256::new();
        let mut add = |text: &[u8]| {
            digest.update((text.len() as u64).to_le_bytes());
            digest.update(text);
        };
        add(exchange.scheme.as_bytes());
        add(exchange.authority.as_bytes());
        let mut credential = false;
        for part in &self.spec.key {
            match part {
                KeyPart::ClientAddress => {
                    credential = true;
                    match exchange.client.to_canonical() {
                        IpAddr::V4(address) => add(&address.octets()),
                        IpAddr::V6(address) => add(&address.octets()),
                    }
                }
                KeyPart::Header(name) => {
                    let values = exchange.parts.headers.get_all(name);
                    credential |= values.iter().any(|value| !value.is_empty());
                    add(&(values.iter().count() as u64).to_le_bytes());
                    values.iter().for_each(|value| add(value.as_bytes()));
                }
                KeyPart::Cookie(name) => {
                    let value = cookies(&exchange.parts.headers, name);
                    credential |= !value.is_empty();
                    add(&value.join(&b';'));
                }
                KeyPart::Method => add(exchange.parts.method.as_str().as_bytes()),
                KeyPart::Uri => add(exchange.parts.uri.path_and_query().map_or("/", |uri| uri.as_str()).as_bytes()),
            }
        }
        credential.then(|| digest.finalize().into())
    }

    /// What was said of `key`, if that still holds at `now`.
    pub(super) fn find(&self, key: &Key, now: Duration) -> Option<Arc<HeaderMap>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(key).filter(|(until, _)| now < *until).map(|(_, said)| said.clone())
    }

    /// Remembers what was said at `now`, unless it is for one request alone.
    pub(super) fn keep(&self, key: Key, said: &HeaderMap, now: Duration) {
        let size: usize = said.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        if size > LARGEST || said.contains_key(header::SET_COOKIE) || is_private_to_one(said) {
            return;
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MOST {
            make_room(&mut kept, now);
        }
        kept.insert(key, (now + self.spec.ttl, Arc::new(said.clone())));
    }
}

/// Forgets what holds no more, or, where all does, the half that would be first.
fn make_room(kept: &mut HashMap<Key, (Duration, Arc<HeaderMap>)>, now: Duration) {
    kept.retain(|_, (until, _)| now < *until);
    if kept.len() < MOST {
        return;
    }
    let mut ends: Vec<Duration> = kept.values().map(|(until, _)| *until).collect();
    ends.sort_unstable();
    let Some(middle) = ends.get(MOST / 2).copied() else { return };
    kept.retain(|_, (until, _)| *until > middle);
}

/// RFC 9111 section 5.2.2: `no-store` and `no-cache`.
fn is_private_to_one(said: &HeaderMap) -> bool {
    let forbids = |value: &HeaderValue| {
        let mut words = value.as_bytes().split(|b| *b == b',').map(<[u8]>::trim_ascii);
        words.any(|word| word.eq_ignore_ascii_case(b"no-store") || word.eq_ignore_ascii_case(b"no-cache"))
    };
    said.get_all(header::CACHE_CONTROL).iter().any(forbids)
}

/// All values of a cookie.
fn cookies<'h>(headers: &'h HeaderMap, name: &str) -> Vec<&'h [u8]> {
    let pairs = headers.get_all(header::COOKIE).iter().flat_map(|value| value.as_bytes().split(|b| *b == b';'));
    let value = |pair: &'h [u8]| pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"=");
    pairs.filter_map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::middleware::testing::exchange;

    fn answers(key: Vec<KeyPart>) -> Answers {
        Answers::new(&AnswerCache { key, ttl: Duration::from_secs(10) })
    }

    #[test]
    fn requests_are_known_by_what_the_key_names() {
        let header = || KeyPart::Header(header::AUTHORIZATION);
        let cookie = || KeyPart::Cookie("session".into());
        for (key, field, a, b, same) in [
            (vec![header()], "authorization", "x", "x", true),
            (vec![header()], "authorization", "x", "y", false),
            (vec![cookie()], "cookie", "a=1; session=x", "session=x; a=2", true),
            (vec![cookie()], "cookie", "session=x", "session=y", false),
            (vec![cookie()], "cookie", "session=x", "session=x; session=y", false),
            (vec![cookie(), header()], "cookie", "session=x", "session=x", true),
        ] {
            let answers = answers(key.clone());
            let known = |value| answers.key(&exchange("GET", "http://a/").header(field, value).build());
            assert!(known(a).is_some());
            assert_eq!(known(a) == known(b), same, "{key:?} {a} {b}");
        }
        let answers = answers(vec![header(), KeyPart::Uri, KeyPart::Method]);
        let known = |method, url| answers.key(&exchange(method, url).header("authorization", "x").build());
        for (method, url) in [("GET", "http://b/"), ("GET", "https://a/"), ("GET", "http://a/?b"), ("PUT", "http://a/")] {
            assert_ne!(known("GET", "http://a/"), known(method, url), "{method} {url}");
        }
        assert_eq!(answers.key(&exchange("GET", "http://a/").build()), None, "without credentials there is no key");
    }

    #[test]
    fn consent_is_kept_for_its_time_and_only_where_it_may_be() {
        let answers = answers(vec![KeyPart::Header(header::AUTHORIZATION)]);
        let at = Duration::from_secs;
        let said = |name: &'static str, value: &'static str| {
            HeaderMap::from_iter([(http::HeaderName::from_static(name), HeaderValue::from_static(value))])
        };
        answers.keep([1; 32], &said("x-user", "alice"), at(5));
        assert!(answers.find(&[1; 32], at(14)).is_some());
        assert!(answers.find(&[1; 32], at(15)).is_none());
        answers.keep([2; 32], &said("set-cookie", "a=b"), at(5));
        answers.keep([3; 32], &said("cache-control", "private, No-Store"), at(5));
        answers.keep([4; 32], &said("x-user", Box::leak("a".repeat(9000).into_boxed_str())), at(5));
        for key in [2, 3, 4] {
            assert!(answers.find(&[key; 32], at(5)).is_none(), "{key}");
        }
    }

    #[test]
    fn a_flood_of_clients_stays_bounded() {
        let answers = answers(vec![KeyPart::ClientAddress]);
        for n in 0..20_000u32 {
            let mut key = [0; 32];
            key[..4].copy_from_slice(&n.to_le_bytes());
            answers.keep(key, &HeaderMap::new(), Duration::from_millis(u64::from(n)));
        }
        assert!(answers.kept.lock().expect("not poisoned").len() <= MOST);
    }
}
