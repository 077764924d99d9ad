//! What was measured of late: numbers of answers by status in the last ten seconds, latencies of the last minute.
//!
//! Time is an argument, counted from any moment that stays the same.

use std::time::Duration;

/// One second each.
const SECONDS: usize = 10;
/// Ten seconds each, as in Traefik.
const SPANS: usize = 6;
const SPAN: Duration = Duration::from_secs(10);
/// Statuses from 100 to 599 by themselves, all others together.
const STATUSES: usize = 501;
/// Latencies in microseconds are counted by their highest seven bits: within 0.8 %.
const FINE_BITS: u32 = 6;
const FINE: usize = 1 << FINE_BITS;
/// Up to 2^32 µs, more than an hour.
const LATENCIES: usize = (32 - FINE_BITS as usize + 1) * FINE;

/// Answers of the last ten seconds, by status.
#[derive(Debug)]
pub(super) struct Statuses {
    seconds: Box<[[u32; STATUSES]; SECONDS]>,
    now: u64,
}

impl Default for Statuses {
    fn default() -> Self {
        Self { seconds: Box::new([[0; STATUSES]; SECONDS]), now: 0 }
    }
}

impl Statuses {
    pub(super) fn count(&mut self, now: Duration, status: u16) {
        self.forget(now);
        let at = usize::from(status.wrapping_sub(100)).min(STATUSES - 1);
        if let Some(count) = self.second(self.now).get_mut(at) {
            *count = count.saturating_add(1);
        }
    }

    /// Answers with a status from `from` on and below `to`.
    pub(super) fn sum(&self, (from, to): (u16, u16)) -> u64 {
        let begin = usize::from(from.saturating_sub(100));
        let end = usize::from(to.saturating_sub(100)).min(STATUSES - 1);
        let of_second = |second: &[u32; STATUSES]| -> u64 {
            second.get(begin..end).unwrap_or_default().iter().copied().map(u64::from).sum()
        };
        self.seconds.iter().map(of_second).sum()
    }

    /// All answers.
    pub(super) fn total(&self) -> u64 {
        self.seconds.iter().flatten().copied().map(u64::from).sum()
    }

    fn second(&mut self, second: u64) -> &mut [u32; STATUSES] {
        let at = usize::try_from(second % SECONDS as u64).expect("the remainder is small");
        self.seconds.get_mut(at).expect("the remainder is less than the length")
    }

    /// Empties the seconds that have come since, for they held what is now older than the window.
    pub(super) fn forget(&mut self, now: Duration) {
        let now = now.as_secs().max(self.now);
        for second in (self.now + 1..=now).take(SECONDS) {
            *self.second(second) = [0; STATUSES];
        }
        self.now = now;
    }
}

/// Latencies of the last minute, within one percent.
#[derive(Debug)]
pub(super) struct Latencies {
    spans: Box<[[u32; LATENCIES]; SPANS]>,
    current: u64,
}

impl Default for Latencies {
    fn default() -> Self {
        Self { spans: vec![[0; LATENCIES]; SPANS].try_into().expect("it has that length"), current: 0 }
    }
}

impl Latencies {
    pub(super) fn count(&mut self, now: Duration, latency: Duration) {
        self.forget(now);
        let bucket = bucket(u32::try_from(latency.as_micros()).unwrap_or(u32::MAX));
        if let Some(count) = self.span(self.current).get_mut(bucket) {
            *count = count.saturating_add(1);
        }
    }

    /// What `percent` of all took at most; zero where there are none.
    pub(super) fn at_quantile(&self, percent: f64) -> Duration {
        let in_bucket =
            |at: usize| -> u64 { self.spans.iter().filter_map(|span| span.get(at)).copied().map(u64::from).sum() };
        let total: u64 = (0..LATENCIES).map(in_bucket).sum();
        if total == 0 {
            return Duration::ZERO;
        }
        let wanted = ((percent / 100.0 * total as f64) + 0.5).floor().max(1.0) as u64;
        let mut seen = 0;
        let reached = (0..LATENCIES).find(|at| {
            seen += in_bucket(*at);
            seen >= wanted
        });
        Duration::from_micros(upper(reached.unwrap_or(LATENCIES - 1)))
    }

    fn span(&mut self, span: u64) -> &mut [u32; LATENCIES] {
        let at = usize::try_from(span % SPANS as u64).expect("the remainder is small");
        self.spans.get_mut(at).expect("the remainder is less than the length")
    }

    /// The same.
    pub(super) fn forget(&mut self, now: Duration) {
        let current = (now.as_secs() / SPAN.as_secs()).max(self.current);
        for span in (self.current + 1..=current).take(SPANS) {
            *self.span(span) = [0; LATENCIES];
        }
        self.current = current;
    }
}

/// Small values by themselves, larger ones by their highest bits.
fn bucket(micros: u32) -> usize {
    let shift = (32 - micros.leading_zeros()).saturating_sub(FINE_BITS + 1);
    shift as usize * FINE + (micros >> shift) as usize
}

/// The largest value of a bucket.
fn upper(bucket: usize) -> u64 {
    let shift = (bucket / FINE).saturating_sub(1);
    let high = bucket - shift * FINE;
    ((high as u64 + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn answers_are_forgotten_after_ten_seconds() {
        let mut statuses = Statuses::default();
        statuses.count(at(500), 200);
        for status in [503, 599, 600] {
            statuses.count(at(1_500), status);
        }
        let mut sums = |now, range| {
            statuses.forget(at(now));
            (statuses.total(), statuses.sum(range))
        };
        assert_eq!(sums(9_999, (500, 600)), (4, 2));
        assert_eq!(sums(9_999, (0, 600)), (4, 3));
        assert_eq!(sums(9_999, (200, 200)), (4, 0), "the end is not of the range");
        assert_eq!(sums(9_999, (600, 100)), (4, 0), "a range that goes back");
        assert_eq!(sums(10_000, (0, 600)), (3, 2));
        assert_eq!(sums(11_000, (0, 600)), (0, 0));
        statuses.count(at(1_000_000), 200);
        statuses.forget(at(999_000));
        assert_eq!(statuses.total(), 1, "a clock that goes back");
    }

    #[test]
    fn quantiles_are_within_a_percent() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.at_quantile(50.0), Duration::ZERO);
        for millis in 1..=1000 {
            latencies.count(at(0), at(millis));
        }
        latencies.forget(at(59_000));
        for (percent, want) in [(0.0, 1.0), (50.0, 500.0), (99.0, 990.0), (100.0, 1000.0)] {
            let found = latencies.at_quantile(percent).as_secs_f64() * 1000.0;
            assert!((found - want).abs() <= want * 0.016, "{percent}: {found}");
        }
        latencies.forget(at(60_000));
        assert_eq!(latencies.at_quantile(50.0), Duration::ZERO, "forgotten after a minute");
    }

    proptest! {
        #[test]
        fn every_latency_has_a_bucket_that_holds_it(micros in any::<u32>()) {
            let found = bucket(micros);
            prop_assert!(found < LATENCIES);
            prop_assert!(upper(found) >= u64::from(micros));
            prop_assert!(upper(found) as f64 <= f64::from(micros) * 1.016 + 1.0);
        }
    }
}
