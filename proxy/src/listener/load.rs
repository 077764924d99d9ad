//! How many connections each worker has, and who takes the next one.
//!
//! The kernel spreads connections over a SO_REUSEPORT group by hash, which is uneven when they are few and long (HTTP/2).

use std::sync::atomic::{AtomicUsize, Ordering};

/// Connections per worker.
#[derive(Debug)]
pub(super) struct Loads(Box<[Load]>);

/// A cache line of its own, because each worker writes its count.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Load(AtomicUsize);

impl Loads {
    pub(super) fn new(workers: usize) -> Self {
        Self(std::iter::repeat_with(Load::default).take(workers).collect())
    }

    /// Counts one more connection of `worker`.
    pub(super) fn enter(&self, worker: usize) {
        self.change(worker, |load| load.fetch_add(1, Ordering::Relaxed));
    }

    /// Counts one less.
    pub(super) fn leave(&self, worker: usize) {
        self.change(worker, |load| load.fetch_sub(1, Ordering::Relaxed));
    }

    fn change(&self, worker: usize, change: impl FnOnce(&AtomicUsize) -> usize) {
        if let Some(load) = self.0.get(worker) {
            change(&load.0);
        }
    }

    /// Who should take a connection that `worker` has accepted, when not itself: the least busy one, once `worker` would
    /// have more than one and a half times the mean, and half a connection.
    pub(super) fn better_than(&self, worker: usize) -> Option<usize> {
        let counts = || self.0.iter().map(|load| load.0.load(Ordering::Relaxed));
        let mine = counts().nth(worker)? + 1;
        let total = counts().sum::<usize>() + 1;
        let workers = self.0.len();
        if 2 * mine * workers <= 3 * total + workers {
            return None;
        }
        let (least, count) = counts().enumerate().min_by_key(|(_, count)| *count)?;
        (least != worker && count + 1 < mine).then_some(least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_connections_that_hash_to_one_of_four_workers_are_spread() {
        let loads = Loads::new(4);
        for _ in 0..8 {
            loads.enter(loads.better_than(0).unwrap_or(0));
        }
        let most = loads.0.iter().map(|load| load.0.load(Ordering::Relaxed)).max();
        assert!(most <= Some(3), "{loads:?}");
    }

    #[test]
    fn an_even_load_stays_where_it_was_accepted() {
        let loads = Loads::new(2);
        for at in [0, 1, 0, 1, 0, 1] {
            assert_eq!(loads.better_than(at), None);
            loads.enter(at);
        }
    }

    #[test]
    fn a_single_worker_keeps_everything() {
        let loads = Loads::new(1);
        (0..100).for_each(|_| loads.enter(0));
        assert_eq!(loads.better_than(0), None);
    }
}
