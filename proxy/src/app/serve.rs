//! `postern serve`.

use std::{ffi::OsString, future::Future};

use super::{
    App, GOOD, REFUSED, USAGE, complain, settings,
    signal::{HangUp, Stop},
};
use crate::{args::Serve, settings::Settings, telemetry::log};

/// Serves until stopped; returns the exit code.
pub(super) fn run(serve: &Serve) -> u8 {
    match settings(&serve.said(std::env::vars_os().filter_map(text_pair).collect())) {
        Ok(settings) => control_runtime(until_stopped(settings)),
        Err(code) => code,
    }
}

/// A variable whose name or value is no text is nobody's of ours.
pub(super) fn text_pair((name, value): (OsString, OsString)) -> Option<(String, String)> {
    Some((name.into_string().ok()?, value.into_string().ok()?))
}

/// Runs `control` on this thread, which becomes the control runtime; returns its exit code.
pub(super) fn control_runtime(control: impl Future<Output = u8>) -> u8 {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            let code = runtime.block_on(control);
            runtime.shutdown_background();
            code
        }
        Err(error) => complain([error], REFUSED),
    }
}

async fn until_stopped(settings: Settings) -> u8 {
    let log_level = log::start(&settings.log);
    let (mut stop, mut at_once, hang_up) = match (Stop::listen(), Stop::listen(), HangUp::listen()) {
        (Ok(stop), Ok(at_once), Ok(hang_up)) => (stop, at_once, hang_up),
        (Err(error), ..) | (_, Err(error), _) | (.., Err(error)) => return complain([error], REFUSED),
    };
    match App::build(settings, log_level).await {
        Ok(app) => {
            let bound = app.bound();
            let admin = bound.admin.map(tracing::field::display);
            tracing::info!(admin, listeners = bound.listeners.len(), "started");
            tokio::select! {
                () = app.run(stop.next(), at_once.second()) => GOOD,
                never = hang_up.pass_over() => match never {},
            }
        }
        Err(error) => {
            let code = if error.is_usage() { USAGE } else { REFUSED };
            complain([error], code)
        }
    }
}
