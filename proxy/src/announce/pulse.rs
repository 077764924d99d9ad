//! Whether the workers run: an address must not stay where connections are accepted and nobody answers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use crate::worker::WorkerHandle;

/// A worker that has not run for so long does not serve. No task of a worker's lasts longer than a fraction of a
/// millisecond, but a machine that is out of memory or processor time may make it wait.
const STILL: Duration = Duration::from_secs(2);

/// All workers.
#[derive(Debug)]
pub(super) struct Pulse {
    workers: Vec<Felt>,
}

#[derive(Debug)]
struct Felt {
    handle: WorkerHandle,
    /// Raised by the worker.
    beats: Arc<AtomicU64>,
    asked: u64,
    /// When it had answered everything for the last time.
    well: Instant,
}

impl Pulse {
    pub(super) fn of(workers: Vec<WorkerHandle>) -> Self {
        let felt = |handle| Felt { handle, beats: Arc::default(), asked: 0, well: Instant::now() };
        Self { workers: workers.into_iter().map(felt).collect() }
    }

    /// Asks each worker that has answered to answer again.
    pub(super) fn feel(&mut self) {
        for felt in &mut self.workers {
            if felt.beats.load(Relaxed) < felt.asked {
                continue;
            }
            (felt.asked, felt.well) = (felt.asked + 1, Instant::now());
            let (beats, asked) = (felt.beats.clone(), felt.asked);
            felt.handle.spawn(move |_| async move { beats.store(asked, Relaxed) });
        }
    }

    /// A worker that does not run.
    pub(super) fn trouble(&self) -> Option<Arc<str>> {
        let is_still = |felt: &&Felt| felt.beats.load(Relaxed) < felt.asked && felt.well.elapsed() >= STILL;
        let (index, _) = self.workers.iter().enumerate().find(|(_, felt)| is_still(felt))?;
        Some(format!("worker {index} has not run for {} seconds", STILL.as_secs()).into())
    }
}
