//! `HTTPRoute`.

use std::sync::Arc;

use http::StatusCode;

use super::{
    attach::{Guest, attach},
    backend,
    filter::{self, Level},
    http_match, reason,
    rules::{self, Closing, Draft, Rules, Site, Written},
    timeout,
};
use crate::{
    kubernetes::{
        convert::{Contribution, Settings},
        object::{
            Item, Kind, Meta,
            gateway::{HttpMatch, HttpRoute, HttpRule, PathMatchType},
        },
        view::View,
    },
    model::{
        path::PathPattern,
        route::{Forward, Outcome, Predicates},
    },
    report::Finding,
};

const CLOSED: StatusCode = StatusCode::INTERNAL_SERVER_ERROR;

/// What an HTTPRoute contributes.
pub(super) fn convert(route: &Item<HttpRoute>, view: &View<'_>, settings: &Settings) -> Contribution {
    let spec = &route.body.spec;
    let guest = Guest::of(route, spec, 16);
    let (mut contribution, places) = attach(&guest, view, settings).into_parts();
    let Some(places) = places else { return contribution };
    // A route without rules has one for every path, by the schema's default.
    let default = [HttpRule::default()];
    let rules = spec.rules.as_deref().unwrap_or(&default);
    if rules.is_empty() {
        let message = "a list of rules may not be empty; leave it out for one rule for every path";
        contribution.findings.push(Finding::refused("spec.rules", reason::UNSUPPORTED_VALUE, message));
        contribution.attached.clear();
    }
    Rules { route, places: &places }.file(rules, &mut contribution, |rule, site, contribution| {
        one(&route.meta, rule, site, (view, settings), contribution)
    });
    contribution
}

impl Written for HttpRule {
    fn name(&self) -> Option<&Arc<str>> {
        self.name.as_ref()
    }

    fn matches(&self) -> usize {
        self.matches.len().max(1)
    }
}

fn one(
    meta: &Meta,
    rule: &HttpRule,
    site: Site,
    (view, settings): (&View<'_>, &Settings),
    contribution: &mut Contribution,
) -> Draft {
    let Site { field, mut closing, variant } = site;
    let findings = &mut contribution.findings;
    let matches = matches(rule, &field, &mut closing, findings);
    let one_prefix = has_one_prefix(rule);
    let filters = filter::read(&rule.filters, &field, Level::Rule(&meta.namespace), one_prefix, findings);
    closing.also(filters.closed.clone());
    contribution.middlewares.extend(rules::middlewares(&filters, meta, (view, settings), findings));
    closing.note(check(rule, &field, filters.redirects, findings), findings);
    let timeouts = rule.timeouts.as_ref().map(|asked| timeout::timeouts(asked, &field)).transpose();
    let timeouts = closing.note(timeouts, findings).flatten().unwrap_or_default();
    let retry = rule.retry.as_ref().map(|asked| timeout::retry(asked, &field)).transpose();
    let retry = closing.note(retry, findings).flatten();
    let reader = backend::Rule { kind: Kind::HttpRoute, meta, field, variant, one_prefix };
    let backends = reader.backends(&rule.backend_refs, view, &mut contribution.clusters, findings);
    let forward = Forward { backends, unresolved: CLOSED, timeouts, retry };
    let action = Draft::action(closing.reason(), CLOSED, filters.steps, Outcome::Forward(forward));
    Draft { matches, action }
}

/// What a rule as a whole may not be.
fn check(rule: &HttpRule, field: &str, redirects: bool, findings: &mut Vec<Finding>) -> Result<(), Finding> {
    if rule.session_persistence.is_some() {
        return Err(Finding::refused(
            format!("{field}.sessionPersistence"),
            reason::UNSUPPORTED_VALUE,
            "session persistence is not carried",
        )
        .remedy("remove it; a sticky cookie is asked for by annotations of the backend"));
    }
    rules::check_backends(rule.backend_refs.len(), field)?;
    match (redirects, rule.backend_refs.is_empty()) {
        (true, false) => Err(Finding::refused(
            format!("{field}.backendRefs"),
            reason::INCOMPATIBLE_FILTERS,
            "a rule that redirects may not have backends",
        )
        .remedy("remove the backends or the RequestRedirect filter")),
        (false, true) => {
            findings.push(Finding::warning(
                format!("{field}.backendRefs"),
                reason::NO_BACKENDS,
                "the rule has no backend, so it answers 500",
            ));
            Ok(())
        }
        _ => Ok(()),
    }
}

/// The matches that can be filed; one that cannot closes the rule, so that none of its requests is served by half of
/// what was asked.
fn matches(
    rule: &HttpRule,
    field: &str,
    closing: &mut Closing,
    findings: &mut Vec<Finding>,
) -> Vec<(u32, PathPattern, Predicates)> {
    let default = [HttpMatch::default()];
    let asked = if rule.matches.is_empty() { &default[..] } else { &rule.matches };
    let mut read = Vec::new();
    for (index, asked) in (0..).zip(asked) {
        let result = http_match::read(asked, &format!("{field}.matches[{index}]"), findings);
        if let Some((path, predicates)) = closing.note(result, findings) {
            read.push((index, path, predicates));
        }
    }
    read
}

/// Whether the rule has exactly one match, of a path prefix: only then can a prefix be replaced.
fn has_one_prefix(rule: &HttpRule) -> bool {
    let is_prefix = |asked: &HttpMatch| asked.path.as_ref().is_none_or(|path| path.kind == PathMatchType::PathPrefix);
    rule.matches.len() <= 1 && rule.matches.iter().all(is_prefix)
}
