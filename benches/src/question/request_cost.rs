//! CPU time of the proxy process per request at a fixed rate, beside nginx, haproxy and pingora-proxy.

use serde_json::Value;

use super::Bench;
use crate::{
    contender::{Contender, Kind},
    load::{Limit, Load, Protocol},
    manifests::HOST,
    measure::{
        process,
        rounds::{Rounds, Sample},
        table,
    },
    result::{Error, Result},
};

const BASE: &str = "nginx";
const UNIT: &str = "CPU µs/request";

/// What is asked of every contender.
struct Work {
    protocol: Protocol,
    path: &'static str,
    connections: usize,
    streams: usize,
    rate: f64,
}

pub(super) fn h1_plain(bench: &Bench<'_>) -> Result<Value> {
    run(bench, &Work { protocol: Protocol::H1, path: "/", connections: 32, streams: 1, rate: 12_000.0 })
}

pub(super) fn h1_tls(bench: &Bench<'_>) -> Result<Value> {
    run(bench, &Work { protocol: Protocol::H1Tls, path: "/", connections: 32, streams: 1, rate: 10_000.0 })
}

pub(super) fn h2_tls(bench: &Bench<'_>) -> Result<Value> {
    run(bench, &Work { protocol: Protocol::H2Tls, path: "/", connections: 8, streams: 8, rate: 10_000.0 })
}

pub(super) fn tls_handshake(bench: &Bench<'_>) -> Result<Value> {
    run(bench, &Work { protocol: Protocol::NewTls, path: "/", connections: 8, streams: 1, rate: 300.0 })
}

pub(super) fn body_plain(bench: &Bench<'_>) -> Result<Value> {
    run(bench, &Work { protocol: Protocol::H1, path: "/1m", connections: 8, streams: 1, rate: 200.0 })
}

pub(super) fn body_tls(bench: &Bench<'_>) -> Result<Value> {
    run(bench, &Work { protocol: Protocol::H1Tls, path: "/1m", connections: 8, streams: 1, rate: 100.0 })
}

fn run(bench: &Bench<'_>, work: &Work) -> Result<Value> {
    let contenders = start(bench, work)?;
    let names: Vec<String> = contenders.iter().map(|contender| contender.name.clone()).collect();
    let loads = contenders.iter().map(|contender| load(bench, work, contender)).collect::<Result<Vec<Load>>>()?;
    for (contender, load) in contenders.iter().zip(&loads) {
        // Not counted: caches, lazily built tables, the first connections to the backend.
        round(bench, contender, load)?;
    }
    let rounds = Rounds::run(&names, bench.options.rounds, |at| match (contenders.get(at), loads.get(at)) {
        (Some(contender), Some(load)) => round(bench, contender, load),
        _ => Err(Error::Unexpected("a round without a contender".to_owned())),
    })?;
    table::print_rounds(&rounds, UNIT, BASE);
    Ok(rounds.json(UNIT, BASE))
}

/// Starts all that can take part; one that cannot is named and left out, unless it is Postern.
fn start(bench: &Bench<'_>, work: &Work) -> Result<Vec<Contender>> {
    let is_tls = work.protocol.is_tls();
    let mut contenders = Vec::new();
    let asked = &bench.options.contenders;
    let takes_part = |kind: &Kind| (asked.is_empty() || asked.contains(kind)) && (!is_tls || kind.has_tls());
    for kind in Kind::ALL.into_iter().filter(takes_part) {
        match kind.start(&bench.setting()) {
            Ok(contender) => contenders.push(contender),
            Err(error) if kind == Kind::Postern => return Err(error),
            Err(error) => println!("  left out: {error}"),
        }
    }
    Ok(contenders)
}

fn load(bench: &Bench<'_>, work: &Work, contender: &Contender) -> Result<Load> {
    let is_tls = work.protocol.is_tls();
    Ok(Load {
        target: if is_tls { contender.tls } else { contender.plain },
        host: HOST.to_owned(),
        path: work.path.to_owned(),
        upload: 0,
        protocol: work.protocol,
        trust: bench.trust()?,
        connections: work.connections,
        streams: work.streams,
        rate: bench.rate(work.rate),
    })
}

fn round(bench: &Bench<'_>, contender: &Contender, load: &Load) -> Result<Sample> {
    let (outcome, before, after) = load.run(Limit::For(bench.duration()), || process::cpu_time(contender.pid))?;
    for complaint in &outcome.complaints {
        eprintln!("\n  {}: {complaint}", contender.name);
    }
    let used = after?.saturating_sub(before?);
    Ok(Sample { cost: used.as_secs_f64() * 1e6 / outcome.requests.max(1) as f64, errors: outcome.errors })
}
