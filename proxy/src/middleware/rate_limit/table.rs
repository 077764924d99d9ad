//! The buckets of one middleware: exact, bounded, in shards so that workers seldom meet.

use std::{
    collections::HashMap,
    hash::BuildHasher as _,
    sync::{Mutex, PoisonError},
};

use foldhash::fast::RandomState;
use postern_config::model::middleware::rate_limit::Limit;
use tokio::time::Instant;

use super::bucket::{FullAt, Scaled, Verdict};
use crate::middleware::criterion::Key;

/// Sources that have a bucket at a time. Beyond, those are forgotten that would be full again first.
pub(super) const MOST_SOURCES: usize = 65_536;
const SHARDS: usize = 32;
/// An eighth above the mean, since sources do not spread evenly.
const MOST_PER_SHARD: usize = MOST_SOURCES / SHARDS * 9 / 8;

type Shard = HashMap<Key, FullAt, RandomState>;

/// The buckets of one middleware.
#[derive(Debug)]
pub(crate) struct Buckets {
    limit: Scaled,
    /// Time is counted from here.
    begin: Instant,
    hasher: RandomState,
    shards: [Mutex<Shard>; SHARDS],
}

impl Buckets {
    /// All full.
    pub(crate) fn new(limit: Limit) -> Self {
        Self {
            limit: Scaled::new(limit),
            begin: Instant::now(),
            hasher: RandomState::default(),
            shards: std::array::from_fn(|_| Mutex::default()),
        }
    }

    /// Takes a token of `key` at `now`.
    pub(super) fn take(&self, key: Key, now: Instant) -> Verdict {
        let now = self.limit.scale(now.saturating_duration_since(self.begin));
        let at = self.hasher.hash_one(key) as usize % SHARDS;
        let Some(shard) = self.shards.get(at) else { return Verdict::Pass };
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(full_at) = shard.get_mut(&key) {
            return self.limit.take(full_at, now);
        }
        if shard.len() >= MOST_PER_SHARD {
            make_room(&mut shard, now);
        }
        let mut full_at = 0;
        let verdict = self.limit.take(&mut full_at, now);
        shard.insert(key, full_at);
        verdict
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().expect("not poisoned").len()).sum()
    }
}

/// Forgets buckets that are full again, or, where none is, the sixteenth that will be first: a sweep costs each new
/// source a few steps however many there are.
fn make_room(shard: &mut Shard, now: u128) {
    shard.retain(|_, full_at| *full_at > now);
    if shard.len() < MOST_PER_SHARD {
        return;
    }
    let mut moments: Vec<FullAt> = shard.values().copied().collect();
    let (_, last, _) = moments.select_nth_unstable(MOST_PER_SHARD / 16);
    let last = *last;
    shard.retain(|_, full_at| *full_at > last);
}

#[cfg(test)]
mod tests {
    use std::{net::Ipv4Addr, time::Duration};

    use super::*;

    fn limit(average: u64, period: Duration, burst: u64) -> Limit {
        Limit { average: average.try_into().expect("not zero"), period, burst: burst.try_into().expect("not zero") }
    }

    #[test]
    fn a_flood_of_sources_stays_bounded_and_spares_the_busiest() {
        let buckets = Buckets::new(limit(1, Duration::from_secs(3600), 5));
        let now = buckets.begin + Duration::from_secs(1);
        let busy = Key::text(b"busy");
        while buckets.take(busy, now) == Verdict::Pass {}
        for n in 0..200_000u32 {
            buckets.take(Key::Address(Ipv4Addr::from_bits(n).into()), now);
        }
        assert!(buckets.len() <= SHARDS * MOST_PER_SHARD, "{}", buckets.len());
        assert!(matches!(buckets.take(busy, now), Verdict::Reject(_)), "its bucket was forgotten");
    }

    #[test]
    fn many_threads_share_one_bucket_exactly() {
        let buckets = Buckets::new(limit(1, Duration::from_secs(3600), 1_000));
        let now = buckets.begin;
        let passed: usize = std::thread::scope(|scope| {
            let take = || (0..1_000).filter(|_| buckets.take(Key::text(b"k"), now) == Verdict::Pass).count();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
            threads.into_iter().map(|thread| thread.join().expect("it does not panic")).sum()
        });
        assert_eq!(passed, 1_000);
    }
}
