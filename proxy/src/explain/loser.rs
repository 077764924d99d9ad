//! Why a rule did not take a request: what the look-up said of the rules that it came by, and, for those it did not
//! even look at, what kept it from them.

use std::{collections::HashSet, net::IpAddr, sync::Arc};

use http::request::Parts;
use postern_config::{
    model::{
        expression::Expression,
        host::HostPattern,
        request::Condition,
        route::{Family, Predicates, Rule},
    },
    snapshot::{Considered, Listener, RequestKey},
};
use serde::{Deserialize, Serialize};

use super::Recorder;
use crate::view::rule::value;

/// More are counted, not shown.
const SHOWN: usize = 100;

/// A rule for a host that fits, which did not take the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Loser {
    /// The object.
    pub route: String,
    /// Index of the rule inside it.
    pub rule: u32,
    /// Index of the match inside the rule.
    pub match_index: u32,
    /// Host pattern.
    pub host: String,
    /// Path.
    pub path: String,
    /// Why not.
    pub reason: String,
}

/// A look-up and its surroundings.
pub(super) struct Scene<'a> {
    pub(super) listener: &'a Listener,
    pub(super) parts: &'a Parts,
    pub(super) host: &'a str,
    pub(super) peer: IpAddr,
    pub(super) recorder: &'a Recorder,
}

impl Scene<'_> {
    /// The losers in the order of the look-up, then those that it did not come by; and how many are left out.
    pub(super) fn losers(&self) -> (Vec<Loser>, usize) {
        let seen = self.recorder.seen.iter().filter(|(.., verdict)| *verdict != Considered::Won);
        let mut losers: Vec<_> =
            seen.map(|(host, rule, verdict)| loser(host, rule, self.judged(rule, *verdict))).collect();
        losers.extend(self.unseen());
        let left_out = losers.len().saturating_sub(SHOWN);
        losers.truncate(SHOWN);
        (losers, left_out)
    }

    fn unseen(&self) -> Vec<Loser> {
        let key = |host: &HostPattern, rule: &Arc<Rule>| (host.clone(), Arc::as_ptr(rule));
        let seen: HashSet<_> = self.recorder.seen.iter().map(|(host, rule, _)| key(host, rule)).collect();
        let hosts = &self.listener.hosts;
        let candidates = hosts.candidates(self.host).chain(hosts.ranked(self.host));
        let all = candidates.flat_map(|(host, paths)| paths.rules().map(move |rule| (host, rule)));
        let mut unseen: Vec<_> = all.filter(|(host, rule)| !seen.contains(&key(host, rule))).collect();
        unseen.sort_by(|(_, a), (_, b)| a.path.to_string().cmp(&b.path.to_string()).then_with(|| a.cmp(b)));
        unseen.into_iter().map(|(host, rule)| loser(host, rule, self.overtaken(host, rule))).collect()
    }

    fn judged(&self, rule: &Rule, verdict: Considered) -> String {
        match verdict {
            Considered::Won => String::new(),
            Considered::PathDiffers => self.path_differs(rule),
            Considered::PredicateFails => self.failing(rule),
            Considered::Outranked => self.outranked(rule),
            Considered::HostTakenByListener => "a more specific listener of the same Gateway has this host".to_owned(),
        }
    }

    fn path_differs(&self, rule: &Rule) -> String {
        format!("the path {} is not in {}", self.parts.uri.path(), rule.path)
    }

    /// The first condition that does not hold.
    fn failing(&self, rule: &Rule) -> String {
        let Predicates { method, headers, query, path, expression: _ } = &rule.predicates;
        if let Some(wanted) = method.as_ref().filter(|wanted| **wanted != self.parts.method) {
            return format!("the method is {}, not {wanted}", self.parts.method);
        }
        let holds = |predicates: Predicates| {
            predicates.matches(&self.parts.method, &self.parts.headers, self.parts.uri.query())
        };
        let one_header = |header| Predicates { headers: vec![header], ..Predicates::default() };
        if let Some(header) = headers.iter().find(|header| !holds(one_header((*header).clone()))) {
            return format!("it wants that header {} {}", header.name, value(&header.value));
        }
        let one_parameter = |parameter| Predicates { query: vec![parameter], ..Predicates::default() };
        if let Some(path) = path.as_ref().filter(|path| !path.is_match(self.parts.uri.path())) {
            return format!("the path {} does not match {}", self.parts.uri.path(), path.as_str());
        }
        match query.iter().find(|parameter| !holds(one_parameter((*parameter).clone()))) {
            Some(parameter) => format!("it wants that query {} {}", parameter.name, value(&parameter.value)),
            None => self.failing_part(rule),
        }
    }

    /// Of the rule's expression.
    fn failing_part(&self, rule: &Rule) -> String {
        let (uri, headers) = (&self.parts.uri, &self.parts.headers);
        let (path, query, method) = (uri.path(), uri.query(), &self.parts.method);
        let request = RequestKey { host: self.host, path, query, method, headers, peer: self.peer };
        let fails = |part: &&Expression<_>| !part.holds(&|condition: &Condition| condition.holds(request));
        let failing = match rule.predicates.expression.as_deref() {
            Some(Expression::All(parts)) => parts.iter().find(fails),
            other => other.filter(fails),
        };
        failing.map_or_else(|| "a condition does not hold".to_owned(), |part| format!("it wants that {part}"))
    }

    /// It fits, and another rule goes first whatever host and path say.
    fn outranked(&self, rule: &Rule) -> String {
        let Some((_, winner)) = self.recorder.winner() else { return "another rule outranks it".to_owned() };
        let (object, ours, theirs) = (&winner.source.object, rule.rank, winner.rank);
        if theirs.priority != ours.priority {
            format!("{object} goes before it: priority {} against {}", theirs.priority, ours.priority)
        } else if theirs.family != ours.family {
            format!("{object} goes before it: its kind does at equal priority {}", ours.priority)
        } else {
            format!("{object} goes before it at equal priority {}: {}", ours.priority, first_come(winner, rule))
        }
    }

    /// Why the look-up ended before it came to `rule`.
    fn overtaken(&self, host: &HostPattern, rule: &Rule) -> String {
        if !rule.path.matches(self.parts.uri.path()) {
            return self.path_differs(rule);
        }
        let Some((winning_host, winner)) = self.recorder.winner() else {
            return "the request was refused before any route was looked for".to_owned();
        };
        if [winner.rank.family, rule.rank.family].contains(&Family::Ranked) {
            self.outranked(rule)
        } else if winning_host != host {
            format!("host {winning_host} is more specific than {host}")
        } else if winner.path != rule.path {
            format!("path {} goes before {}", winner.path, rule.path)
        } else {
            format!("{} goes before it: {}", winner.source.object, precedence(winner, rule))
        }
    }
}

/// The first of the criteria of [`Rule`]'s order in which `winner` and `rule` differ.
fn precedence(winner: &Rule, rule: &Rule) -> &'static str {
    let (a, b) = (&winner.predicates, &rule.predicates);
    if a.method.is_some() != b.method.is_some() {
        "it names a method"
    } else if a.headers.len() != b.headers.len() {
        "it has more header conditions"
    } else if a.query.len() != b.query.len() {
        "it has more query conditions"
    } else {
        first_come(winner, rule)
    }
}

/// Among rules that are equal in all else.
fn first_come(winner: &Rule, rule: &Rule) -> &'static str {
    if winner.source.created != rule.source.created {
        "it is older"
    } else if winner.source.object != rule.source.object {
        "its name is first in the alphabet"
    } else {
        "it is first in the object"
    }
}

fn loser(host: &HostPattern, rule: &Rule, reason: String) -> Loser {
    Loser {
        route: rule.source.object.to_string(),
        rule: rule.source.rule_index,
        match_index: rule.match_index,
        host: host.to_string(),
        path: rule.path.to_string(),
        reason,
    }
}
