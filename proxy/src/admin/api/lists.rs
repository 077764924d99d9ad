//! The lists that may be long: searched, and shown a page at a time, so that 10,000 routes hold nobody up.

use http::HeaderMap;
use postern_config::{
    model::{
        host::HostPattern,
        middleware::MiddlewareSlot,
        route::{Outcome, Rule, Step, Target},
    },
    snapshot::Listener,
};
use serde::Serialize;

use super::{
    answer::{Answer, json},
    query::{Page, Query, Words},
};
use crate::{
    admin::State,
    view::{
        certificate,
        cluster::{self, ClusterView, Health},
        object::{self, ObjectView},
        rule::{self, Looker, RuleView},
    },
};

#[derive(Serialize)]
struct RouteRow {
    listener: String,
    transport: &'static str,
    port: u16,
    /// Why requests get an error whatever they are; absent where they are served.
    #[serde(skip_serializing_if = "Option::is_none")]
    closed: Option<String>,
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

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Problems {
    total: usize,
    objects: Vec<ObjectView>,
    input: Vec<object::InputView>,
    skipped: Vec<object::SkippedView>,
    listeners: Vec<String>,
}

pub(super) fn objects(state: &State, query: &Query, _: &HeaderMap) -> Answer {
    let (report, words) = (state.report.load(), query.words("q"));
    let fits = |object: &ObjectView| {
        query.fits("kind", &object.kind)
            && query.fits("namespace", &object.namespace)
            && query.fits("name", &object.name)
            && query.fits("verdict", object.verdict)
            && words.are_in(&object_texts(object))
    };
    json(&Page::cut(object::objects(&report).filter(fits), query))
}

/// The objects are a page, the worst first; of the rest there is never much.
pub(super) fn problems(state: &State, query: &Query, _: &HeaderMap) -> Answer {
    let (report, words) = (state.report.load(), query.words("q"));
    let wrong = |object: &ObjectView| !matches!(object.verdict, "accepted" | "note");
    let fits = |object: &ObjectView| query.fits("verdict", object.verdict) && words.are_in(&object_texts(object));
    let mut objects: Vec<_> = object::objects(&report).filter(|object| wrong(object) && fits(object)).collect();
    objects.sort_by_key(|object| match object.verdict {
        "refused" => 0,
        "ignored" => 1,
        _ => 2,
    });
    let page = Page::cut(objects.into_iter(), query);
    json(&Problems {
        total: page.total,
        objects: page.items,
        input: report.input.iter().map(object::input).collect(),
        skipped: report.skipped.iter().filter(|skipped| skipped.refused).map(object::skipped).collect(),
        listeners: state.listeners.load().problems.iter().map(ToString::to_string).collect(),
    })
}

fn object_texts(object: &ObjectView) -> Vec<String> {
    let mut texts = vec![format!("{} {}/{}", object.kind, object.namespace, object.name)];
    for finding in &object.findings {
        texts.extend([finding.field.clone(), finding.reason.clone(), finding.message.clone()]);
    }
    texts
}

pub(super) fn routes(state: &State, query: &Query, _: &HeaderMap) -> Answer {
    let plan = state.shared.plan.load();
    let looker = Looker { snapshot: &plan.snapshot, health: &Health::look(&state.shared.live.upstream) };
    let (host, words) = (query.get("host").map(str::to_ascii_lowercase), query.words("q"));
    let rows = plan
        .snapshot
        .listeners
        .values()
        .flat_map(|listener| rule::rules(listener).into_iter().map(move |(host, rule)| (&**listener, host, rule)));
    let fits = |row: &(&Listener, &HostPattern, &Rule)| holds_host(row.1, host.as_deref()) && has(row, &words);
    let view = |(listener, host, rule): (&Listener, _, _)| {
        let rule = looker.rule(host, rule);
        RouteRow {
            listener: listener.name.to_string(),
            transport: crate::view::listener::transport(listener.transport),
            port: listener.key.port,
            closed: rule.closed_because(),
            rule,
        }
    };
    let rows = rows.filter(fits);
    match query.get("state") {
        // What is closed is known of a view alone.
        Some(wanted) => {
            let asked = |row: &RouteRow| if row.closed.is_some() { wanted == "closed" } else { wanted == "open" };
            json(&Page::cut(rows.map(view).filter(asked), query))
        }
        None => json(&Page::cut(rows, query).map(view)),
    }
}

fn holds_host(pattern: &HostPattern, host: Option<&str>) -> bool {
    host.is_none_or(|host| pattern.matches(host) || pattern.to_string().contains(host))
}

fn has((listener, host, rule): &(&Listener, &HostPattern, &Rule), words: &Words) -> bool {
    if words.is_empty() {
        return true;
    }
    let mut texts =
        vec![listener.name.to_string(), host.to_string(), rule.path.to_string(), rule.source.object.to_string()];
    texts.extend(rule.source.rule_name.as_deref().map(ToOwned::to_owned));
    texts.extend(rule.action.steps.iter().filter_map(|step| match step {
        Step::Middleware(id) => Some(id.to_string()),
        Step::Filter(_) => None,
    }));
    if let Outcome::Forward(forward) = &rule.action.outcome {
        texts.extend(forward.backends.iter().filter_map(|backend| match &backend.target {
            Target::Cluster(id) => Some(id.to_string()),
            Target::Internal(service) => Some(service.to_string()),
            Target::Invalid { .. } => None,
        }));
    }
    words.are_in(&texts)
}

/// `state` selects clusters that have an endpoint in that state, or are `refused`, or `empty`.
pub(super) fn clusters(state: &State, query: &Query, _: &HeaderMap) -> Answer {
    let (health, words) = (Health::look(&state.shared.live.upstream), query.words("q"));
    let in_state = |cluster: &ClusterView| match query.get("state") {
        None => true,
        Some("refused") => cluster.refused.is_some(),
        Some("empty") => cluster.refused.is_none() && cluster.endpoints.is_empty(),
        Some(wanted) => cluster.endpoints.iter().any(|endpoint| endpoint.state == wanted),
    };
    let texts = |cluster: &ClusterView| {
        let addresses = cluster.endpoints.iter().map(|endpoint| endpoint.address.clone());
        std::iter::once(cluster.id.clone()).chain(addresses).collect::<Vec<_>>()
    };
    let all = cluster::clusters(&state.shared.plan.load().snapshot, &health).into_iter();
    json(&Page::cut(all.filter(|cluster| in_state(cluster) && words.are_in(&texts(cluster))), query))
}

pub(super) fn certificates(state: &State, query: &Query, _: &HeaderMap) -> Answer {
    json(&Page::cut(certificate::certificates(&state.shared.plan.load().snapshot).into_iter(), query))
}

pub(super) fn middlewares(state: &State, query: &Query, _: &HeaderMap) -> Answer {
    let plan = state.shared.plan.load();
    let view = |id: String, slot: &MiddlewareSlot| match slot {
        MiddlewareSlot::Ready(spec) => MiddlewareView { id, kind: Some(spec.kind()), refused: None },
        MiddlewareSlot::Refused { reason } => MiddlewareView { id, kind: None, refused: Some(reason.to_string()) },
    };
    let mut all: Vec<_> = plan.snapshot.middlewares.iter().map(|(id, slot)| view(id.to_string(), slot)).collect();
    all.sort_by(|a, b| a.id.cmp(&b.id));
    json(&Page::cut(all.into_iter(), query))
}
