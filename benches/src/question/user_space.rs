//! Instructions and allocations per request of Postern alone, counted by callgrind: with many routes, and with
//! middlewares. What the kernel does is the same in both cases and not counted.

use serde_json::{Value, json};

use super::Bench;
use crate::{
    contender::Postern,
    load::{Limit, Load},
    manifests::{HOST, World},
    measure::{callgrind, callgrind::Counts, table},
    result::Result,
};

/// Requests that are counted, and as many before them that are not.
const REQUESTS: u64 = 2_000;

pub(super) fn routes(bench: &Bench<'_>) -> Result<Value> {
    let one = per_request(bench, "one", World::new(bench.backend.address))?;
    let many = per_request(bench, "many", World::new(bench.backend.address).routes(10_000))?;
    Ok(report(("1 route", one), ("10,000 routes", many)))
}

pub(super) fn middlewares(bench: &Bench<'_>) -> Result<Value> {
    let without = per_request(bench, "without", World::new(bench.backend.address))?;
    let with = per_request(bench, "with", World::new(bench.backend.address).middlewares())?;
    Ok(report(("without", without), ("allow-list, headers, rate limit", with)))
}

/// Instructions and allocations of one request.
type PerRequest = (f64, f64);

fn per_request(bench: &Bench<'_>, name: &str, world: World) -> Result<PerRequest> {
    let postern = Postern::with(&bench.setting(), name, world)?.under(callgrind::prefix);
    let folder = postern.folder().to_owned();
    let contender = postern.start()?;
    // A closed loop of one connection: no request waits for another, and no timer of the load decides what is counted.
    let load = Load { connections: 1, ..Load::plain(contender.plain, HOST, 0.0) };
    load.run(Limit::Requests(REQUESTS), || ())?;
    let count =
        |requests| callgrind::count(contender.pid, &folder, || load.run(Limit::Requests(requests), || ()).map(drop));
    // Twice, so that connecting and what runs beside the requests cancel out.
    let (short, long) = (count(REQUESTS)?, count(2 * REQUESTS)?);
    contender.terminate();
    Ok(difference(short, long))
}

fn difference(short: Counts, long: Counts) -> PerRequest {
    let per = |short: u64, long: u64| (long as f64 - short as f64) / REQUESTS as f64;
    (per(short.instructions, long.instructions), per(short.allocations, long.allocations))
}

fn report((first, base): (&str, PerRequest), (second, other): (&str, PerRequest)) -> Value {
    table::print_figures(&[
        (format!("{first}: instructions"), base.0, "per request"),
        (format!("{second}: instructions"), other.0, "per request"),
        ("ratio of instructions".to_owned(), other.0 / base.0, ""),
        (format!("{first}: allocations"), base.1, "per request"),
        (format!("{second}: allocations"), other.1, "per request"),
    ]);
    let one =
        |name: &str, counts: PerRequest| json!({ "name": name, "instructions": counts.0, "allocations": counts.1 });
    json!({ "cases": [one(first, base), one(second, other)], "instructions_ratio": other.0 / base.0 })
}
