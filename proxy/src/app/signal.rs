//! Signals of the operator: stop, stop now, reopen the access log.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::telemetry::access_log::Reopener;

/// Resolves at each SIGTERM or SIGINT.
#[derive(Debug)]
pub(super) struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    /// From now on these signals no longer kill the process.
    pub(super) fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// The second one: the operator does not want to wait for the drain.
    pub(super) async fn second(&mut self) {
        self.next().await;
        self.next().await;
    }

    /// The next one.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Reopens the access log at each SIGUSR1, for ever.
pub(super) async fn reopen(log: Option<Reopener>) {
    let Ok(mut rotated) = signal(SignalKind::user_defined1()) else { return };
    while rotated.recv().await.is_some() {
        if let Some(log) = &log {
            log.reopen();
        }
    }
}
