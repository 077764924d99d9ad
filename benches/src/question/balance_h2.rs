//! Eight long HTTP/2 connections over four workers: how much more the busiest worker does than the mean.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};

use super::Bench;
use crate::{
    contender::{Contender, Postern},
    load::{Limit, Load, Protocol},
    manifests::{HOST, World},
    measure::{process, rounds::median, table},
    result::{Error, Result},
};

const WORKERS: usize = 4;

pub(super) fn answer(bench: &Bench<'_>) -> Result<Value> {
    let world = World::new(bench.backend.address);
    let contender = Postern::with(&bench.setting(), "postern", world)?.workers(WORKERS).start()?;
    let ratios = (0..bench.options.rounds).map(|_| round(bench, &contender)).collect::<Result<Vec<f64>>>()?;
    table::print_figures(&[
        ("busiest worker / mean, median".to_owned(), median(&ratios), ""),
        ("busiest worker / mean, worst".to_owned(), ratios.iter().copied().fold(f64::NAN, f64::max), ""),
    ]);
    Ok(json!({ "busiest_over_mean": ratios, "median": median(&ratios) }))
}

fn round(bench: &Bench<'_>, contender: &Contender) -> Result<f64> {
    let load = Load {
        protocol: Protocol::H2Tls,
        trust: bench.trust()?,
        connections: 8,
        streams: 4,
        ..Load::plain(contender.tls, HOST, bench.rate(4_000.0))
    };
    let (_, before, after) = load.run(Limit::For(bench.duration()), || process::thread_times(contender.pid))?;
    let used = workers(before?, after?);
    if used.len() != WORKERS {
        return Err(Error::Unexpected(format!("{} threads are called worker…, not {WORKERS}", used.len())));
    }
    let mean = used.iter().sum::<f64>() / WORKERS as f64;
    Ok(used.iter().copied().fold(0.0, f64::max) / mean)
}

/// CPU seconds of each worker's thread.
fn workers(before: Vec<(String, Duration)>, after: Vec<(String, Duration)>) -> Vec<f64> {
    let before: BTreeMap<String, Duration> = before.into_iter().collect();
    let worker = after.into_iter().filter(|(name, _)| name.starts_with("worker"));
    worker
        .map(|(name, time)| time.saturating_sub(before.get(&name).copied().unwrap_or_default()).as_secs_f64())
        .collect()
}
