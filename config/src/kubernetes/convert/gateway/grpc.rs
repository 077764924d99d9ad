//! `GRPCRoute`: services and methods are paths `/service/method`, and backends speak HTTP/2.

use std::sync::Arc;

use http::StatusCode;

use super::{
    attach::{Guest, attach},
    backend,
    filter::{self, Level},
    http_match, reason,
    rules::{self, Closing, Draft, Rules, Site, Written},
};
use crate::{
    kubernetes::{
        convert::{Contribution, Settings},
        object::{
            Item, Kind, Meta,
            gateway::{GrpcMatch, GrpcMethodMatch, GrpcRoute, GrpcRule, ValueMatchType},
        },
        view::View,
    },
    model::{
        path::{PathPattern, PathRegex},
        route::{Forward, Outcome, Predicates, Timeouts},
    },
    report::Finding,
};

/// 503 is UNAVAILABLE to a gRPC client, which is what the Gateway API asks for.
const CLOSED: StatusCode = StatusCode::SERVICE_UNAVAILABLE;

/// What a GRPCRoute contributes.
pub(super) fn convert(route: &Item<GrpcRoute>, view: &View<'_>, settings: &Settings) -> Contribution {
    let spec = &route.body.spec;
    let guest = Guest::of(route, spec, 16);
    let (mut contribution, places) = attach(&guest, view, settings).into_parts();
    let Some(places) = places else { return contribution };
    let rules = spec.rules.as_deref().unwrap_or_default();
    Rules { route, places: &places }.file(rules, &mut contribution, |rule, site, contribution| {
        one(&route.meta, rule, site, (view, settings), contribution)
    });
    contribution
}

impl Written for GrpcRule {
    fn name(&self) -> Option<&Arc<str>> {
        self.name.as_ref()
    }

    fn matches(&self) -> usize {
        self.matches.len()
    }
}

fn one(
    meta: &Meta,
    rule: &GrpcRule,
    site: Site,
    (view, settings): (&View<'_>, &Settings),
    contribution: &mut Contribution,
) -> Draft {
    let Site { field, mut closing, mut variant } = site;
    let findings = &mut contribution.findings;
    let matches = matches(rule, &field, &mut closing, findings);
    let filters = filter::read(&rule.filters, &field, Level::Rule(&meta.namespace), false, findings);
    closing.also(filters.closed.clone());
    contribution.middlewares.extend(rules::middlewares(&filters, meta, (view, settings), findings));
    closing.note(check(rule, &field, findings), findings);
    variant.insert("protocol", "h2c".to_owned());
    let reader = backend::Rule { kind: Kind::GrpcRoute, meta, field, variant, one_prefix: false };
    let backends = reader.backends(&rule.backend_refs, view, &mut contribution.clusters, findings);
    let forward = Forward { backends, unresolved: CLOSED, timeouts: Timeouts::default(), retry: None };
    let action = Draft::action(closing.reason(), CLOSED, filters.steps, Outcome::Forward(forward));
    Draft { matches, action }
}

fn check(rule: &GrpcRule, field: &str, findings: &mut Vec<Finding>) -> Result<(), Finding> {
    if rule.session_persistence.is_some() {
        return Err(Finding::refused(
            format!("{field}.sessionPersistence"),
            reason::UNSUPPORTED_VALUE,
            "session persistence is not carried",
        )
        .remedy("remove it; a sticky cookie is asked for by annotations of the backend"));
    }
    if rule.backend_refs.is_empty() {
        findings.push(Finding::warning(
            format!("{field}.backendRefs"),
            reason::NO_BACKENDS,
            "the rule has no backend, so it answers UNAVAILABLE",
        ));
    }
    rules::check_backends(rule.backend_refs.len(), field)
}

fn matches(
    rule: &GrpcRule,
    field: &str,
    closing: &mut Closing,
    findings: &mut Vec<Finding>,
) -> Vec<(u32, PathPattern, Predicates)> {
    let default = [GrpcMatch::default()];
    let asked = if rule.matches.is_empty() { &default[..] } else { &rule.matches };
    let mut read = Vec::new();
    for (index, asked) in (0..).zip(asked) {
        let field = format!("{field}.matches[{index}]");
        let result = read_match(asked, &field, findings);
        if let Some((path, predicates)) = closing.note(result, findings) {
            read.push((index, path, predicates));
        }
    }
    read
}

fn read_match(
    asked: &GrpcMatch,
    field: &str,
    findings: &mut Vec<Finding>,
) -> Result<(PathPattern, Predicates), Finding> {
    let headers = http_match::headers(&asked.headers, &format!("{field}.headers"), findings)?;
    let (path, condition) = match &asked.method {
        Some(method) => paths(method, &format!("{field}.method"))?,
        None => (PathPattern::Prefix(Arc::default()), None),
    };
    Ok((path, Predicates { path: condition, headers, ..Predicates::default() }))
}

/// The path pattern, and the condition on the path where the pattern cannot say all. Services rank above methods, so
/// a method of any service is a condition below every pattern that names the service.
fn paths(asked: &GrpcMethodMatch, field: &str) -> Result<(PathPattern, Option<PathRegex>), Finding> {
    let text = |text: &Option<Arc<str>>| text.clone().filter(|text| !text.is_empty());
    let (service, method) = (text(&asked.service), text(&asked.method));
    if asked.kind == ValueMatchType::RegularExpression {
        let regex = expression(service.as_deref(), method.as_deref(), field)?;
        return Ok(match service {
            Some(_) => (PathPattern::Regex(regex), None),
            None => (PathPattern::Prefix(Arc::default()), Some(regex)),
        });
    }
    if let Some(service) = &service {
        check_name(service, true, &format!("{field}.service"))?;
    }
    if let Some(method) = &method {
        check_name(method, false, &format!("{field}.method"))?;
    }
    match (service, method) {
        (Some(service), Some(method)) => Ok((PathPattern::Exact(format!("/{service}/{method}").into()), None)),
        (Some(service), None) => Ok((PathPattern::Prefix(format!("/{service}").into()), None)),
        (None, Some(method)) => {
            let regex = http_match::regex(&format!("/[^/]+/{}", http_match::escape(&method)), field)?;
            Ok((PathPattern::Prefix(Arc::default()), Some(regex)))
        }
        (None, None) => Err(neither(field)),
    }
}

fn expression(service: Option<&str>, method: Option<&str>, field: &str) -> Result<PathRegex, Finding> {
    if service.is_none() && method.is_none() {
        return Err(neither(field));
    }
    // Each is tried by itself first: `a)|(b` must not get a meaning from its surroundings.
    for (part, text) in [("service", service), ("method", method)] {
        if let Some(text) = text {
            http_match::regex(text, &format!("{field}.{part}"))?;
        }
    }
    let any = "[^/]+";
    http_match::regex(&format!("/(?:{})/(?:{})", service.unwrap_or(any), method.unwrap_or(any)), field)
}

fn neither(field: &str) -> Finding {
    Finding::refused(field, reason::UNSUPPORTED_VALUE, "a service, a method or both must be named")
}

/// Names as the CRD allows them: identifiers, and for services dots between them.
fn check_name(text: &str, dots: bool, field: &str) -> Result<(), Finding> {
    let identifier = |part: &str| {
        part.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    let legal = if dots { text.strip_prefix('.').unwrap_or(text).split('.').all(identifier) } else { identifier(text) };
    let message = format!("{text:?} is not a name of gRPC; use type RegularExpression for patterns");
    if legal { Ok(()) } else { Err(Finding::refused(field, reason::UNSUPPORTED_VALUE, message)) }
}
