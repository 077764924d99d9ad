//! The thread that tells the kernel: a call may take seconds, where many things change or another process has its turn,
//! and heartbeats must not wait for it. What waits is one whole state, the latest: so nothing piles up, and an older state
//! never comes after a newer one.

use std::{
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use tokio::sync::mpsc::UnboundedSender;

use crate::kernel::{Applied, Error, Wanted};

/// After what passes by itself it is tried again: so soon at first, and twice as late each time, up to the second.
const AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// What came of one attempt.
#[derive(Debug)]
pub(in crate::agent) struct Done {
    /// To do what.
    pub(super) wanted: Wanted,
    pub(super) result: Result<Applied, Error>,
}

/// The one place for what waits.
#[derive(Debug, Default)]
struct Slot {
    next: Mutex<Next>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Next {
    wanted: Option<Wanted>,
    is_over: bool,
}

/// The thread, as those see it that give it orders. It ends with what it is doing when this is dropped.
#[derive(Debug)]
pub(super) struct Keeper {
    slot: Arc<Slot>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Keeper {
    /// `apply` is called on the thread, which has the network namespace of the one that starts it.
    pub(super) fn start(
        mut apply: impl FnMut(&Wanted) -> Result<Applied, Error> + Send + 'static,
        done: UnboundedSender<Done>,
    ) -> io::Result<Self> {
        let slot = Arc::new(Slot::default());
        let orders = slot.clone();
        let thread = thread::Builder::new().name("kernel".to_owned()).spawn(move || {
            let mut again = None;
            while let Some(wanted) = orders.take(again.take()) {
                let result = apply(&wanted.state);
                if result.as_ref().is_err_and(Error::is_passing) {
                    again = Some(wanted.clone().later());
                }
                // Who is to be told may have ended.
                let _ended = done.send(Done { wanted: wanted.state, result });
            }
        })?;
        Ok(Self { slot, thread: Some(thread) })
    }

    /// In place of what still waits.
    pub(super) fn order(&self, wanted: Wanted) {
        self.slot.lock().wanted = Some(wanted);
        self.slot.changed.notify_one();
    }

    /// Ends after what is under way.
    pub(super) fn stop(mut self) {
        self.slot.end();
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.slot.end();
    }
}

/// A state that was tried so often that the next time is to come after a pause.
#[derive(Clone, Debug)]
struct Attempt {
    state: Wanted,
    pause: Duration,
}

impl Attempt {
    fn first(state: Wanted) -> Self {
        Self { state, pause: Duration::ZERO }
    }

    fn later(self) -> Self {
        let (first, longest) = AGAIN;
        Self { pause: (self.pause * 2).clamp(first, longest), ..self }
    }
}

impl Slot {
    /// What is to be done next: what was ordered, or `again` when its pause is over. Nothing at the end.
    fn take(&self, again: Option<Attempt>) -> Option<Attempt> {
        let mut next = self.lock();
        if let Some(again) = &again {
            let waits = |next: &mut Next| next.wanted.is_none() && !next.is_over;
            let waited = self.changed.wait_timeout_while(next, again.pause, waits);
            next = waited.unwrap_or_else(PoisonError::into_inner).0;
        } else {
            let waits = |next: &mut Next| next.wanted.is_none() && !next.is_over;
            next = self.changed.wait_while(next, waits).unwrap_or_else(PoisonError::into_inner);
        }
        if next.is_over {
            return None;
        }
        next.wanted.take().map(Attempt::first).or(again)
    }

    fn end(&self) {
        self.lock().is_over = true;
        self.changed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Next> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The first pauses, one after the other.
#[cfg(test)]
pub(super) fn pauses(count: usize) -> Vec<Duration> {
    let attempts = std::iter::successors(Some(Attempt::first(Wanted::default())), |last| Some(last.clone().later()));
    attempts.skip(1).take(count).map(|attempt| attempt.pause).collect()
}
