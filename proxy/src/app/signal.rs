//! Signals of the operator: stop, stop now, reopen the access log, read anew.

use std::convert::Infallible;

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

/// SIGHUP, by which other servers are told to read their configuration anew: it must not end this one.
#[derive(Debug)]
pub(super) struct HangUp(Signal);

impl HangUp {
    /// From now on the signal no longer kills the process.
    pub(super) fn listen() -> std::io::Result<Self> {
        Ok(Self(signal(SignalKind::hangup())?))
    }

    /// Says at each that there is nothing to do, for ever.
    pub(super) async fn pass_over(mut self) -> Infallible {
        while self.0.recv().await.is_some() {
            tracing::info!("SIGHUP changes nothing: manifests are followed by themselves, settings are read at start");
        }
        std::future::pending().await
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
