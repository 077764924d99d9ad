//! What has to be there before anything else, and the start of the loop.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::sync::{mpsc::UnboundedReceiver, watch};

use super::Loop;
use crate::{
    agent::{End, Inputs, Settings, Shown, ground::Ground, seat::Seat},
    link::WatchError,
    station::{self, Driver, Event, Station, now},
};

/// What has failed is tried again after this.
const AGAIN: Duration = Duration::from_secs(1);

/// Runs until it is told to end.
pub(in crate::agent) async fn run(
    settings: Settings,
    inputs: Inputs,
    rebalance: UnboundedReceiver<()>,
    mut end: watch::Receiver<End>,
    show: watch::Sender<Arc<Shown>>,
) {
    let seat = tokio::select! {
        seat = Seat::take(&settings.directory) => seat,
        _ended = end.wait_for(|end| *end != End::Never) => return,
    };
    let (open, ground) = tokio::select! {
        both = async { (begin(&settings, &show, open).await, begin(&settings, &show, Ground::open).await) } => both,
        _ended = end.wait_for(|end| *end != End::Never) => return,
    };
    let (station, events, driver) = open;
    let agent = Loop::new(settings, (seat, ground), station, &inputs, show);
    tokio::select! {
        () = agent.run(inputs, events, rebalance, end) => {}
        () = driver.run() => {}
    }
}

/// Opens something that must be there before anything else, however long it takes.
async fn begin<T, E: std::error::Error>(
    settings: &Settings,
    show: &watch::Sender<Arc<Shown>>,
    open: impl AsyncFn(&Settings) -> Result<T, E>,
) -> T {
    loop {
        match open(settings).await {
            Ok(opened) => return opened,
            Err(error) => show.send_replace(Arc::new(unable(settings, &error))),
        };
        tokio::time::sleep(AGAIN).await;
    }
}

fn unable(settings: &Settings, error: &impl std::error::Error) -> Shown {
    tracing::error!(%error, "nothing can be announced; trying on");
    Shown { at: now(), node: settings.node.clone(), problem: Some(error.to_string().into()), ..Shown::default() }
}

async fn open(settings: &Settings) -> Result<(Station, UnboundedReceiver<Event>, Driver), WatchError> {
    let told = station::Settings {
        exclude: settings.exclude.clone(),
        refresh: settings.refresh,
        longest_pause: settings.profile.longest_pause(),
        ..station::Settings::default()
    };
    station::open(told).await
}

/// Rises from start to start, unless the clock goes back; peers say so then.
pub(super) fn boot() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
