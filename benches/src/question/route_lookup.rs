//! One look-up in the tables that the data plane uses, among 1 to 100,000 routes: nanoseconds, and instructions by
//! callgrind.

use std::{hint::black_box, process::Command, sync::Arc, time::Instant};

use postern_config::{
    model::{
        host::{HostPattern, WildcardDepth},
        id::ObjectId,
        path::PathPattern,
        route::{Action, Family, Outcome, Predicates, Rank, Rule, RuleSource},
    },
    snapshot::{HostEntry, HostTable, Listener, PathTable, RequestKey, SniTable, SocketKey, Transport},
};
use serde_json::{Value, json};

use super::Bench;
use crate::{
    measure::{callgrind, rounds::median, table},
    result::{Context, Error, Result},
};

const SIZES: [usize; 4] = [1, 100, 10_000, 100_000];
const LOOK_UPS: u64 = 200_000;

pub(super) fn answer(bench: &Bench<'_>) -> Result<Value> {
    let mut cases = Vec::new();
    let mut figures = Vec::new();
    for routes in SIZES {
        let nanoseconds = time(routes, bench.options.rounds);
        let instructions = instructions(bench, routes)?;
        figures.push((format!("{routes} routes"), nanoseconds, "ns"));
        figures.push((format!("{routes} routes"), instructions, "instructions"));
        cases.push(json!({ "routes": routes, "nanoseconds": nanoseconds, "instructions": instructions }));
    }
    table::print_figures(&figures);
    Ok(json!({ "cases": cases }))
}

/// Looks up `count` times; what runs under callgrind.
pub(crate) fn look_up(routes: usize, count: u64) {
    let listener = listener(routes);
    look_up_in(&listener, routes, count);
}

fn time(routes: usize, rounds: usize) -> f64 {
    let listener = listener(routes);
    look_up_in(&listener, routes, LOOK_UPS / 10);
    let one = |_| {
        let start = Instant::now();
        look_up_in(&listener, routes, LOOK_UPS);
        start.elapsed().as_nanos() as f64 / LOOK_UPS as f64
    };
    median(&(0..rounds).map(one).collect::<Vec<f64>>())
}

/// The difference of two counts: building the table cancels out.
fn instructions(bench: &Bench<'_>, routes: usize) -> Result<f64> {
    const FEW: u64 = 1_000;
    const MANY: u64 = 11_000;
    let (few, many) = (run_under_callgrind(bench, routes, FEW)?, run_under_callgrind(bench, routes, MANY)?);
    Ok((many as f64 - few as f64) / (MANY - FEW) as f64)
}

fn run_under_callgrind(bench: &Bench<'_>, routes: usize, count: u64) -> Result<u64> {
    let own = std::env::current_exe().context("finding the own binary")?;
    let out = bench.folder().join(format!("look-up-{routes}-{count}"));
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--quiet", &format!("--callgrind-out-file={}", out.display())]);
    let output = command.arg(own).args(["look-up", &routes.to_string(), &count.to_string()]).output();
    let output = output.context("valgrind")?;
    if !output.status.success() {
        return Err(Error::Unexpected(format!("valgrind: {}", String::from_utf8_lossy(&output.stderr))));
    }
    Ok(callgrind::read(&std::fs::read_to_string(&out).context(out.display().to_string())?).instructions)
}

fn look_up_in(listener: &Listener, routes: usize, count: u64) {
    let (method, headers, peer) = (&http::Method::GET, &http::HeaderMap::new(), [127, 0, 0, 1].into());
    let hosts: Vec<String> = (0..routes.min(1_000)).map(|at| host(at * (routes / routes.min(1_000)))).collect();
    for host in hosts.iter().cycle().take(count as usize) {
        let request = RequestKey { host, path: "/api/v1/things", query: None, method, headers, peer };
        let found = listener.find(black_box(request));
        assert!(found.is_some(), "each host that is asked for has a rule");
    }
}

fn host(number: usize) -> String {
    format!("host-{number}.example.com")
}

fn listener(routes: usize) -> Listener {
    let mut hosts = HostTable::default();
    for number in 0..routes {
        let pattern = HostPattern::parse(&host(number), WildcardDepth::One).expect("the name is a valid host");
        let mut entry = HostEntry::new(pattern.clone());
        entry.set_layer(&pattern, paths(number));
        hosts.set(&pattern, Some(Arc::new(entry)));
    }
    let key = SocketKey { address: None, port: 80 };
    Listener { key, name: "web".into(), transport: Transport::Plain, hosts, sni: SniTable::default() }
}

fn paths(number: usize) -> PathTable {
    let mut table = PathTable::default();
    for prefix in ["/", "/api"] {
        let path = PathPattern::prefix(prefix).expect("the prefix is a valid path");
        table.set(&path, [Arc::new(rule(number, path.clone()))].into());
    }
    table
}

fn rule(number: usize, path: PathPattern) -> Rule {
    let object = ObjectId { kind: "route".into(), namespace: "bench".into(), name: format!("route-{number}").into() };
    let closed = Outcome::Closed { status: http::StatusCode::NOT_FOUND, reason: "never asked".into() };
    Rule {
        source: Arc::new(RuleSource { object, created: None, rule_index: 0, rule_name: None }),
        match_index: 0,
        rank: Rank { priority: 0, family: Family::Gateway },
        path,
        predicates: Predicates::default(),
        except_hosts: Arc::default(),
        fallback: false,
        action: Arc::new(Action { steps: Vec::new(), outcome: closed }),
    }
}
