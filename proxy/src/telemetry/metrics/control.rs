//! What the control runtime counts: changes of the configuration. Rare, so a lock is right here.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;

use super::{
    cell::{Counter, Histogram, HistogramTotal},
    label::{HandOver, Stage},
    series::add,
};

/// Counts of the control runtime.
#[derive(Debug, Default)]
pub struct Control {
    state: Mutex<State>,
    stages: [Histogram; Stage::COUNT],
    hand_overs: [Counter; HandOver::COUNT],
}

#[derive(Clone, Debug, Default)]
struct State {
    succeeded: u64,
    failed: u64,
    last_success: Option<Timestamp>,
}

/// What happened so far.
#[derive(Clone, Debug, Default)]
pub struct Reloads {
    /// Changes that took effect.
    pub succeeded: u64,
    /// Changes of which a part could not be read, so that the last good content stayed.
    pub failed: u64,
    /// When the last one took effect.
    pub last_success: Option<Timestamp>,
}

impl Control {
    /// A change took effect at `now`.
    pub fn reload_succeeded(&self, now: Timestamp) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.succeeded += 1;
        state.last_success = Some(now);
    }

    /// A part of a change could not be read.
    pub fn reload_failed(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).failed += 1;
    }

    /// A step of a change took `duration`. Called by the control thread alone.
    pub fn stage(&self, stage: Stage, duration: Duration) {
        if let Some(histogram) = self.stages.get(stage as usize) {
            histogram.observe(duration);
        }
    }

    /// A hand-over ended. Called by the control thread alone.
    pub fn handed_over(&self, outcome: HandOver) {
        add(&self.hand_overs, outcome as usize);
    }

    pub(super) fn hand_overs(&self, outcome: HandOver) -> u64 {
        self.hand_overs.get(outcome as usize).map_or(0, Counter::value)
    }

    /// What happened so far.
    pub fn reloads(&self) -> Reloads {
        let State { succeeded, failed, last_success } =
            self.state.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Reloads { succeeded, failed, last_success }
    }

    pub(super) fn stage_total(&self, stage: Stage) -> HistogramTotal {
        let mut total = HistogramTotal::default();
        if let Some(histogram) = self.stages.get(stage as usize) {
            histogram.add_to(&mut total);
        }
        total
    }
}
