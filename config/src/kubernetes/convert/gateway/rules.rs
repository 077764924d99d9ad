//! From the rules of one route and the places that it attaches to, to rules in tables.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use http::StatusCode;

use super::{attach::Attachment, filter::Filters, reason};
use crate::{
    kubernetes::{
        convert::{Contribution, Settings, middleware, object_id, slot, traefik::priority},
        object::{Item, Meta, Resource, traefik::Middleware},
        view::View,
    },
    model::{
        host::HostPattern,
        id::MiddlewareId,
        path::PathPattern,
        route::{Action, Outcome, Predicates, Rule, RuleSource, Step},
    },
    report::Finding,
    snapshot::Place,
};

/// One rule of a route, before it is filed.
pub(super) struct Draft {
    /// Its matches, each with its index.
    pub(super) matches: Vec<(u32, PathPattern, Predicates)>,
    /// What happens.
    pub(super) action: Action,
}

impl Draft {
    /// The action of a rule that is closed, or else what `open` says.
    pub(super) fn action(closed: Option<Arc<str>>, status: StatusCode, steps: Vec<Step>, open: Outcome) -> Action {
        match closed {
            Some(reason) => Action { steps: Vec::new(), outcome: Outcome::Closed { status, reason } },
            None => Action { steps, outcome: open },
        }
    }
}

/// A rule as its route writes it, of either kind.
pub(super) trait Written {
    /// `name`.
    fn name(&self) -> Option<&Arc<str>>;
    /// How many matches it counts as.
    fn matches(&self) -> usize;
}

/// A route whose rules are to be filed.
pub(super) struct Rules<'a, T> {
    /// The route.
    pub(super) route: &'a Item<T>,
    /// Where it is served.
    pub(super) places: &'a [Attachment],
}

/// Where a rule stands, and for whom it is read.
pub(super) struct Site {
    /// `spec.rules[i]`.
    pub(super) field: String,
    /// What closes it already.
    pub(super) closing: Closing,
    /// What sets apart how its clusters are reached.
    pub(super) variant: Variant,
}

/// See `slot::cluster`.
pub(super) type Variant = BTreeMap<&'static str, String>;

/// The variant of clusters that a Gateway presents this certificate to.
pub(super) fn variant(client_certificate: Option<&Arc<str>>) -> Variant {
    client_certificate.map(|secret| (slot::CLIENT_CERTIFICATE, secret.to_string())).into_iter().collect()
}

impl<T: Resource> Rules<'_, T> {
    /// Reads each of `rules` and files it: once for each certificate that its Gateways present to backends. A route of
    /// which every rule is closed is attached to nothing, since no listener serves any of it.
    pub(super) fn file<R: Written>(
        &self,
        rules: &[R],
        contribution: &mut Contribution,
        mut read: impl FnMut(&R, Site, &mut Contribution) -> Draft,
    ) {
        let closed = check(rules, &mut contribution.findings);
        let certificates = self.client_certificates();
        let mut serves = false;
        for (index, rule) in (0..).zip(rules) {
            let source = Arc::new(RuleSource {
                object: object_id(self.route),
                created: self.route.meta.creation_timestamp,
                rule_index: index,
                rule_name: rule.name().cloned(),
            });
            for certificate in &certificates {
                let (field, closing) = (format!("spec.rules[{index}]"), Closing::new(closed.clone()));
                let site = Site { field, closing, variant: variant(certificate.as_ref()) };
                let draft = read(rule, site, contribution);
                serves |= !matches!(draft.action.outcome, Outcome::Closed { .. });
                let places = self.places.iter().filter(|place| place.client_certificate == *certificate);
                contribution.rules.extend(file_one(&source, &draft, places));
            }
        }
        if !serves && !rules.is_empty() {
            contribution.attached.clear();
        }
        contribution.findings = unique(std::mem::take(&mut contribution.findings));
    }

    /// Those of all places. A route is read even where it attaches to nothing, so that what is wrong with it is told.
    fn client_certificates(&self) -> Vec<Option<Arc<str>>> {
        let mut certificates: Vec<_> = self.places.iter().map(|place| place.client_certificate.clone()).collect();
        certificates.sort();
        certificates.dedup();
        if certificates.is_empty() { vec![None] } else { certificates }
    }
}

/// What is read for several places and wrong is told once.
pub(super) fn unique(findings: Vec<Finding>) -> Vec<Finding> {
    let mut kept: Vec<Finding> = Vec::new();
    for finding in findings {
        if !kept.contains(&finding) {
            kept.push(finding);
        }
    }
    kept
}

/// Rules differ between places only in the hosts that are taken from them; otherwise they are shared.
fn file_one<'a>(
    source: &Arc<RuleSource>,
    draft: &Draft,
    places: impl Iterator<Item = &'a Attachment>,
) -> Vec<(Place, Arc<Rule>)> {
    let mut filed = Vec::new();
    let mut made: Vec<(&Attachment, Vec<Arc<Rule>>)> = Vec::new();
    let action = Arc::new(draft.action.clone());
    let places: Vec<_> = places.collect();
    let hosts: Vec<_> = places.iter().map(|place| place.route_host.clone()).collect();
    for place in places {
        let same = |other: &Attachment| other.except_hosts == place.except_hosts;
        let at = made.iter().position(|(other, _)| same(other)).unwrap_or_else(|| {
            made.push((place, make(source, draft, place, &hosts, &action)));
            made.len() - 1
        });
        let rules = made.get(at).map(|(_, rules)| rules.as_slice()).unwrap_or_default();
        filed.extend(rules.iter().map(|rule| (spot(place, &rule.path), rule.clone())));
    }
    filed
}

fn make(
    source: &Arc<RuleSource>,
    draft: &Draft,
    place: &Attachment,
    hosts: &[HostPattern],
    action: &Arc<Action>,
) -> Vec<Arc<Rule>> {
    let rule = |(match_index, path, predicates): &(u32, PathPattern, Predicates)| {
        Arc::new(Rule {
            source: source.clone(),
            match_index: *match_index,
            rank: priority::of_match(hosts.iter(), path, predicates),
            fallback: false,
            path: path.clone(),
            predicates: predicates.clone(),
            except_hosts: place.except_hosts.clone(),
            action: action.clone(),
        })
    };
    draft.matches.iter().map(rule).collect()
}

fn spot(place: &Attachment, path: &PathPattern) -> Place {
    Place {
        socket: place.socket,
        transport: place.protocol.transport(),
        host: place.host.clone(),
        route_host: place.route_host.clone(),
        path: path.clone(),
        ranked: false,
    }
}

/// Why a route as a whole is closed: more rules or matches than the API allows, or names that are not unique.
fn check<R: Written>(rules: &[R], findings: &mut Vec<Finding>) -> Option<Arc<str>> {
    let finding = problem(rules)?;
    let reason = finding.message.as_str().into();
    findings.push(finding.remedy("until then every rule of the route answers with an error"));
    Some(reason)
}

fn problem<R: Written>(rules: &[R]) -> Option<Finding> {
    let refuse = |field: String, message: &str| Some(Finding::refused(field, reason::UNSUPPORTED_VALUE, message));
    if rules.len() > 16 {
        return refuse("spec.rules".to_owned(), "at most 16 rules are allowed");
    }
    if let Some(index) = rules.iter().position(|rule| rule.matches() > 64) {
        return refuse(format!("spec.rules[{index}].matches"), "at most 64 matches are allowed");
    }
    if rules.iter().map(R::matches).sum::<usize>() > 128 {
        return refuse("spec.rules".to_owned(), "at most 128 matches are allowed in all rules together");
    }
    let mut names = BTreeSet::new();
    let twice = rules.iter().position(|rule| rule.name().is_some_and(|name| !names.insert(name)));
    twice.and_then(|index| refuse(format!("spec.rules[{index}].name"), "names must be unique within the route"))
}

/// Middleware slots of a rule's filters; one that does not exist closes the rule by itself, and is told here.
pub(super) fn middlewares(
    filters: &Filters,
    meta: &Meta,
    (view, settings): (&View<'_>, &Settings),
    findings: &mut Vec<Finding>,
) -> Vec<MiddlewareId> {
    for (field, name) in &filters.middlewares {
        let problem = match view.get::<Middleware>(&meta.namespace, name) {
            None => Some(format!("there is no Middleware {}/{name}, so the rule is closed", meta.namespace)),
            Some(item) => {
                middleware::refusal(item, view, settings).map(|reason| format!("{reason}, so the rule is closed"))
            }
        };
        findings.extend(problem.map(|message| Finding::refused(field, reason::FILTER_NOT_FOUND, message)));
    }
    let id = |step: &Step| match step {
        Step::Middleware(id) => Some(id.clone()),
        Step::Filter(_) => None,
    };
    filters.steps.iter().filter_map(id).collect()
}

/// More backends than the API allows.
pub(super) fn check_backends(count: usize, field: &str) -> Result<(), Finding> {
    match count {
        0..=16 => Ok(()),
        _ => Err(Finding::refused(
            format!("{field}.backendRefs"),
            reason::UNSUPPORTED_VALUE,
            "at most 16 backends are allowed",
        )),
    }
}

/// What no longer lets a rule be served, the first of them; all are told.
#[derive(Default)]
pub(super) struct Closing {
    reason: Option<Arc<str>>,
}

impl Closing {
    /// Starts from what closes the whole route.
    pub(super) fn new(reason: Option<Arc<str>>) -> Self {
        Self { reason }
    }

    /// Keeps the reason of an error and tells it.
    pub(super) fn note<T>(&mut self, result: Result<T, Finding>, findings: &mut Vec<Finding>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(finding) => {
                self.reason.get_or_insert_with(|| finding.message.as_str().into());
                findings.push(finding);
                None
            }
        }
    }

    /// Adds a reason that was told already.
    pub(super) fn also(&mut self, reason: Option<Arc<str>>) {
        if self.reason.is_none() {
            self.reason = reason;
        }
    }

    /// The reason, if there is one.
    pub(super) fn reason(self) -> Option<Arc<str>> {
        self.reason
    }
}
