//! How fast events may be written: so many at once, then so many in a time. Time is an argument.

use std::time::Duration;

use tokio::time::Instant;

/// Tokens that come back one after each `pause`, `burst` at most. What is taken beyond is paid back first.
#[derive(Clone, Debug)]
pub(in crate::provider::kubernetes) struct Pace {
    pause: Duration,
    burst: u32,
    /// When the bucket will be full.
    full: Instant,
}

impl Pace {
    /// Full at `now`.
    pub(in crate::provider::kubernetes) fn new(burst: u32, pause: Duration, now: Instant) -> Self {
        Self { pause, burst, full: now }
    }

    /// When the next may be taken: `now`, or later.
    pub(in crate::provider::kubernetes) fn ready(&self, now: Instant) -> Instant {
        let spare = self.pause * self.burst.saturating_sub(1);
        self.full.checked_sub(spare).unwrap_or(now).max(now)
    }

    /// Takes `count` at `now`, which is not before [`Pace::ready`].
    pub(in crate::provider::kubernetes) fn take(&mut self, count: u32, now: Instant) {
        self.full = self.full.max(now) + self.pause * count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_followed_by_one_after_each_pause_and_debts_are_paid_first() {
        let (start, second) = (Instant::now() + Duration::from_secs(100), Duration::from_secs(1));
        let mut pace = Pace::new(3, second, start);
        for _ in 0..3 {
            assert_eq!(pace.ready(start), start);
            pace.take(1, start);
        }
        assert_eq!(pace.ready(start), start + second);
        pace.take(4, start + second);
        assert_eq!(pace.ready(start + second), start + 5 * second, "four were taken where one was there");
        let later = start + 60 * second;
        for _ in 0..3 {
            assert_eq!(pace.ready(later), later, "no more than a burst comes back");
            pace.take(1, later);
        }
        assert!(pace.ready(later) > later);
    }
}
