//! Ingress → rules on the entry points, and certificates by host.

mod backend;
pub(super) mod class;
mod router;
mod tls;

use std::{collections::BTreeSet, sync::Arc};

use http::StatusCode;

use super::{Contribution, Settings, object_id, traefik::priority};
use crate::{
    kubernetes::{
        object::{
            Item,
            networking::{HttpPath, Ingress, IngressBackend, PathType},
        },
        view::View,
    },
    model::{
        host::{HostPattern, WildcardDepth},
        path::{PathError, PathPattern},
        route::{Action, Outcome, Predicates, Rank, Rule, RuleSource, Step},
    },
    report::Finding,
    snapshot::Place,
};

use self::router::{PathMatcher, Router};

/// What an Ingress contributes.
pub fn convert(item: &Item<Ingress>, view: &View<'_>, settings: &Settings) -> Contribution {
    let ours = match class::judge(item, view, settings) {
        Ok(ours) => ours,
        Err(finding) => return Contribution { findings: vec![finding], ..Contribution::default() },
    };
    let mut contribution = Contribution::default();
    let router = router::read(item, ours, view, settings, &mut contribution);
    let mut maker = Maker { item, view, router, contribution };
    maker.rules();
    maker.default_backend();
    let Maker { router, mut contribution, .. } = maker;
    tls::certificates(item, view, &router, &mut contribution);
    contribution
}

struct Maker<'a> {
    item: &'a Item<Ingress>,
    view: &'a View<'a>,
    router: Router<'a>,
    contribution: Contribution,
}

impl Maker<'_> {
    fn rules(&mut self) {
        for (index, rule) in self.item.body.spec.rules.iter().enumerate() {
            let Some(host) = self.host(index, &rule.host) else { continue };
            let paths = rule.http.as_ref().map(|http| http.paths.as_slice()).unwrap_or_default();
            if paths.is_empty() && self.item.body.spec.default_backend.is_none() {
                let finding = Finding::warning(
                    format!("spec.rules[{index}].http"),
                    "NoPaths",
                    "leads nowhere: there is neither a path nor a default backend",
                );
                self.contribution.findings.push(finding);
            }
            for (at, path) in paths.iter().enumerate() {
                self.path(&host, index, at, path);
            }
        }
    }

    fn host(&mut self, index: usize, text: &str) -> Option<HostPattern> {
        HostPattern::parse(text, WildcardDepth::One)
            .map_err(|error| {
                let field = format!("spec.rules[{index}].host");
                self.contribution.findings.push(Finding::refused(field, "InvalidHost", format!("{text:?} {error}")));
            })
            .ok()
    }

    fn path(&mut self, host: &HostPattern, index: usize, at: usize, path: &HttpPath) {
        let field = format!("spec.rules[{index}].http.paths[{at}]");
        match pattern(path, self.router.matcher) {
            Ok(pattern) => {
                let action = self.action(&path.backend, &format!("{field}.backend"));
                self.file(host, pattern, action, index, at, rank(host, path, self.router.matcher));
            }
            Err(error) => {
                let message = format!("{:?} {error}", &*path.path);
                let finding = Finding::refused(format!("{field}.path"), "InvalidPath", message);
                self.contribution.findings.push(finding);
            }
        }
    }

    /// The default backend takes what no path takes: of the hosts of the Ingress, or, without rules, of every host.
    fn default_backend(&mut self) {
        let spec = &self.item.body.spec;
        let Some(backend) = &spec.default_backend else { return };
        let parse = |host: &str| HostPattern::parse(host, WildcardDepth::One).ok();
        let mut hosts: BTreeSet<_> = spec.rules.iter().filter_map(|rule| parse(&rule.host)).collect();
        if spec.rules.is_empty() {
            hosts.insert(HostPattern::Any);
        }
        let action = self.action(backend, "spec.defaultBackend");
        for host in hosts {
            self.file(&host, PathPattern::Prefix("".into()), action.clone(), spec.rules.len(), 0, priority::FALLBACK);
        }
    }

    fn action(&mut self, backend: &IngressBackend, field: &str) -> Arc<Action> {
        let namespace = &self.item.meta.namespace;
        let outcome =
            backend::outcome(self.view, namespace, backend, field, self.router.product, &mut self.contribution);
        Arc::new(match &self.router.closed {
            Some(reason) => Action { steps: Vec::new(), outcome: closed(reason.clone()) },
            None => Action { steps: self.router.middlewares.iter().cloned().map(Step::Middleware).collect(), outcome },
        })
    }

    fn file(
        &mut self,
        host: &HostPattern,
        path: PathPattern,
        action: Arc<Action>,
        rule_index: usize,
        match_index: usize,
        rank: Rank,
    ) {
        let source = Arc::new(RuleSource {
            object: object_id(self.item),
            created: self.item.meta.creation_timestamp,
            rule_index: number(rule_index),
            rule_name: None,
        });
        let rule = Arc::new(Rule {
            source,
            match_index: number(match_index),
            rank,
            fallback: rank == priority::FALLBACK,
            path: path.clone(),
            predicates: Predicates::default(),
            except_hosts: Arc::default(),
            action,
        });
        for entry in &self.router.entry_points {
            let place = Place {
                socket: entry.socket,
                transport: entry.transport,
                host: host.clone(),
                route_host: host.clone(),
                path: path.clone(),
                ranked: false,
            };
            self.contribution.rules.push((place, rule.clone()));
        }
    }
}

fn pattern(path: &HttpPath, matcher: PathMatcher) -> Result<PathPattern, PathError> {
    let text = if path.path.is_empty() { "/" } else { &*path.path };
    match (path.path_type, matcher) {
        (PathType::Exact, _) | (PathType::ImplementationSpecific, PathMatcher::Path) => PathPattern::exact(text),
        (PathType::Prefix, _) | (PathType::ImplementationSpecific, PathMatcher::PathPrefix) => {
            PathPattern::prefix(text)
        }
        // Traefik's expressions match anywhere in the path, ours the whole of it.
        (PathType::ImplementationSpecific, PathMatcher::PathRegexp) => {
            // By itself first: a stray parenthesis must not reach out of the brackets.
            PathPattern::regex(text)?;
            PathPattern::regex(&format!("(?s:.*)(?:{text})(?s:.*)"))
        }
    }
}

fn rank(host: &HostPattern, path: &HttpPath, matcher: PathMatcher) -> Rank {
    let text = if path.path.is_empty() { "/" } else { &*path.path };
    let matcher = match (path.path_type, matcher) {
        (PathType::Exact, _) | (PathType::ImplementationSpecific, PathMatcher::Path) => "Path",
        (PathType::Prefix, _) | (PathType::ImplementationSpecific, PathMatcher::PathPrefix) => "PathPrefix",
        (PathType::ImplementationSpecific, PathMatcher::PathRegexp) => "PathRegexp",
    };
    priority::of_host_and_path(host, matcher, text)
}

fn closed(reason: Arc<str>) -> Outcome {
    Outcome::Closed { status: StatusCode::SERVICE_UNAVAILABLE, reason }
}

fn number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}
