//! Limits how many requests of a source may be under way at a time; others are answered 429.
//!
//! A request is under way until the last byte of its answer has gone, its client has, or the tunnel that it became has
//! ended: its permit lives with the exchange and is given back by being dropped, so exactly once.

use std::{
    collections::HashMap,
    hash::BuildHasher as _,
    sync::{Arc, Mutex, PoisonError},
};

use foldhash::fast::RandomState;
use http::StatusCode;
use postern_config::model::{id::MiddlewareId, middleware::in_flight_req as model};

use super::{
    criterion::{Criterion, Key},
    live::Live,
    refuse,
};
use crate::{
    exchange::{Exchange, Flow},
    telemetry::metrics::Limit,
    worker::Worker,
};

/// Workers seldom meet in one shard.
const SHARDS: usize = 32;

/// Running state.
#[derive(Debug)]
pub(super) struct InFlightReq {
    id: MiddlewareId,
    amount: u64,
    criterion: Criterion,
    counts: Arc<Counts>,
}

/// How many requests of each source are under way. Sources without any are not here.
#[derive(Debug, Default)]
pub(super) struct Counts {
    hasher: RandomState,
    shards: [Mutex<HashMap<Key, u64, RandomState>>; SHARDS],
}

/// The right of one request to be under way, for as long as it lives.
#[derive(Debug)]
pub struct Permit {
    counts: Arc<Counts>,
    key: Key,
}

impl InFlightReq {
    pub(super) fn build(id: &MiddlewareId, spec: &model::InFlightReq, live: &Live) -> Self {
        let counts = live.counts.state(id, &spec.source, Counts::default);
        Self { id: id.clone(), amount: spec.amount, criterion: Criterion::new(&spec.source), counts }
    }

    pub(super) fn on_request(&self, exchange: &mut Exchange, worker: &Worker) -> Flow {
        match self.counts.take(self.criterion.key(exchange), self.amount) {
            Some(permit) => {
                exchange.permits.push(permit);
                Flow::Continue
            }
            None => {
                worker.metrics().limited(Limit::InFlight);
                let reason = format!("{}: {} requests of this source are under way", self.id, self.amount);
                refuse(exchange, StatusCode::TOO_MANY_REQUESTS, reason)
            }
        }
    }
}

impl Counts {
    /// A permit, unless `amount` are out.
    fn take(self: &Arc<Self>, key: Key, amount: u64) -> Option<Permit> {
        let mut shard = self.shard(key).lock().unwrap_or_else(PoisonError::into_inner);
        let under_way = shard.get(&key).copied().unwrap_or(0);
        if under_way >= amount {
            return None;
        }
        shard.insert(key, under_way + 1);
        Some(Permit { counts: self.clone(), key })
    }

    fn give_back(&self, key: Key) {
        let mut shard = self.shard(key).lock().unwrap_or_else(PoisonError::into_inner);
        match shard.get_mut(&key) {
            Some(under_way) if *under_way > 1 => *under_way -= 1,
            _ => drop(shard.remove(&key)),
        }
    }

    fn shard(&self, key: Key) -> &Mutex<HashMap<Key, u64, RandomState>> {
        let at = self.hasher.hash_one(key) as usize % SHARDS;
        self.shards.get(at).expect("the remainder is less than the number of shards")
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.counts.give_back(self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::middleware::testing::{exchange, spec_in, status};

    #[test]
    fn a_source_has_so_many_requests_under_way_and_no_more() {
        let live = Live::default();
        let middleware = spec_in("inFlightReq: {amount: 2}", &live);
        let request = |host: &str| exchange("GET", &format!("http://{host}/")).build();
        let (mut first, mut second, mut third) = (request("a"), request("a"), request("a"));
        assert_eq!(status(&middleware, &mut first), None);
        assert_eq!(status(&middleware, &mut second), None);
        assert_eq!(status(&middleware, &mut third), Some(429));
        assert!(third.permits.is_empty(), "who is refused holds nothing");
        assert_eq!(status(&middleware, &mut request("b")), None, "another host is another source");
        drop(first);
        assert_eq!(status(&middleware, &mut third), None, "a place is free again");
        assert_eq!(status(&middleware, &mut request("a")), Some(429), "one, not two");
    }

    #[test]
    fn requests_under_way_count_under_a_new_limit() {
        let live = Live::default();
        let request = || exchange("GET", "http://a/").build();
        let old = spec_in("inFlightReq: {amount: 2}", &live);
        let mut under_way = request();
        assert_eq!(status(&old, &mut under_way), None);
        let new = spec_in("inFlightReq: {amount: 1}", &live);
        assert_eq!(status(&new, &mut request()), Some(429));
        drop(under_way);
        assert_eq!(status(&new, &mut request()), None);
    }

    #[test]
    fn sources_are_told_apart_by_what_the_user_chose() {
        for (criterion, a, b, same) in [
            ("", ("x-key", "1"), ("x-key", "2"), true),
            ("requestHeaderName: X-Key", ("x-key", "1"), ("x-key", "2"), false),
            ("requestHeaderName: X-Key", ("x-other", "1"), ("x-other", "2"), true),
            ("ipStrategy: {depth: 1}", ("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "2.2.2.2"), false),
        ] {
            let options = format!("inFlightReq: {{amount: 1, sourceCriterion: {{{criterion}}}}}");
            let middleware = spec_in(&options, &Live::default());
            let request = |(name, value)| exchange("GET", "http://example.com/").header(name, value).build();
            let (mut first, mut second) = (request(a), request(b));
            assert_eq!(status(&middleware, &mut first), None);
            assert_eq!(status(&middleware, &mut second), same.then_some(429), "{criterion} {a:?} {b:?}");
        }
    }

    #[test]
    fn nobody_passes_where_nobody_may() {
        let middleware = spec_in("inFlightReq: {}", &Live::default());
        assert_eq!(status(&middleware, &mut exchange("GET", "http://a/").build()), Some(429));
    }

    #[test]
    fn many_threads_share_one_count_exactly() {
        let counts = Arc::new(Counts::default());
        let key = Key::text(b"k");
        let taken: usize = std::thread::scope(|scope| {
            let take = || (0..1_000).map_while(|_| counts.take(key, 100)).collect::<Vec<_>>();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
            let held: Vec<_> = threads.into_iter().map(|thread| thread.join().expect("it does not panic")).collect();
            held.iter().map(Vec::len).sum()
        });
        assert_eq!(taken, 100);
        assert!(counts.shard(key).lock().expect("not poisoned").is_empty(), "all are given back");
    }
}
