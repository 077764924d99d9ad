//! What is answered under which path. docs/reference/admin-api.md describes each; a test compares the paths.

use std::net::IpAddr;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri, header};
use http_body_util::Full;
use postern_config::model::middleware::MiddlewareSlot;
use serde::Serialize;

use super::State;
use crate::{
    announce::Command,
    explain::{self, Question},
    telemetry::metrics::{Format, Scrape},
    view::{
        certificate,
        cluster::{self, Health},
        listener, object,
        overview::Overview,
        peers,
        rule::{self, Looker, RuleView},
        takeover, vip,
    },
};

type Answer = Response<Full<Bytes>>;

/// Entries of one list that are shown when `limit` does not say otherwise.
const LIMIT: usize = 1000;
/// More are never shown in one answer.
const MOST: usize = 100_000;

/// Parameters of the query, percent-decoded, in order.
struct Query(Vec<(String, String)>);

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
    get("/", |_, _, _| text(StatusCode::OK, ROOT)),
    get("/healthz", |_, _, _| text(StatusCode::OK, "ok\n")),
    get("/readyz", ready),
    get("/metrics", metrics),
    get("/api/v1/version", |_, _, _| json(&Version { version: env!("CARGO_PKG_VERSION") })),
    get("/api/v1/overview", |state, _, _| json(&overview(state))),
    get("/api/v1/objects", objects),
    get("/api/v1/problems", |state, _, _| json(&problems(state))),
    get("/api/v1/listeners", |state, _, _| {
        json(&listener::listeners(&state.shared.plan.load().snapshot, &state.listeners.load()))
    }),
    get("/api/v1/routes", routes),
    get("/api/v1/clusters", |state, _, _| {
        let health = Health::look(&state.shared.live.upstream);
        json(&cluster::clusters(&state.shared.plan.load().snapshot, &health))
    }),
    get("/api/v1/certificates", |state, _, _| json(&certificate::certificates(&state.shared.plan.load().snapshot))),
    get("/api/v1/middlewares", |state, _, _| json(&middlewares(state))),
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

const ROOT: &str = "Postern is running. The dashboard comes with a later version.\n\
    \n\
    /healthz  /readyz  /metrics\n\
    /api/v1/overview   /api/v1/objects   /api/v1/problems      /api/v1/listeners\n\
    /api/v1/routes     /api/v1/clusters  /api/v1/certificates  /api/v1/middlewares\n\
    /api/v1/explain?url=http://host/path  /api/v1/takeover  /api/v1/peers     /api/v1/vips  /api/v1/version\n";

/// Whether this path says how Postern is, and nothing of what it serves.
pub(super) fn is_for_scrapers(uri: &Uri) -> bool {
    matches!(uri.path(), "/healthz" | "/readyz" | "/metrics")
}

/// Answers a request that may be made.
pub(super) fn answer(method: &Method, uri: &Uri, headers: &HeaderMap, state: &State) -> Answer {
    let method = if *method == Method::HEAD { &Method::GET } else { method };
    let mut there = ENDPOINTS.iter().filter(|endpoint| endpoint.path == uri.path()).peekable();
    if there.peek().is_none() {
        return error(StatusCode::NOT_FOUND, "no such path; / lists them");
    }
    match there.find(|endpoint| endpoint.method == *method) {
        Some(endpoint) => (endpoint.answer)(state, &Query::parse(uri.query().unwrap_or_default()), headers),
        None => error(StatusCode::METHOD_NOT_ALLOWED, "this path is asked with another method"),
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

#[derive(Serialize)]
struct Problem<'a> {
    error: &'a str,
}

/// A part of a list.
#[derive(Serialize)]
struct Page<T> {
    total: usize,
    items: Vec<T>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Problems {
    objects: Vec<object::ObjectView>,
    input: Vec<object::InputView>,
    skipped: Vec<object::SkippedView>,
    listeners: Vec<String>,
}

#[derive(Serialize)]
struct RouteRow {
    listener: String,
    #[serde(flatten)]
    rule: RuleView,
}

#[derive(Serialize)]
struct MiddlewareView {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
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

fn metrics(state: &State, _: &Query, headers: &HeaderMap) -> Answer {
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
    Overview {
        started: state.started.to_string(),
        ready: state.is_ready(),
        draining: state.is_draining(),
        generation: plan.generation,
        last_change: state.shared.metrics.control.reloads().last_success.map(|at| at.to_string()),
        ..Overview::count(&state.report.load(), &plan.snapshot, &state.listeners.load())
    }
}

fn objects(state: &State, query: &Query, _: &HeaderMap) -> Answer {
    let report = state.report.load();
    let fits = |object: &object::ObjectView| {
        query.fits("kind", &object.kind)
            && query.fits("namespace", &object.namespace)
            && query.fits("name", &object.name)
            && query.fits("verdict", object.verdict)
    };
    page(object::objects(&report).filter(fits), query)
}

fn problems(state: &State) -> Problems {
    let report = state.report.load();
    let wrong = |object: &object::ObjectView| !matches!(object.verdict, "accepted" | "note");
    Problems {
        objects: object::objects(&report).filter(wrong).collect(),
        input: report.input.iter().map(object::input).collect(),
        skipped: report.skipped.iter().filter(|skipped| skipped.refused).map(object::skipped).collect(),
        listeners: state.listeners.load().problems.iter().map(ToString::to_string).collect(),
    }
}

fn routes(state: &State, query: &Query, _: &HeaderMap) -> Answer {
    let plan = state.shared.plan.load();
    let looker = Looker { snapshot: &plan.snapshot, health: &Health::look(&state.shared.live.upstream) };
    let host = query.get("host").map(str::to_ascii_lowercase);
    let rows = plan.snapshot.listeners.values().flat_map(|listener| {
        rule::rules(listener).into_iter().map(move |(host, rule)| (listener.name.to_string(), host, rule))
    });
    let fits = |pattern: &postern_config::model::host::HostPattern| {
        host.as_ref().is_none_or(|host| pattern.matches(host) || pattern.to_string().contains(host.as_str()))
    };
    let rows = rows.filter(|(_, pattern, _)| fits(pattern));
    // Views are made of the rows that are shown alone.
    let Page { total, items } = cut(rows, query);
    let view = |(listener, host, rule)| RouteRow { listener, rule: looker.rule(host, rule) };
    json(&Page { total, items: items.into_iter().map(view).collect() })
}

fn middlewares(state: &State) -> Vec<MiddlewareView> {
    let plan = state.shared.plan.load();
    let view = |id: String, slot: &MiddlewareSlot| match slot {
        MiddlewareSlot::Ready(spec) => MiddlewareView { id, kind: Some(spec.kind()), refused: None },
        MiddlewareSlot::Refused { reason } => MiddlewareView { id, kind: None, refused: Some(reason.to_string()) },
    };
    let mut all: Vec<_> = plan.snapshot.middlewares.iter().map(|(id, slot)| view(id.to_string(), slot)).collect();
    all.sort_by(|a, b| a.id.cmp(&b.id));
    all
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

/// The part of `items` that `offset` and `limit` ask for.
fn page<T: Serialize>(items: impl Iterator<Item = T>, query: &Query) -> Answer {
    json(&cut(items, query))
}

fn cut<T>(items: impl Iterator<Item = T>, query: &Query) -> Page<T> {
    let number = |name, otherwise: usize| query.get(name).and_then(|text| text.parse().ok()).unwrap_or(otherwise);
    let (offset, limit) = (number("offset", 0), number("limit", LIMIT).min(MOST));
    let mut total = 0;
    let wanted = |index: &usize| (offset..offset.saturating_add(limit)).contains(index);
    let items = items.enumerate().inspect(|_| total += 1).filter(|(index, _)| wanted(index));
    let items = items.map(|(_, item)| item).collect();
    Page { total, items }
}

impl Query {
    fn parse(text: &str) -> Self {
        let decode = |text: &str| {
            let spaced = text.replace('+', " ");
            percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
        };
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        Self(
            pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(|(k, v)| (decode(k), decode(v))).collect(),
        )
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn fits(&self, name: &str, value: &str) -> bool {
        self.get(name).is_none_or(|wanted| wanted == value)
    }
}

fn json(value: &impl Serialize) -> Answer {
    json_with(StatusCode::OK, value)
}

fn json_with(status: StatusCode, value: &impl Serialize) -> Answer {
    let mut body = serde_json::to_string(value).expect("views have text keys and no failing parts");
    body.push('\n');
    response(status, "application/json", body)
}

/// One sentence in JSON.
pub(super) fn error(status: StatusCode, why: &str) -> Answer {
    json_with(status, &Problem { error: why })
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    response(status, "text/plain; charset=utf-8", body)
}

fn response(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_describes_every_path_and_no_other() {
        let reference = include_str!("../../../docs/reference/admin-api.md");
        let heading = |endpoint: &Endpoint| format!("## {} {}", endpoint.method, endpoint.path);
        let wanted: Vec<_> = ENDPOINTS.iter().map(heading).collect();
        for heading in &wanted {
            assert!(reference.lines().any(|line| line == heading), "docs/reference/admin-api.md lacks {heading}");
        }
        for line in reference.lines().filter(|line| line.starts_with("## GET ") || line.starts_with("## POST ")) {
            assert!(wanted.iter().any(|heading| heading == line), "no such path: {line}");
        }
    }

    #[test]
    fn a_page_counts_what_it_does_not_show() {
        let page = cut(0..10, &Query::parse("offset=8&limit=5"));
        assert_eq!((page.total, page.items), (10, vec![8, 9]));
    }

    #[test]
    fn parameters_are_decoded() {
        let query = Query::parse("url=http%3A%2F%2Fa%2F%3Fb%3D1&header=X-A:+b&header=c%3Ad&empty");
        assert_eq!(query.get("url"), Some("http://a/?b=1"));
        assert_eq!(query.all("header").collect::<Vec<_>>(), ["X-A: b", "c:d"]);
        assert_eq!(query.get("empty"), Some(""));
    }
}
