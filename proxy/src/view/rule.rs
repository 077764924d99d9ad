//! Routes as people and machines read them.

use postern_config::{
    model::{
        cluster::ClusterSlot,
        filter::{Filter, PathChange},
        host::HostPattern,
        middleware::MiddlewareSlot,
        route::{Backend, Family, Forward, Outcome, Rule, Step, Target, ValueMatch},
    },
    snapshot::{Listener, Snapshot},
};
use serde::{Deserialize, Serialize};

use super::cluster::{EndpointView, Health};

/// One rule under one host of one listener.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleView {
    /// The object: `HTTPRoute shop/cart`.
    pub route: String,
    /// Index of the rule inside it.
    pub rule: u32,
    /// Name of the rule, where it has one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rule_name: Option<String>,
    /// Index of the match inside the rule.
    pub match_index: u32,
    /// Host pattern; `*.` is one label, `**.` one or more, `*` every host.
    pub host: String,
    /// Path: `=/exact`, `/prefix/*`, `/characters*` or `~expression`.
    pub path: String,
    /// The priority that decides, whatever host and path say; only of rules that are ranked by it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub priority: Option<i64>,
    /// What else must hold.
    pub conditions: Vec<String>,
    /// What happens before the outcome, in order.
    pub steps: Vec<StepView>,
    /// What happens then.
    pub outcome: OutcomeView,
}

/// A filter or middleware.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepView {
    /// What it does, or the middleware's type.
    pub kind: String,
    /// The middleware's slot; absent for filters.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub middleware: Option<String>,
    /// Why the route is closed, when the middleware cannot be honoured.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub refused: Option<String>,
}

/// The end of a rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum OutcomeView {
    /// To backends.
    Forward {
        /// Where to.
        backends: Vec<BackendView>,
    },
    /// Answered by a redirect.
    Redirect {
        /// Status.
        status: u16,
    },
    /// Closed.
    Closed {
        /// Status.
        status: u16,
        /// Why.
        reason: String,
    },
}

/// One backend of a rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendView {
    /// The cluster, or Postern's own service; absent when the reference is invalid.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cluster: Option<String>,
    /// Whether it is Postern's own service, which has no endpoints.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub internal: bool,
    /// Share, relative to the other backends.
    pub weight: u32,
    /// Why requests to it fail.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub refused: Option<String>,
    /// Its endpoints.
    pub endpoints: Vec<EndpointView>,
}

impl RuleView {
    /// Why requests get an error whatever they are; `None` where they are served, if a backend answers.
    pub fn closed_because(&self) -> Option<String> {
        let step = self.steps.iter().find_map(|step| {
            let reason = step.refused.as_ref()?;
            Some(format!("middleware {}: {reason}", step.middleware.as_deref().unwrap_or(&step.kind)))
        });
        step.or_else(|| match &self.outcome {
            OutcomeView::Closed { reason, .. } => Some(reason.clone()),
            OutcomeView::Redirect { .. } => None,
            OutcomeView::Forward { backends } => no_backend(backends),
        })
    }
}

fn no_backend(backends: &[BackendView]) -> Option<String> {
    let mut chosen = backends.iter().filter(|backend| backend.weight > 0).peekable();
    if chosen.peek().is_none() {
        return Some("no backend has a weight".to_owned());
    }
    let reason = |backend: &BackendView| match &backend.refused {
        Some(reason) => Some(reason.clone()),
        None if backend.endpoints.is_empty() && !backend.internal => {
            Some(format!("{} has no endpoint", backend.cluster.as_deref().unwrap_or("a backend")))
        }
        None => None,
    };
    let reasons: Option<Vec<_>> = chosen.map(reason).collect();
    reasons.map(|reasons| reasons.join("; "))
}

/// Looks slots up while views are made.
pub struct Looker<'a> {
    /// What is served.
    pub snapshot: &'a Snapshot,
    /// What is known of endpoints.
    pub health: &'a Health,
}

impl Looker<'_> {
    /// `rule` as it is filed under `host`.
    pub fn rule(&self, host: &HostPattern, rule: &Rule) -> RuleView {
        RuleView {
            route: rule.source.object.to_string(),
            rule: rule.source.rule_index,
            rule_name: rule.source.rule_name.as_deref().map(Into::into),
            match_index: rule.match_index,
            host: host.to_string(),
            path: rule.path.to_string(),
            priority: (rule.rank.family == Family::Ranked).then_some(rule.rank.priority),
            conditions: conditions(rule),
            steps: rule.action.steps.iter().map(|step| self.step(step)).collect(),
            outcome: self.outcome(rule),
        }
    }

    fn step(&self, step: &Step) -> StepView {
        let id = match step {
            Step::Filter(filter) => return StepView { kind: describe(filter), middleware: None, refused: None },
            Step::Middleware(id) => id,
        };
        let (kind, refused) = match self.snapshot.middlewares.get(id).map(|slot| &**slot) {
            Some(MiddlewareSlot::Ready(spec)) => (spec.kind(), None),
            Some(MiddlewareSlot::Refused { reason }) => ("refused", Some(reason.to_string())),
            None => ("refused", Some("the middleware is not there".to_owned())),
        };
        StepView { kind: kind.to_owned(), middleware: Some(id.to_string()), refused }
    }

    fn outcome(&self, rule: &Rule) -> OutcomeView {
        let redirect = rule.action.steps.iter().find_map(|step| match step {
            Step::Filter(Filter::Redirect(redirect)) => Some(redirect.status.as_u16()),
            _ => None,
        });
        match (redirect, &rule.action.outcome) {
            (_, Outcome::Closed { status, reason }) => {
                OutcomeView::Closed { status: status.as_u16(), reason: reason.to_string() }
            }
            (Some(status), _) => OutcomeView::Redirect { status },
            (None, Outcome::Forward(forward)) => OutcomeView::Forward { backends: self.backends(forward) },
        }
    }

    /// The backends of `forward`.
    pub fn backends(&self, forward: &Forward) -> Vec<BackendView> {
        forward.backends.iter().map(|backend| self.backend(backend)).collect()
    }

    fn backend(&self, backend: &Backend) -> BackendView {
        let weight = backend.weight;
        let refused = |cluster, reason: &str| BackendView {
            cluster,
            internal: false,
            weight,
            refused: Some(reason.to_owned()),
            endpoints: Vec::new(),
        };
        let id = match &backend.target {
            Target::Invalid { reason } => return refused(None, reason),
            Target::Cluster(id) => id,
            Target::Internal(service) => {
                let cluster = Some(service.to_string());
                return BackendView { cluster, internal: true, weight, refused: None, endpoints: Vec::new() };
            }
        };
        match self.snapshot.clusters.get(id).map(|slot| &**slot) {
            Some(ClusterSlot::Ready(cluster)) => {
                let endpoints = cluster.endpoints.iter().map(|endpoint| self.health.endpoint(id, endpoint)).collect();
                BackendView { cluster: Some(id.to_string()), internal: false, weight, refused: None, endpoints }
            }
            Some(ClusterSlot::Refused { reason }) => refused(Some(id.to_string()), reason),
            None => refused(Some(id.to_string()), "the cluster is not there"),
        }
    }
}

/// Every rule of `listener` with the host that it is filed under, ordered by host, path and precedence.
pub fn rules(listener: &Listener) -> Vec<(&HostPattern, &Rule)> {
    let mut all: Vec<(&HostPattern, &Rule)> = listener
        .hosts
        .iter()
        .flat_map(|entry| entry.tables().map(move |paths| (&entry.pattern, paths)))
        .flat_map(|(host, paths)| paths.rules().map(move |rule| (host, &**rule)))
        .collect();
    all.sort_by_cached_key(|(host, rule)| (*host, rule.path.to_string(), *rule));
    all
}

/// How many [`rules`] there are.
pub fn count(listener: &Listener) -> usize {
    listener.hosts.iter().flat_map(|entry| entry.tables()).map(|paths| paths.rules().count()).sum()
}

/// What a request must fulfil beside host and path.
pub fn conditions(rule: &Rule) -> Vec<String> {
    let predicates = &rule.predicates;
    let path = predicates.path.iter().map(|path| format!("path matches {:?}", path.as_str()));
    let method = predicates.method.iter().map(|method| format!("method is {method}"));
    let headers = predicates.headers.iter().map(|header| format!("header {} {}", header.name, value(&header.value)));
    let query = predicates.query.iter().map(|query| format!("query {} {}", query.name, value(&query.value)));
    let expression = predicates.expression.iter().map(|expression| expression.to_string());
    path.chain(method).chain(headers).chain(query).chain(expression).collect()
}

pub(crate) fn value(value: &ValueMatch) -> String {
    match value {
        ValueMatch::Exact(text) => format!("is {text:?}"),
        ValueMatch::Regex(regex) => format!("matches {:?}", regex.as_str()),
    }
}

fn describe(filter: &Filter) -> String {
    match filter {
        Filter::RequestHeaders(_) => "request headers".to_owned(),
        Filter::ResponseHeaders(_) => "response headers".to_owned(),
        Filter::Redirect(redirect) => format!("redirect {}", redirect.status.as_u16()),
        Filter::Rewrite(rewrite) => {
            let host = rewrite.host.as_ref().map(|host| format!(" host to {host}")).unwrap_or_default();
            let path = match &rewrite.path {
                Some(PathChange::Full(path)) => format!(" path to {path}"),
                Some(PathChange::Prefix(prefix)) => format!(" prefix to {prefix}"),
                None => String::new(),
            };
            format!("rewrite{host}{path}")
        }
    }
}
