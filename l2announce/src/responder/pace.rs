//! How fast frames that nobody asked for may leave.

use std::time::Duration;

use crate::moment::Moment;

/// A bucket of credit, in time: each frame costs the time between two frames.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    cost: Duration,
    most: Duration,
    credit: Duration,
    counted: Moment,
}

impl Pace {
    /// 10,000 frames a second, 100 at once: both forms of 200 addresses within 30 ms.
    pub(super) const FIRST_ROUNDS: Self = Self::new(10_000, 100);

    /// This many frames a second (0 counts as 1), and `depth` at once.
    pub(super) const fn new(frames_per_second: u32, depth: u32) -> Self {
        let rate = if frames_per_second == 0 { 1 } else { frames_per_second };
        let cost = Duration::from_nanos(1_000_000_000 / rate as u64);
        let most = cost.saturating_mul(depth);
        Self { cost, most, credit: most, counted: Moment::new(Duration::ZERO) }
    }

    /// Whether a frame may leave now; it counts as sent then.
    pub(super) fn take(&mut self, now: Moment) -> bool {
        self.credit = self.most.min(self.credit + now.since(self.counted));
        self.counted = self.counted.max(now);
        match self.credit.checked_sub(self.cost) {
            Some(rest) => {
                self.credit = rest;
                true
            }
            None => false,
        }
    }

    /// When a frame may leave.
    pub(super) fn ready(&self) -> Moment {
        self.counted + self.cost.saturating_sub(self.credit)
    }
}
