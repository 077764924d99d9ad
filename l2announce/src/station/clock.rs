//! The clock that protocol cores are told the time of.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::moment::Moment;

/// Now, by `CLOCK_BOOTTIME`.
pub fn now() -> Moment {
    let time = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or_default();
    Moment::new(Duration::new(seconds, nanoseconds))
}
