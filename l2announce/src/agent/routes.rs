//! Reads which gateways this node has, on a thread of its own, as many routes take long. What follows of them is for the
//! election to know.

use std::collections::BTreeSet;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::{election::Gateway, kernel};

/// At most one reading at a time.
pub(super) struct Routes {
    is_reading: bool,
    tell: UnboundedSender<BTreeSet<Gateway>>,
    told: UnboundedReceiver<BTreeSet<Gateway>>,
}

impl Routes {
    pub(super) fn new() -> Self {
        let (tell, told) = unbounded_channel();
        Self { is_reading: false, tell, told }
    }

    /// Begins to read.
    pub(super) fn read(&mut self) {
        if std::mem::replace(&mut self.is_reading, true) {
            return;
        }
        let tell = self.tell.clone();
        tokio::task::spawn_blocking(move || {
            let gateways = kernel::gateways().unwrap_or_else(|error| {
                tracing::warn!(%error, "the gateway is not known, so nobody can tell whether this node is cut off");
                BTreeSet::new()
            });
            // Nobody is told by a process that ends.
            let _ended = tell.send(gateways);
        });
    }

    /// The default gateways, once they are read. Can be dropped at any time.
    pub(super) async fn gateways(&mut self) -> BTreeSet<Gateway> {
        let gateways = self.told.recv().await.expect("this holds the other end");
        self.is_reading = false;
        gateways
    }
}
