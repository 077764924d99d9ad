//! A token bucket as one number (the generic cell rate algorithm), exact in integers. Time is an argument.
//!
//! The number is the moment at which the bucket will be full again. Every request moves it by one emission interval,
//! `period / average`. It is counted in nanoseconds times `average`, so that the interval is the whole number `period`
//! and nothing is rounded. A bucket whose moment has passed is as good as none: forgetting it gives nobody a token.

use std::time::Duration;

use postern_config::model::middleware::rate_limit::Limit;

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// There was a token.
    Pass,
    /// There will be one after this long; it is taken already.
    Delay(Duration),
    /// There will be one only after this long; none was taken.
    Reject(Duration),
}

/// A [`Limit`] in scaled time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scaled {
    average: u128,
    interval: u128,
    /// How far ahead of now a full bucket's moment may be.
    tolerance: u128,
    /// Longer waits are refused: half a token's time, at most half a second (Traefik's `maxDelay`).
    longest_wait: Duration,
}

/// The moment at which a bucket is full again; 0 is a new one.
pub(super) type FullAt = u128;

impl Scaled {
    pub(super) fn new(limit: Limit) -> Self {
        let average = u128::from(limit.average.get());
        let interval = limit.period.as_nanos();
        let per_second = average * 1_000_000_000 / interval;
        let longest_wait = match u64::try_from(per_second) {
            Ok(0) => Duration::from_millis(500),
            Ok(rate) => Duration::from_nanos(1_000_000_000 / rate.saturating_mul(2)),
            Err(_) => Duration::ZERO,
        };
        Self { average, interval, tolerance: interval * u128::from(limit.burst.get()), longest_wait }
    }

    /// `now`, which is since any fixed moment, in scaled time.
    pub(super) fn scale(&self, now: Duration) -> u128 {
        now.as_nanos() * self.average
    }

    /// Takes a token at `now` (scaled).
    pub(super) fn take(&self, full_at: &mut FullAt, now: u128) -> Verdict {
        let next = (*full_at).max(now) + self.interval;
        let excess = (next - now).saturating_sub(self.tolerance);
        if excess == 0 {
            *full_at = next;
            return Verdict::Pass;
        }
        let nanos = excess.div_ceil(self.average);
        let wait = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        if wait > self.longest_wait {
            return Verdict::Reject(wait);
        }
        *full_at = next;
        Verdict::Delay(wait)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn limit(average: u64, period_ms: u64, burst: u64) -> Limit {
        Limit {
            average: average.try_into().expect("not zero"),
            period: Duration::from_millis(period_ms),
            burst: burst.try_into().expect("not zero"),
        }
    }

    /// `(milliseconds since the last request, verdict)` in order.
    fn run(limit: Limit, steps: &[(u64, Verdict)]) {
        let scaled = Scaled::new(limit);
        let (mut full_at, mut now) = (0, Duration::from_secs(1));
        for (index, (pause, want)) in steps.iter().enumerate() {
            now += Duration::from_millis(*pause);
            assert_eq!(scaled.take(&mut full_at, scaled.scale(now)), *want, "step {index} of {limit:?}");
        }
    }

    #[test]
    fn a_bucket_holds_its_burst_and_refills_at_its_rate() {
        use Verdict::{Delay, Pass, Reject};
        let ms = Duration::from_millis;
        run(limit(1, 1_000, 3), &[(0, Pass), (0, Pass), (0, Pass), (0, Reject(ms(1_000))), (1_000, Pass)]);
        run(limit(10, 1_000, 1), &[(0, Pass), (0, Reject(ms(100))), (50, Delay(ms(50))), (0, Reject(ms(150)))]);
        run(limit(1, 60_000, 1), &[(0, Pass), (59_000, Reject(ms(1_000))), (600, Delay(ms(400)))]);
        run(limit(2, 1_000, 1), &[(0, Pass), (0, Reject(ms(500))), (250, Delay(ms(250)))]);
    }

    /// 60 a minute with a burst of 300: two seconds of silence are worth two tokens.
    #[test]
    fn silence_gives_back_no_more_than_the_rate() {
        let scaled = Scaled::new(limit(60, 60_000, 300));
        let (mut full_at, start) = (0, Duration::from_secs(100));
        let passes = |full_at: &mut u128, now| {
            (0..1_000).take_while(|_| scaled.take(full_at, scaled.scale(now)) == Verdict::Pass).count()
        };
        assert_eq!(passes(&mut full_at, start), 300);
        assert_eq!(passes(&mut full_at, start + Duration::from_millis(2_000)), 2);
    }

    proptest! {
        /// Against the definition: tokens as an exact fraction.
        #[test]
        fn verdicts_equal_those_of_a_counted_bucket(
            average in 1u64..1_000, period in 1u64..100_000, burst in 1u64..50,
            pauses in proptest::collection::vec(0u64..5_000, 1..60),
        ) {
            let limit = limit(average, period, burst);
            let scaled = Scaled::new(limit);
            let (mut full_at, mut now) = (0, Duration::from_secs(1));
            // In units of 1 / (period in ns) tokens.
            let one = limit.period.as_nanos() as i128;
            let mut tokens = one * i128::from(burst);
            for pause in pauses {
                now += Duration::from_millis(pause);
                let gained = i128::from(pause) * 1_000_000 * i128::from(average);
                tokens = (tokens + gained).min(one * i128::from(burst));
                match scaled.take(&mut full_at, scaled.scale(now)) {
                    Verdict::Pass => { prop_assert!(tokens >= one); tokens -= one; }
                    Verdict::Delay(_) => { prop_assert!(tokens < one); tokens -= one; }
                    Verdict::Reject(_) => prop_assert!(tokens < one),
                }
            }
        }
    }
}
