//! How soon a node that is not heard any more counts as lost.

use std::time::Duration;

use crate::Moment;

/// The timing of heartbeats. Nodes may differ in it: each tells its own beat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Time between two heartbeats of this node.
    pub beat: Duration,
    /// A node is lost when it has been silent for so many of its beats.
    pub misses: u32,
    /// Wait longer, up to so many beats, where heartbeats come irregularly.
    pub patience: Option<u32>,
}

impl Profile {
    /// 250 ms × 4: for wired networks, with loss here and there.
    pub const DEFAULT: Self = Self { beat: Duration::from_millis(250), misses: 4, patience: None };
    /// 100 ms × 3: for quiet wired networks and nodes that are never short of processor time.
    pub const FAST: Self = Self { beat: Duration::from_millis(100), misses: 3, patience: None };
    /// 250 ms, and a timeout as long as what was measured of each node asks for: at least 3 beats, at most 12. For
    /// wireless networks and others that lose.
    pub const ADAPTIVE: Self = Self { beat: Duration::from_millis(250), misses: 3, patience: Some(12) };

    /// How long a node of the same profile may be silent, where its heartbeats come regularly.
    pub const fn timeout(&self) -> Duration {
        self.beat.saturating_mul(self.misses)
    }

    /// How long a silence of a node with `beat` may last at most.
    pub(crate) fn longest(&self, beat: Duration) -> Duration {
        beat.saturating_mul(self.patience.unwrap_or(self.misses).max(self.misses))
    }

    /// How long to listen before anything is claimed: what every node that is there is heard within.
    pub fn listening(&self) -> Duration {
        self.beat.saturating_mul(self.misses.max(4))
    }

    /// A process that has not run for longer than this must not go on as if it had.
    pub const fn longest_pause(&self) -> Duration {
        self.beat.saturating_mul(2)
    }
}

impl Default for Profile {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// When a node was heard on one link, and how regularly.
#[derive(Clone, Debug)]
pub(super) struct Hearing {
    last: Moment,
    /// Since when it has been heard without a break.
    since: Moment,
    /// Of the time between two heartbeats, in seconds, the latest weighing most.
    mean: f64,
    variance: f64,
}

impl Hearing {
    /// The share of the latest measurement.
    const WEIGHT: f64 = 1.0 / 16.0;

    pub(super) fn new(now: Moment, beat: Duration) -> Self {
        Self { last: now, since: now, mean: beat.as_secs_f64(), variance: 0.0 }
    }

    pub(super) fn hear(&mut self, now: Moment, profile: &Profile, beat: Duration) {
        let gap = now.since(self.last);
        if gap >= self.timeout(profile, beat) {
            self.since = now;
        }
        // A longer silence was no irregularity: the node, its link or this process was away.
        if gap < profile.longest(beat) {
            let off = gap.as_secs_f64() - self.mean;
            self.mean += Self::WEIGHT * off;
            self.variance = (1.0 - Self::WEIGHT) * Self::WEIGHT.mul_add(off * off, self.variance);
        }
        self.last = now;
    }

    pub(super) const fn last(&self) -> Moment {
        self.last
    }

    pub(super) const fn since(&self) -> Moment {
        self.since
    }

    /// How long a silence of a node with `beat` may last. With patience: two beats over what six standard deviations
    /// allow, which normally distributed gaps exceed once in 10⁹ (phi accrual, Hayashibara et al. 2004, with φ = 9).
    pub(super) fn timeout(&self, profile: &Profile, beat: Duration) -> Duration {
        let least = beat.saturating_mul(profile.misses);
        if profile.patience.is_none() {
            return least;
        }
        let wanted = 6.0_f64.mul_add(self.variance.sqrt(), self.mean);
        let wanted = Duration::try_from_secs_f64(wanted).unwrap_or(Duration::MAX).saturating_add(beat * 2);
        wanted.clamp(least, profile.longest(beat))
    }
}
