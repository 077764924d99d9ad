//! What is answered under which path. docs/reference/admin-api.md describes each; a test compares the paths.

mod answer;
mod lists;
mod query;

use std::net::IpAddr;

use http::{HeaderMap, Method, StatusCode, Uri, header};
use serde::Serialize;

pub(super) use answer::{Answer, error, json, json_with, response, text};
pub(super) use query::Query;

use super::{State, dashboard, traefik};
use crate::{
    announce::Command,
    explain::{self, Question},
    telemetry::metrics::{Format, Scrape},
    view::{
        cluster::{self, Health},
        listener,
        overview::{Node, Overview},
        peers, takeover, vip,
    },
};

/// One path.
struct Endpoint {
    path: &'static str,
    method: Method,
    answer: fn(&State, &Query, &HeaderMap) -> Answer,
}

const fn get(path: &'static str, answer: fn(&State, &Query, &HeaderMap) -> Answer) -> Endpoint {
    Endpoint { path, method: Method::GET, answer }
}

const fn post(path: &'static str, answer: fn(&State, &Query, &HeaderMap) -> Answer) -> Endpoint {
    Endpoint { path, method: Method::POST, answer }
}

const ENDPOINTS: &[Endpoint] = &[
    get("/api", |_, _, _| text(StatusCode::OK, paths())),
    get("/healthz", |_, _, _| text(StatusCode::OK, "ok\n")),
    get("/readyz", ready),
    get("/metrics", |state, _, headers| metrics(state, headers)),
    get("/api/v1/version", |_, _, _| json(&Version { version: env!("CARGO_PKG_VERSION") })),
    get("/api/v1/overview", |state, _, _| json(&overview(state))),
    get("/api/v1/objects", lists::objects),
    get("/api/v1/problems", lists::problems),
    get("/api/v1/listeners", |state, _, _| {
        json(&listener::listeners(&state.shared.plan.load().snapshot, &state.listeners.load()))
    }),
    get("/api/v1/routes", lists::routes),
    get("/api/v1/clusters", lists::clusters),
    get("/api/v1/certificates", lists::certificates),
    get("/api/v1/middlewares", lists::middlewares),
    get("/api/v1/peers", |state, _, _| json(&peers::peers(state.peers.as_deref()))),
    get("/api/v1/vips", |state, _, _| json(&vip::vips(&state.vips, &state.shared.plan.load().snapshot))),
    post("/api/v1/vips/drain", |state, _, _| ask(state, Command::Drain, "draining")),
    post("/api/v1/vips/undrain", |state, _, _| ask(state, Command::Undrain, "taking part again")),
    post("/api/v1/vips/rebalance", |state, _, _| ask(state, Command::Rebalance, "rebalancing")),
    get("/api/v1/explain", explain),
    get("/api/v1/takeover", |state, _, _| match state.takeover() {
        Some(decided) => json(&takeover::of(&decided, &state.report.load())),
        None => error(StatusCode::SERVICE_UNAVAILABLE, "it is not decided yet: the API server does not answer"),
    }),
    post("/api/v1/drain", |state, _, _| {
        state.drain.notify_one();
        json_with(StatusCode::ACCEPTED, &Done { done: "draining" })
    }),
    post("/api/v1/log-level", log_level),
];

/// Every path and its method, one a line.
fn paths() -> String {
    let line = |endpoint: &Endpoint| format!("{:<4} {}\n", endpoint.method, endpoint.path);
    ENDPOINTS.iter().map(line).collect()
}

/// Whether this path says how Postern is, and nothing of what it serves.
pub(super) fn is_for_scrapers(uri: &Uri) -> bool {
    matches!(uri.path(), "/healthz" | "/readyz" | "/metrics" | "/ping")
}

/// Answers a request that may be made.
pub(super) fn answer(method: &Method, uri: &Uri, headers: &HeaderMap, state: &State) -> Answer {
    const OTHER_METHOD: &str = "this path is asked with another method";
    let method = if *method == Method::HEAD { &Method::GET } else { method };
    let (path, query) = (uri.path(), Query::parse(uri.query().unwrap_or_default()));
    let mut there = ENDPOINTS.iter().filter(|endpoint| endpoint.path == path).peekable();
    if there.peek().is_some() {
        return match there.find(|endpoint| endpoint.method == *method) {
            Some(endpoint) => (endpoint.answer)(state, &query, headers),
            None => error(StatusCode::METHOD_NOT_ALLOWED, OTHER_METHOD),
        };
    }
    match dashboard::find(path).or_else(|| traefik::find(path, &query, state)) {
        Some(_) if *method != Method::GET => error(StatusCode::METHOD_NOT_ALLOWED, OTHER_METHOD),
        Some(answer) => answer,
        None => error(StatusCode::NOT_FOUND, "no such path; /api lists them"),
    }
}

#[derive(Serialize)]
struct Version {
    version: &'static str,
}

#[derive(Serialize)]
struct Done {
    done: &'static str,
}

fn ready(state: &State, _: &Query, _: &HeaderMap) -> Answer {
    if state.is_ready() {
        text(StatusCode::OK, "ready\n")
    } else {
        text(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {}\n", state.not_ready_because()))
    }
}

fn ask(state: &State, command: Command, done: &'static str) -> Answer {
    state.vips.ask(command);
    json_with(StatusCode::ACCEPTED, &Done { done })
}

/// Every series, in the format that `headers` ask for.
pub(super) fn metrics(state: &State, headers: &HeaderMap) -> Answer {
    let format = Format::from_accept(headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()));
    let status = state.listeners.load();
    let listener_errors: Vec<_> =
        status.problems.iter().map(|problem| (problem.address.to_string(), problem.to_string())).collect();
    let plan = state.shared.plan.load();
    let tally = state.cluster.as_ref().map(|counts| counts.tally());
    let shown = state.vips.enabled.then(|| state.vips.shown());
    let scrape = Scrape {
        vips: shown.as_deref(),
        report: &state.report.load(),
        snapshot: &plan.snapshot,
        endpoints: &cluster::count(&plan.snapshot, &Health::look(&state.shared.live.upstream)),
        listener_errors: &listener_errors,
        ready: state.is_ready(),
        peers: state.peers.as_deref().map(peers::counts),
        cluster: tally.as_ref(),
    };
    let body = state.shared.metrics.render(format, &scrape);
    response(StatusCode::OK, format.content_type(), body)
}

fn overview(state: &State) -> Overview {
    let plan = state.shared.plan.load();
    let health = Health::look(&state.shared.live.upstream);
    let node = Node {
        name: state.shared.server_name.to_str().unwrap_or_default().to_owned(),
        started: state.started.to_string(),
        ready: state.is_ready(),
        not_ready_because: (!state.is_ready()).then(|| state.not_ready_because()),
        draining: state.is_draining(),
        observing: state.shared.observing.load(std::sync::atomic::Ordering::Relaxed),
        generation: plan.generation,
        last_change: state.shared.metrics.control.reloads().last_success.map(|at| at.to_string()),
    };
    let mut overview = Overview::count(node, &state.report.load(), &plan.snapshot, &state.listeners.load());
    overview.endpoints = cluster::by_state(&plan.snapshot, &health);
    overview.addresses = vip::tally(&state.vips, &plan.snapshot);
    overview.traffic = state.shared.metrics.traffic();
    overview
}

fn explain(state: &State, query: &Query, _: &HeaderMap) -> Answer {
    let from = query.get("from").unwrap_or("127.0.0.1");
    let Ok(from) = from.parse::<IpAddr>() else {
        return error(StatusCode::BAD_REQUEST, "from is not an IP address");
    };
    let headers: Vec<_> = query.all("header").map(ToOwned::to_owned).collect();
    let url = query.get("url").unwrap_or_default();
    match Question::parse(query.get("method").unwrap_or("GET"), url, &headers, from) {
        Err(wrong) => error(StatusCode::BAD_REQUEST, &wrong.to_string()),
        Ok(question) => {
            let plan = state.shared.plan.load();
            let health = Health::look(&state.shared.live.upstream);
            json(&explain::explain(&question, &plan.snapshot, &state.shared.settings, &health))
        }
    }
}

fn log_level(state: &State, query: &Query, _: &HeaderMap) -> Answer {
    match state.log_level.set(query.get("level").unwrap_or_default()) {
        Ok(()) => json(&Done { done: "log level set" }),
        Err(why) => error(StatusCode::BAD_REQUEST, &why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_describes_every_path_and_no_other() {
        let reference = include_str!("../../../../docs/reference/admin-api.md");
        let heading = |endpoint: &Endpoint| format!("## {} {}", endpoint.method, endpoint.path);
        let wanted: Vec<_> = ENDPOINTS.iter().map(heading).collect();
        for heading in &wanted {
            assert!(reference.lines().any(|line| line == heading), "docs/reference/admin-api.md lacks {heading}");
        }
        for line in reference.lines().filter(|line| line.starts_with("## GET ") || line.starts_with("## POST ")) {
            assert!(wanted.iter().any(|heading| heading == line), "no such path: {line}");
        }
    }
}
