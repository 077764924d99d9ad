//! Which core does what: the proxy under test has one for itself, backend and load share the other.

use rustix::thread::{CpuSet, sched_setaffinity};

/// The core of the proxy under test.
pub(crate) const PROXY: usize = 0;

/// The core of backend and load: the next one, where there is one.
pub(crate) fn load() -> usize {
    usize::from(std::thread::available_parallelism().map_or(1, usize::from) > 1)
}

/// Pins the calling thread. Where that is not permitted the measurement is noisier, not wrong.
pub(crate) fn this_thread(core: usize) {
    let mut cores = CpuSet::new();
    cores.set(core);
    if let Err(error) = sched_setaffinity(None, &cores) {
        eprintln!("not pinned to core {core}: {error}");
    }
}
