//! An answer for people.

use std::fmt::{self, Display};

use super::{Answer, Outcome};
use crate::view::rule::{BackendView, OutcomeView, RuleView, StepView};

/// Shows an [`Answer`] as text.
#[derive(Debug)]
pub struct Text<'a>(pub &'a Answer);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let answer = self.0;
        let request = &answer.request;
        writeln!(f, "{} {} from {}", request.method, request.url, request.client)?;
        if !request.path.is_empty() {
            writeln!(f, "  host {}, path {}", or_none(&request.host), request.path)?;
        }
        if let Some(listener) = &answer.listener {
            writeln!(f, "  listener {} on {} ({})", listener.name, listener.socket, listener.transport)?;
        }
        if let Some(tls) = &answer.tls {
            let pattern = tls.pattern.as_deref().unwrap_or("none");
            let certificates = if tls.certificates.is_empty() { "default".into() } else { tls.certificates.join(", ") };
            writeln!(f, "  server name entry {pattern}, certificate {certificates}")?;
        }
        outcome(f, &answer.outcome)?;
        losers(f, answer)
    }
}

fn outcome(f: &mut fmt::Formatter<'_>, outcome: &Outcome) -> fmt::Result {
    match outcome {
        Outcome::Route(rule) => {
            writeln!(f, "\ntaken by")?;
            route(f, rule)
        }
        Outcome::Passthrough { owner, backends: all } => {
            writeln!(f, "\npassed through by\n  {owner}")?;
            backends(f, all)
        }
        Outcome::Refused { status: Some(status), reason } => writeln!(f, "\nrefused with {status}: {reason}"),
        Outcome::Refused { status: None, reason } => writeln!(f, "\nrefused: {reason}"),
    }
}

fn route(f: &mut fmt::Formatter<'_>, rule: &RuleView) -> fmt::Result {
    let name = rule.rule_name.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
    writeln!(f, "  {}, rule {}{name}, match {}", rule.route, rule.rule, rule.match_index)?;
    writeln!(f, "    host {}, path {}", rule.host, rule.path)?;
    if let Some(priority) = rule.priority {
        writeln!(f, "    priority {priority}")?;
    }
    for condition in &rule.conditions {
        writeln!(f, "    {condition}")?;
    }
    for step in &rule.steps {
        self::step(f, step)?;
    }
    match &rule.outcome {
        OutcomeView::Forward { backends: all } => backends(f, all),
        OutcomeView::Redirect { status } => writeln!(f, "    answers with a redirect ({status})"),
        OutcomeView::Closed { status, reason } => writeln!(f, "    closed with {status}: {reason}"),
    }
}

fn step(f: &mut fmt::Formatter<'_>, step: &StepView) -> fmt::Result {
    match (&step.middleware, &step.refused) {
        (None, _) => writeln!(f, "    filter {}", step.kind),
        (Some(id), None) => writeln!(f, "    middleware {id} ({})", step.kind),
        (Some(id), Some(reason)) => writeln!(f, "    middleware {id} closes the route with 503: {reason}"),
    }
}

fn backends(f: &mut fmt::Formatter<'_>, all: &[BackendView]) -> fmt::Result {
    if all.is_empty() {
        writeln!(f, "    to nowhere: it has no backend")?;
    }
    for backend in all {
        let cluster = backend.cluster.as_deref().unwrap_or("an invalid reference");
        write!(f, "    to {cluster} (weight {})", backend.weight)?;
        match &backend.refused {
            Some(reason) => writeln!(f, ": fails, {reason}")?,
            None if backend.endpoints.is_empty() => writeln!(f, ": no endpoints")?,
            None => {
                let endpoint = |endpoint: &crate::view::cluster::EndpointView| {
                    if endpoint.state == "ready" {
                        endpoint.address.clone()
                    } else {
                        format!("{} {}", endpoint.address, endpoint.state)
                    }
                };
                let endpoints: Vec<_> = backend.endpoints.iter().map(endpoint).collect();
                writeln!(f, ": {}", endpoints.join(", "))?;
            }
        }
    }
    Ok(())
}

fn losers(f: &mut fmt::Formatter<'_>, answer: &Answer) -> fmt::Result {
    if answer.losers.is_empty() {
        return Ok(());
    }
    writeln!(f, "\nnot taken")?;
    for loser in &answer.losers {
        writeln!(f, "  {}, rule {}, match {}", loser.route, loser.rule, loser.match_index)?;
        writeln!(f, "    host {}, path {}: {}", loser.host, loser.path, loser.reason)?;
    }
    if answer.losers_left_out > 0 {
        writeln!(f, "  and {} more", answer.losers_left_out)?;
    }
    Ok(())
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "none" } else { text }
}
