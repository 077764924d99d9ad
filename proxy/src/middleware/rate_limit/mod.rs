//! Limits requests per source and time. A request that is only a little early waits; others are answered 429.

mod bucket;
mod table;

use std::{sync::Arc, time::Duration};

use http::{HeaderValue, StatusCode, header};
use postern_config::model::{id::MiddlewareId, middleware::rate_limit as model};
pub(super) use table::Buckets;
use tokio::time::Instant;

use self::bucket::Verdict;
use super::{criterion::Criterion, live::Live, refuse};
use crate::exchange::{Exchange, Flow};

/// Running state.
#[derive(Debug)]
pub(super) struct RateLimit {
    id: MiddlewareId,
    /// `None` limits nothing.
    buckets: Option<Arc<Buckets>>,
    criterion: Criterion,
}

/// What becomes of a request.
pub(super) enum Taken {
    /// Settled.
    Now(Flow),
    /// It goes on after a while.
    Later(Duration),
    /// There have been too many: this is the answer.
    Never(Flow),
}

impl RateLimit {
    pub(super) fn build(id: &MiddlewareId, spec: &model::RateLimit, live: &Live) -> Self {
        let buckets = spec.limit.map(|limit| live.buckets.state(id, spec, || Buckets::new(limit)));
        Self { id: id.clone(), buckets, criterion: Criterion::new(&spec.source) }
    }

    /// Takes a token for `exchange`.
    pub(super) fn take(&self, exchange: &mut Exchange) -> Taken {
        let Some(buckets) = &self.buckets else { return Taken::Now(Flow::Continue) };
        match buckets.take(self.criterion.key(exchange), Instant::now()) {
            Verdict::Pass => Taken::Now(Flow::Continue),
            Verdict::Delay(wait) => Taken::Later(wait),
            Verdict::Reject(wait) => Taken::Never(self.reject(exchange, wait)),
        }
    }

    fn reject(&self, exchange: &mut Exchange, wait: Duration) -> Flow {
        let flow = refuse(exchange, StatusCode::TOO_MANY_REQUESTS, format!("{}: too many requests", self.id));
        let Flow::Answer(mut response) = flow else { return flow };
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        if let Ok(text) = HeaderValue::from_str(&go_duration(wait)) {
            response.headers_mut().insert("x-retry-in", text);
        }
        Flow::Answer(response)
    }
}

/// A duration as Go prints it: `1m30s`, `1.5s`, `250ms`, `12.5µs`.
fn go_duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    let (unit, size) = match nanos {
        0 => return "0s".to_owned(),
        1..1_000 => ("ns", 1),
        // Go writes the micro sign, which is not ASCII and stays out of header fields.
        1_000..1_000_000 => ("us", 1_000),
        1_000_000..1_000_000_000 => ("ms", 1_000_000),
        _ => ("s", 1_000_000_000),
    };
    let minutes = if unit == "s" { nanos / 60_000_000_000 } else { 0 };
    let nanos = nanos - minutes * 60_000_000_000;
    let (whole, rest) = (nanos / size, nanos % size);
    let digits = size.ilog10() as usize;
    let fraction = format!("{rest:0digits$}");
    let fraction = fraction.trim_end_matches('0');
    let dot = if fraction.is_empty() { "" } else { "." };
    let prefix = match (minutes / 60, minutes % 60) {
        (0, 0) => String::new(),
        (0, minutes) => format!("{minutes}m"),
        (hours, minutes) => format!("{hours}h{minutes}m"),
    };
    format!("{prefix}{whole}{dot}{fraction}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        middleware::testing::{answered, exchange, spec_in, worker},
        telemetry::metrics::{FailureReason, Limit},
    };

    #[test]
    fn durations_are_printed_as_go_does() {
        for (nanos, want) in [
            (0, "0s"),
            (999, "999ns"),
            (1_500, "1.5us"),
            (250_000_000, "250ms"),
            (1_500_000_000, "1.5s"),
            (60_000_000_000, "1m0s"),
            (3_723_500_000_000, "1h2m3.5s"),
        ] {
            assert_eq!(go_duration(Duration::from_nanos(nanos)), want);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn buckets_outlive_a_rebuild_and_tell_when_to_come_back() {
        let live = Live::default();
        let options = "rateLimit: {average: 1, period: 1m, burst: 2}";
        let first = spec_in(options, &live);
        let request = || exchange("GET", "http://example.com/").from("192.0.2.1").build();
        assert!(answered(&first, &mut request()).await.is_none());
        assert!(answered(&first, &mut request()).await.is_none());
        let second = spec_in(options, &live);
        let refused = answered(&second, &mut request()).await.expect("the bucket is empty");
        assert_eq!(refused.status(), 429);
        assert_eq!(refused.headers().get("retry-after").map(HeaderValue::as_bytes), Some(&b"60"[..]));
        assert_eq!(refused.headers().get("x-retry-in").map(HeaderValue::as_bytes), Some(&b"1m0s"[..]));
        let mut other = exchange("GET", "http://example.com/").from("192.0.2.2").build();
        assert!(answered(&second, &mut other).await.is_none(), "another source has its own bucket");
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(answered(&second, &mut request()).await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_are_counted() {
        let middleware = spec_in("rateLimit: {average: 1, period: 1m}", &Live::default());
        let worker = worker();
        for _ in 0..3 {
            let mut request = exchange("GET", "http://example.com/").build();
            middleware.on_request(&mut request, &worker).await;
        }
        let metrics = &worker.shared.metrics;
        assert_eq!((metrics.limited(Limit::Rate), metrics.failed(FailureReason::Refused)), (2, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn requests_that_are_a_little_early_wait() {
        let middleware = spec_in("rateLimit: {average: 10}", &Live::default());
        let request = || exchange("GET", "http://example.com/").from("192.0.2.1").build();
        let begin = Instant::now();
        assert!(answered(&middleware, &mut request()).await.is_none());
        assert_eq!(answered(&middleware, &mut request()).await.map(|answer| answer.status().as_u16()), Some(429));
        tokio::time::advance(Duration::from_millis(60)).await;
        assert!(answered(&middleware, &mut request()).await.is_none());
        assert!(begin.elapsed() >= Duration::from_millis(100), "it had to wait for its token");
    }

    #[test]
    fn sources_are_told_apart_by_what_the_user_chose() {
        for (criterion, a, b, same) in [
            ("requestHeaderName: X-Key", ("x-key", "1"), ("x-key", "2"), false),
            ("requestHeaderName: X-Key", ("x-key", "1"), ("x-key", "1"), true),
            ("requestHeaderName: X-Key", ("x-other", "1"), ("x-other", "2"), true),
            ("ipStrategy: {depth: 1}", ("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "2.2.2.2"), false),
            ("ipStrategy: {depth: 1}", ("x-forwarded-for", ""), ("x-other", ""), true),
            ("requestHost: true", ("x-a", "1"), ("x-a", "2"), true),
        ] {
            let options = format!("rateLimit: {{average: 1, period: 1h, sourceCriterion: {{{criterion}}}}}");
            let middleware = spec_in(&options, &Live::default());
            let status = |(name, value)| {
                let mut exchange = exchange("GET", "http://example.com/").header(name, value).build();
                crate::middleware::testing::status(&middleware, &mut exchange)
            };
            assert_eq!(status(a), None);
            assert_eq!(status(b), same.then_some(429), "{criterion} {a:?} {b:?}");
        }
    }
}
