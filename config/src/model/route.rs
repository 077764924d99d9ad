//! Rules: what a request must look like, who wins when several fit, and what happens then.

use std::{cmp::Ordering, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, Method, StatusCode};
use jiff::Timestamp;

use super::{
    expression::Expression,
    filter::Filter,
    host::HostPattern,
    id::{ClusterId, MiddlewareId, ObjectId},
    internal::Internal,
    path::{PathPattern, PathRegex},
    request::{Condition, RequestKey},
};

/// One match of one rule of one route object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Where the rule comes from; also its name in logs, metrics and `explain`.
    pub source: Arc<RuleSource>,
    /// Index of the match inside the rule: the last tie-breaker.
    pub match_index: u32,
    /// Where it stands among rules that are found by other ways than it is.
    pub rank: Rank,
    /// Whether it is only for what no other rule of its host and path is for (an Ingress's default backend).
    pub fallback: bool,
    /// Which paths it is for.
    pub path: PathPattern,
    /// What else must hold.
    pub predicates: Predicates,
    /// Hosts that this rule must not answer for although its host pattern holds them, because a more specific
    /// listener of the same owner does (Gateway API listener isolation). Almost always empty.
    pub except_hosts: Arc<[HostPattern]>,
    /// What happens to a request that this rule wins; shared by all matches of the rule.
    pub action: Arc<Action>,
}

/// Which object, and which rule of it, a [`Rule`] was made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleSource {
    /// The route object.
    pub object: ObjectId,
    /// When the object was created, where that is known: the older object wins a tie.
    pub created: Option<Timestamp>,
    /// Index of the rule inside the object.
    pub rule_index: u32,
    /// Name of the rule, where the user gave one.
    pub rule_name: Option<Arc<str>>,
}

/// Where a rule stands among all that fit a request, across families.
///
/// Within [`Family::Ranked`] the priority decides whatever host and path say, as in Traefik. In the other families the
/// most specific rule goes first, and only the one that wins there is measured with the best ranked one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rank {
    /// The higher goes first.
    pub priority: i64,
    /// At equal priority the first family goes first.
    pub family: Family,
}

/// How rules find their order: the strongest first (Traefik's precedence of its providers).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// Rules of listeners of their own, the most specific first.
    Gateway,
    /// Rules with a priority, which alone decides.
    Ranked,
    /// Rules of hosts and paths on entry points, the most specific first.
    Classic,
}

/// Conditions beside host and path. All must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Predicates {
    /// A further condition on the whole path, where the pattern that the rule is filed by cannot say it (a gRPC
    /// method of any service, which ranks below every rule that names the service).
    pub path: Option<PathRegex>,
    /// The request method; `None` is any.
    pub method: Option<Method>,
    /// Header conditions.
    pub headers: Vec<HeaderMatch>,
    /// Query conditions.
    pub query: Vec<QueryMatch>,
    /// What a rule's own language says beyond the host and path that it is filed by.
    pub expression: Option<Arc<Expression<Condition>>>,
}

/// A condition on one header; several field lines of the name count as one value joined by `,`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HeaderMatch {
    /// Field name.
    pub name: HeaderName,
    /// What its value must be.
    pub value: ValueMatch,
}

/// A condition on the first query parameter of a name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct QueryMatch {
    /// Parameter name after percent-decoding.
    pub name: Arc<str>,
    /// What its percent-decoded value must be.
    pub value: ValueMatch,
}

/// A condition on a value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ValueMatch {
    /// Byte equality.
    Exact(Arc<str>),
    /// The whole value matches.
    Regex(PathRegex),
}

impl ValueMatch {
    /// Whether the condition holds for `value`.
    pub fn matches(&self, value: &str) -> bool {
        match self {
            Self::Exact(text) => **text == *value,
            Self::Regex(regex) => regex.is_match(value),
        }
    }
}

impl Predicates {
    /// Whether there is nothing to test.
    pub fn is_empty(&self) -> bool {
        self.path.is_none()
            && self.method.is_none()
            && self.headers.is_empty()
            && self.query.is_empty()
            && self.expression.is_none()
    }

    /// Whether the expression holds, where there is one.
    pub fn expression_holds(&self, request: RequestKey<'_>) -> bool {
        self.expression.as_ref().is_none_or(|expression| expression.holds(&|condition| condition.holds(request)))
    }

    /// Whether all conditions beside the path's and the expression's hold.
    pub fn matches(&self, method: &Method, headers: &HeaderMap, query: Option<&str>) -> bool {
        self.method.as_ref().is_none_or(|wanted| wanted == method)
            && self.headers.iter().all(|header| header.matches(headers))
            && self.query.iter().all(|parameter| parameter.matches(query.unwrap_or_default()))
    }
}

impl HeaderMatch {
    fn matches(&self, headers: &HeaderMap) -> bool {
        let mut values = headers.get_all(&self.name).iter();
        let Some(first) = values.next() else { return false };
        let Ok(first) = first.to_str() else { return false };
        let Some(second) = values.next() else { return self.value.matches(first) };
        let mut joined = first.to_owned();
        for value in std::iter::once(second).chain(values) {
            let Ok(value) = value.to_str() else { return false };
            joined.push(',');
            joined.push_str(value);
        }
        self.value.matches(&joined)
    }
}

impl QueryMatch {
    fn matches(&self, query: &str) -> bool {
        query
            .split('&')
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .find(|(name, _)| decode(name) == *self.name)
            .is_some_and(|(_, value)| self.value.matches(&decode(value)))
    }
}

fn decode(text: &str) -> std::borrow::Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return text.into();
    }
    let spaced = text.replace('+', " ");
    percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy().into_owned().into()
}

impl Rule {
    /// Whether the rule goes before `other` whatever the hosts and paths that they are filed by.
    pub fn outranks(&self, other: &Self) -> bool {
        let key = |rule: &Self| (std::cmp::Reverse(rule.rank.priority), rule.rank.family);
        key(self).cmp(&key(other)).then_with(|| self.cmp(other)).is_lt()
    }
}

/// The better rule is the lesser. Ranked rules: by priority, then oldest, namespace/name, order in the object. Others,
/// of one host and one path: Gateway API `HTTPRouteRule.matches`
/// (fallbacks last, then a condition on the path, method, number of headers, number of query parameters, oldest, namespace/name, order in the object).
impl Ord for Rule {
    fn cmp(&self, other: &Self) -> Ordering {
        let priority = |rule: &Self| {
            let priority = (rule.rank.family == Family::Ranked).then_some(rule.rank.priority);
            std::cmp::Reverse(priority)
        };
        let key = |rule: &Self| {
            (
                rule.fallback,
                rule.predicates.path.is_none(),
                rule.predicates.method.is_none(),
                std::cmp::Reverse(rule.predicates.headers.len()),
                std::cmp::Reverse(rule.predicates.query.len()),
            )
        };
        let source = |rule: &Self| (rule.source.created.is_none(), rule.source.created);
        let name = |rule: &Self| {
            let object = &rule.source.object;
            (object.namespace.clone(), object.name.clone(), object.kind.clone())
        };
        priority(self)
            .cmp(&priority(other))
            .then_with(|| key(self).cmp(&key(other)))
            .then_with(|| source(self).cmp(&source(other)))
            .then_with(|| name(self).cmp(&name(other)))
            .then_with(|| self.source.rule_index.cmp(&other.source.rule_index))
            .then_with(|| self.match_index.cmp(&other.match_index))
    }
}

impl PartialOrd for Rule {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// What happens to a request that a rule has won: the steps in order, then the outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// Filters and middlewares, outermost first.
    pub steps: Vec<Step>,
    /// What is left to do when no step has answered.
    pub outcome: Outcome,
}

/// One step of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Stateless, written in the rule itself.
    Filter(Filter),
    /// A slot; when the slot is refused or missing the route answers 503.
    Middleware(MiddlewareId),
}

/// The end of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// To a backend.
    Forward(Forward),
    /// The route cannot be served as its owner asked, so it is closed: this status, this reason in log and status.
    Closed {
        /// What the client gets.
        status: StatusCode,
        /// For log, `explain` and the admin API; never for the client.
        reason: Arc<str>,
    },
}

/// Where and how requests are forwarded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// Chosen among by weight; a weight of 0 is never chosen. Empty, or all weights 0: the `unresolved` status.
    pub backends: Vec<Backend>,
    /// What a client gets whose request fell to a backend that does not resolve: 500 for the Gateway API, 503 else.
    pub unresolved: StatusCode,
    /// Limits in time.
    pub timeouts: Timeouts,
    /// What may be tried again beyond the always safe cases; `None` is the default policy.
    pub retry: Option<Retry>,
}

/// What happens to a connection whose bytes are not HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tunnel {
    /// Middlewares of TCP connections that must let it in, in order; when a slot is refused or missing, the connection
    /// is closed.
    pub middlewares: Vec<MiddlewareId>,
    /// Where its bytes go.
    pub forward: Forward,
}

impl From<Forward> for Tunnel {
    fn from(forward: Forward) -> Self {
        Self { middlewares: Vec::new(), forward }
    }
}

/// A share of a rule's requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// Where they go.
    pub target: Target,
    /// Share, relative to the sum of all weights.
    pub weight: u32,
    /// Filters of this backend alone.
    pub filters: Vec<Filter>,
}

/// Where a backend points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A cluster slot.
    Cluster(ClusterId),
    /// Postern itself.
    Internal(Internal),
    /// A reference that may not or cannot be followed.
    Invalid {
        /// For log, `explain` and the admin API.
        reason: Arc<str>,
    },
}

/// Limits in time; `None` takes the default of the installation, zero switches the limit off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// From the last byte of the request's header to the last byte of the answer.
    pub request: Option<Duration>,
    /// From sending one try to the first byte of its answer.
    pub backend_request: Option<Duration>,
}

/// Retry policy (Gateway API `HTTPRouteRetry`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Tries after the first; 0 switches retries off.
    pub attempts: u32,
    /// Statuses of the backend that may be tried again.
    pub codes: Vec<StatusCode>,
    /// Least pause between two tries.
    pub backoff: Option<Duration>,
}
