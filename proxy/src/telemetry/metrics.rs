//! Counters: plain relaxed atomics in a cache-line-aligned shard per worker, summed when scraped.

/// All shards.
#[derive(Debug)]
pub struct Metrics {
    shards: Vec<Shard>,
}

/// One worker's counters.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Shard {}

impl Metrics {
    /// One shard per worker.
    pub fn new(workers: usize) -> Self {
        Self { shards: std::iter::repeat_with(Shard::default).take(workers.max(1)).collect() }
    }

    /// Worker `index`'s shard.
    pub fn shard(&self, index: usize) -> &Shard {
        let at = index % self.shards.len();
        self.shards.get(at).expect("there is at least one shard")
    }
}
