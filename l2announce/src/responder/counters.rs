//! What is counted of an address: the counts that MetalLB has too, so that dashboards made for it go on working.

use std::sync::atomic::{AtomicU64, Ordering};

/// The frames of one address on all links. Read from any thread.
#[derive(Debug, Default)]
pub struct Counters {
    requests_received: AtomicU64,
    responses_sent: AtomicU64,
    gratuitous_sent: AtomicU64,
}

impl Counters {
    /// Requests and solicitations for the address while it was announced.
    pub fn requests_received(&self) -> u64 {
        self.requests_received.load(Ordering::Relaxed)
    }

    /// Answers to them.
    pub fn responses_sent(&self) -> u64 {
        self.responses_sent.load(Ordering::Relaxed)
    }

    /// Frames that told of the address without having been asked.
    pub fn gratuitous_sent(&self) -> u64 {
        self.gratuitous_sent.load(Ordering::Relaxed)
    }

    pub(super) fn count_request(&self) {
        self.requests_received.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_response(&self) {
        self.responses_sent.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_gratuitous(&self) {
        self.gratuitous_sent.fetch_add(1, Ordering::Relaxed);
    }
}
