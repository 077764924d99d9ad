//! What is counted into: a counter and a histogram that one worker writes and anybody reads.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// Counts up. Written by one thread only, so that an addition is a load and a store and no locked instruction;
/// a second writer would lose counts, never corrupt them.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

/// Upper bounds of the duration buckets in microseconds: 0.5 ms to 10 s, then infinity.
pub const BUCKETS_MICROS: [u64; 14] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000,
    10_000_000,
];

/// Durations, counted by bucket.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [Counter; BUCKETS_MICROS.len() + 1],
    sum_micros: Counter,
}

/// Histograms of several workers, summed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HistogramTotal {
    /// Not cumulative; the last is everything above the last bound.
    pub buckets: [u64; BUCKETS_MICROS.len() + 1],
    /// Sum of the durations in microseconds.
    pub sum_micros: u64,
}

impl Counter {
    /// Adds `n`.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// The count so far.
    pub fn value(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl Histogram {
    /// Counts `duration`.
    #[inline]
    pub fn observe(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let bucket = BUCKETS_MICROS.partition_point(|bound| *bound < micros);
        if let Some(bucket) = self.buckets.get(bucket) {
            bucket.add(1);
        }
        self.sum_micros.add(micros);
    }

    /// Adds what was counted to `total`.
    pub fn add_to(&self, total: &mut HistogramTotal) {
        for (sum, bucket) in total.buckets.iter_mut().zip(&self.buckets) {
            *sum += bucket.value();
        }
        total.sum_micros = total.sum_micros.wrapping_add(self.sum_micros.value());
    }
}

impl HistogramTotal {
    /// How many durations were counted.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_counted_in_the_first_bucket_whose_bound_holds_it() {
        for (micros, at) in [(0, 0), (500, 0), (501, 1), (10_000_000, 13), (10_000_001, 14)] {
            let histogram = Histogram::default();
            histogram.observe(Duration::from_micros(micros));
            let mut total = HistogramTotal::default();
            histogram.add_to(&mut total);
            assert_eq!(total.buckets.iter().position(|n| *n == 1), Some(at), "{micros} µs");
            assert_eq!((total.count(), total.sum_micros), (1, micros));
        }
    }
}
