//! When something happens, as protocol cores are told of it. Reading the clock is not done here.

use std::{ops::Add, time::Duration};

/// Time since the machine started, the time that it slept or was suspended included (`CLOCK_BOOTTIME`): a process or a
/// virtual machine that was paused sees how long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(Duration);

impl Moment {
    /// `since` the machine started.
    pub const fn new(since: Duration) -> Self {
        Self(since)
    }

    /// How long after `earlier` this is; zero if it is not later.
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, later: Duration) -> Self {
        Self(self.0.saturating_add(later))
    }
}
