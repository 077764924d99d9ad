//! How many repetitions a cluster may cost: a share of its requests, beside a floor, over a sliding window.
//!
//! Nothing is counted per request: the number of requests so far is an argument, read when a retry is asked for.

use std::time::Duration;

/// Over which the share is taken.
const WINDOW: Duration = Duration::from_secs(10);
/// Retries a second that are always allowed.
const FLOOR_PER_SECOND: f64 = 10.0;

/// A cluster's account.
#[derive(Debug)]
pub(super) struct Budget {
    balance: f64,
    seen_at: Duration,
    seen_requests: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Self { balance: FLOOR_PER_SECOND * WINDOW.as_secs_f64(), seen_at: Duration::ZERO, seen_requests: 0 }
    }
}

impl Budget {
    /// Pays for one retry at `now`, when `requests` have been sent since the start, of which `percent` may be
    /// retries. Without credit nothing is paid.
    pub(super) fn withdraw(&mut self, now: Duration, requests: u64, percent: u32) -> bool {
        self.earn(now, requests, percent);
        if self.balance < 1.0 {
            return false;
        }
        self.balance -= 1.0;
        true
    }

    /// What is older than the window counts no more; what came in since earns its share of it.
    fn earn(&mut self, now: Duration, requests: u64, percent: u32) {
        let window = WINDOW.as_secs_f64();
        let elapsed = now.saturating_sub(self.seen_at).as_secs_f64();
        let kept = (1.0 - elapsed / window).max(0.0);
        let recent = if elapsed > window { window / elapsed } else { 1.0 };
        // A cluster's count shrinks when an endpoint leaves; that earns nothing.
        let new_requests = requests.saturating_sub(self.seen_requests) as f64 * recent;
        self.balance = self.balance * kept + FLOOR_PER_SECOND * elapsed.min(window);
        self.balance += new_requests * f64::from(percent) / 100.0;
        self.seen_at = now;
        self.seen_requests = requests;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paid(budget: &mut Budget, now: Duration, requests: u64, percent: u32, asked: u32) -> u32 {
        (0..asked).map(|_| u32::from(budget.withdraw(now, requests, percent))).sum()
    }

    #[test]
    fn a_quiet_cluster_has_the_floor_of_one_window() {
        let mut budget = Budget::default();
        assert_eq!(paid(&mut budget, Duration::ZERO, 0, 20, 1000), 100);
        assert_eq!(paid(&mut budget, Duration::from_secs(1), 0, 20, 1000), 10);
    }

    #[test]
    fn requests_earn_their_share() {
        let mut budget = Budget::default();
        paid(&mut budget, Duration::ZERO, 0, 20, 1000);
        assert_eq!(paid(&mut budget, Duration::ZERO, 1000, 20, 1000), 200);
    }

    #[test]
    fn a_busy_past_does_not_pay_for_a_storm_later() {
        let mut budget = Budget::default();
        let hour = Duration::from_secs(3600);
        let paid = paid(&mut budget, hour, 3_600_000, 20, 100_000);
        // Less at most the one that rounding may cost.
        assert!((2099..=2100).contains(&paid), "the floor and a fifth of ten seconds' requests: {paid}");
    }

    #[test]
    fn steady_failure_is_paid_at_the_share_and_no_more() {
        let mut budget = Budget::default();
        let mut allowed = 0;
        for tick in 0..60_000u32 {
            let now = Duration::from_millis(u64::from(tick));
            allowed += u32::from(budget.withdraw(now, u64::from(tick), 20));
        }
        // 1,000 requests a second for a minute, every one asking for a retry.
        assert!((60 * 200..60 * 215 + 200).contains(&allowed), "{allowed}");
    }
}
