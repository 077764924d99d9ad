//! `postern doctor`: what would break on this node, and in its cluster, where Postern serves on the host's network.

use std::fmt::{self, Display};

use postern_config::{
    kubernetes::doctor::{Diagnosis, Outcome},
    provider::kubernetes::examine::{Question, examine},
};
use serde::Serialize;

use super::{
    GOOD, REFUSED,
    check::json,
    print,
    serve::{control_runtime, text_pair},
    settings,
};
use crate::{
    args::{Doctor, Output},
    doctor,
    settings::{Said, Settings},
};

/// Everything that was found, worst first.
#[derive(Debug, Serialize)]
struct Found {
    /// One per thing to know.
    diagnoses: Vec<Diagnosis>,
    /// Whether nothing breaks.
    good: bool,
}

/// Examines; returns the exit code: 1 when something would break.
pub(super) fn run(asked: &Doctor) -> u8 {
    let variables = std::env::vars_os().filter_map(text_pair).collect();
    let settings = match settings(&Said { file: asked.config.clone(), variables, flags: Vec::new() }) {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    let bound = bound(&settings);
    let mut diagnoses = doctor::examine(&bound);
    let scope = &settings.cluster.scope;
    let question = Question {
        node: asked.node.clone(),
        bound,
        namespaces: scope.namespaces.clone(),
        writes: scope.writing.is_some(),
        lease_namespace: scope.lease_namespace.clone(),
        service: scope.takeover.service.clone(),
    };
    control_runtime(async {
        match examine(&question).await {
            Ok(found) => diagnoses.extend(found),
            Err(error) => diagnoses.push(Diagnosis::unknown("api", error.to_string())),
        }
        diagnoses.sort_by_key(|diagnosis| diagnosis.outcome);
        let good = !diagnoses.iter().any(|diagnosis| diagnosis.outcome == Outcome::Breaks);
        let found = Found { diagnoses, good };
        match asked.output {
            Output::Text => print(&found),
            Output::Json => print(json(&found)),
        }
        if good { GOOD } else { REFUSED }
    })
}

/// The ports of the entry points as they are bound; those of Gateways come with their objects.
fn bound(settings: &Settings) -> Vec<u16> {
    let mapped = |port: u16| settings.port_map.iter().find(|(from, _)| *from == port).map_or(port, |(_, to)| *to);
    settings.entry_points.iter().map(|point| mapped(point.socket.port)).filter(|port| *port > 0).collect()
}

impl Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Diagnosis { check, outcome, message, remedy } in &self.diagnoses {
            let remedy = if remedy.is_empty() { String::new() } else { format!("; {remedy}") };
            writeln!(f, "{:8} {check}: {message}{remedy}", outcome.as_str())?;
        }
        Ok(())
    }
}
