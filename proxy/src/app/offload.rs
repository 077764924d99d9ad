//! Threads for what would hold a worker up.

use std::io;

use tokio::runtime::{Builder, Handle, Runtime};

/// Runs blocking work. Ends without waiting when dropped: what it computes nobody wants by then.
#[derive(Debug)]
pub(super) struct Offload(Option<Runtime>);

impl Offload {
    /// As many threads as workers, since password hashes and heavy compression take whole cores.
    pub(super) fn start(workers: usize) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(workers.max(1))
            .thread_name("offload")
            .enable_time()
            .build()?;
        Ok(Self(Some(runtime)))
    }

    pub(super) fn handle(&self) -> Handle {
        self.0.as_ref().map(|runtime| runtime.handle().clone()).expect("present until dropped")
    }
}

impl Drop for Offload {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
