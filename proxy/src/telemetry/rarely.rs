//! Lines about what clients do: as many as they like to cause would fill the disk.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// The least time between two lines.
const PAUSE: Duration = Duration::from_secs(1);

/// Lets through one line a second, and then says how many it has not let through.
#[derive(Debug, Default)]
pub struct Rarely(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last: Option<Instant>,
    left_out: u64,
}

impl Rarely {
    /// Runs `log`, unless that was done within the last second.
    pub fn log(&self, log: impl FnOnce()) {
        match self.turn(Instant::now()) {
            None => return,
            Some(0) => {}
            Some(count) => tracing::warn!(count, "lines like the following one were left out"),
        }
        log();
    }

    /// Whether it is time for a line, and how many were left out before it.
    fn turn(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.last.is_some_and(|last| now.duration_since(last) < PAUSE) {
            state.left_out += 1;
            return None;
        }
        state.last = Some(now);
        Some(std::mem::take(&mut state.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_second_is_let_through_and_the_others_are_counted() {
        let rarely = Rarely::default();
        let start = Instant::now();
        let at = |ms: u64| rarely.turn(start + Duration::from_millis(ms));
        assert_eq!((at(0), at(1), at(999)), (Some(0), None, None));
        assert_eq!((at(1000), at(1500), at(5000)), (Some(2), None, Some(1)));
    }
}
