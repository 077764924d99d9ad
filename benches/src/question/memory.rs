//! Resident memory of Postern: idle, with 5,000 routes, and per idle TLS connection.

use serde_json::{Value, json};

use super::Bench;
use crate::{
    contender::{Contender, Postern},
    load::{Limit, Load, Protocol},
    manifests::{HOST, World},
    measure::{process, table},
    result::Result,
};

const ROUTES: usize = 5_000;
/// Below the default limit of connections per address.
const CONNECTIONS: usize = 900;

pub(super) fn answer(bench: &Bench<'_>) -> Result<Value> {
    let idle = start(bench, "idle", World::new(bench.backend.address))?;
    let idle_bytes = process::resident(idle.pid)?;
    let per_connection = per_connection(bench, &idle)?;
    drop(idle);
    let loaded = start(bench, "loaded", World::new(bench.backend.address).routes(ROUTES))?;
    let loaded_bytes = process::resident(loaded.pid)?;
    table::print_figures(&[
        ("idle".to_owned(), idle_bytes as f64 / 1e6, "MB"),
        (format!("{ROUTES} routes"), loaded_bytes as f64 / 1e6, "MB"),
        (format!("per idle TLS connection, of {CONNECTIONS}"), per_connection / 1024.0, "KiB"),
    ]);
    Ok(json!({ "idle_bytes": idle_bytes, "routes_5000_bytes": loaded_bytes, "tls_connection_bytes": per_connection }))
}

/// Started and asked once, so that what is made lazily is there.
fn start(bench: &Bench<'_>, name: &str, world: World) -> Result<Contender> {
    let contender = Postern::with(&bench.setting(), name, world)?.start()?;
    let load = Load { connections: 1, ..Load::plain(contender.plain, HOST, 0.0) };
    load.run(Limit::Requests(100), || ())?;
    Ok(contender)
}

fn per_connection(bench: &Bench<'_>, contender: &Contender) -> Result<f64> {
    let load = Load {
        target: contender.tls,
        protocol: Protocol::H1Tls,
        trust: bench.trust()?,
        connections: 1,
        ..Load::plain(contender.tls, HOST, 0.0)
    };
    load.run(Limit::Requests(100), || ())?;
    let before = process::resident(contender.pid)?;
    let standing = Load { connections: CONNECTIONS, ..load }.stand(|| process::resident(contender.pid))?;
    Ok(standing?.saturating_sub(before) as f64 / CONNECTIONS as f64)
}
