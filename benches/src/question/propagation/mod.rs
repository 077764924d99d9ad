//! From an object that is written to the first request that is served by it, among 10,000 routes and under load: from
//! files, and from a real API server.

mod api;
mod files;
mod probe;

use std::{net::SocketAddr, time::Instant};

use serde_json::{Value, json};

use self::probe::Probe;
use super::Bench;
use crate::{
    contender::Contender,
    load::{Load, Outcome},
    manifests::HOST,
    measure::{rounds::quantile, table},
    result::Result,
};

pub(super) use api::answer as answer_api;
pub(super) use files::answer;

const ROUTES: usize = 10_000;
const CHANGES: usize = 100;

/// How long each of a hundred new routes took, and what the load beside saw.
struct Measured {
    milliseconds: Vec<f64>,
    outcome: Outcome,
}

/// Lets `change` write one route after the other; it says when the route was there.
fn measure(
    bench: &Bench<'_>,
    contender: &Contender,
    mut change: impl FnMut(&str, &str) -> Result<Instant>,
) -> Result<Measured> {
    let load = Load::plain(contender.plain, HOST, bench.rate(2_000.0)).background();
    let mut one = |number: usize, target: SocketAddr| {
        let (name, host) = (format!("new-{number}"), format!("new-{number}.example.com"));
        let probe = Probe::new(target, &host);
        let written = change(&name, &host)?;
        Ok(probe.wait(written)?.as_secs_f64() * 1e3)
    };
    let milliseconds = (0..CHANGES).map(|number| one(number, contender.plain)).collect::<Result<_>>()?;
    Ok(Measured { milliseconds, outcome: load.stop()? })
}

impl Measured {
    /// Prints `before` and what was measured; the same as JSON.
    fn told(self, before: &[(&str, f64, &'static str)]) -> Value {
        let quantile = |share| quantile(&self.milliseconds, share);
        let own = [
            ("median", quantile(0.5), "ms"),
            ("99 of 100", quantile(0.99), "ms"),
            ("longest", quantile(1.0), "ms"),
            ("requests of the load", self.outcome.requests as f64, ""),
            ("errors of the load", self.outcome.errors as f64, ""),
        ];
        let figures = before.iter().chain(&own).map(|(name, value, unit)| ((*name).to_owned(), *value, *unit));
        table::print_figures(&figures.collect::<Vec<_>>());
        json!({
            "routes": ROUTES, "changes": CHANGES, "p50_ms": quantile(0.5), "max_ms": quantile(1.0),
            "milliseconds": self.milliseconds, "errors": self.outcome.errors,
            "before": before.iter().map(|(name, value, unit)| json!([name, value, unit])).collect::<Vec<_>>(),
        })
    }
}
