//! `postern takeover plan`: what replacing the products of a cluster takes, and what of their objects would be served
//! otherwise. Reads only.

use std::{
    fmt::{self, Display},
    time::Duration,
};

use jiff::Timestamp;
use postern_config::{
    kubernetes::takeover::{Product, Wish, plan::Plan},
    provider::kubernetes::takeover::{Takeover, survey},
    publish,
    report::Report,
};
use serde::Serialize;

use super::{
    GOOD, REFUSED,
    check::json,
    complain, print,
    serve::{control_runtime, text_pair},
    settings,
};
use crate::{
    args::{Output, TakeoverPlan},
    settings::{Said, Settings},
    view::takeover::{self, TakeoverView},
};

/// For everything to be listed.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is printed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Planned {
    /// Per product that is there.
    plans: Vec<Plan>,
    /// What could not be read.
    unread: Vec<String>,
    /// What Postern makes of the objects; absent where they could not be read in time.
    #[serde(skip_serializing_if = "Option::is_none")]
    objects: Option<TakeoverView>,
}

/// Plans; returns the exit code.
pub(super) fn run(asked: &TakeoverPlan) -> u8 {
    let variables = std::env::vars_os().filter_map(text_pair).collect();
    let settings = match settings(&Said { file: asked.config.clone(), variables, flags: Vec::new() }) {
        Ok(settings) => reading(settings),
        Err(code) => return code,
    };
    control_runtime(async {
        match planned(settings).await {
            Ok(planned) => {
                match asked.output {
                    Output::Text => print(&planned),
                    Output::Json => print(json(&planned)),
                }
                GOOD
            }
            Err(why) => complain([why], REFUSED),
        }
    })
}

/// Nothing is kept, and nothing written.
fn reading(mut settings: Settings) -> Settings {
    let cluster = &mut settings.cluster;
    cluster.watch = true;
    cluster.scope.cache = None;
    cluster.scope.writing = None;
    let edges = Product::ALL.into_iter().filter(|product| product.is_edge());
    cluster.scope.takeover.products = edges.map(|product| (product, Wish::Observe)).collect();
    settings
}

async fn planned(settings: Settings) -> Result<Planned, String> {
    let survey = survey().await.map_err(|error| error.to_string())?;
    let mut unread = survey.unread;
    let report = report(settings).await;
    let objects = match report {
        Ok((takeover, report)) => Some(takeover::of(&takeover, &report)),
        Err(why) => {
            unread.push(why);
            None
        }
    };
    Ok(Planned { plans: survey.plans, unread, objects })
}

async fn report(settings: Settings) -> Result<(Takeover, Report), String> {
    let scope = settings.cluster.scope.clone();
    let started = publish::start_cluster(scope, settings.for_compiler(Timestamp::now()), Timestamp::now);
    let mut publisher = started.map_err(|error| error.to_string())?;
    let first = tokio::time::timeout(PATIENCE, publisher.next()).await;
    let takeover = publisher.takeover().borrow().clone();
    match (first, takeover) {
        (Ok(Some(published)), Some(takeover)) => Ok(((*takeover).clone(), (*published.report).clone())),
        _ => Err(format!("objects: not listed within {} s", PATIENCE.as_secs())),
    }
}

impl Display for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.plans.is_empty() {
            writeln!(f, "No product that Postern replaces was found.")?;
        }
        self.plans.iter().try_for_each(|plan| show(f, plan))?;
        for why in &self.unread {
            writeln!(f, "could not be read: {why}")?;
        }
        self.objects.as_ref().map_or(Ok(()), |objects| show_objects(f, objects))
    }
}

fn show(f: &mut fmt::Formatter<'_>, plan: &Plan) -> fmt::Result {
    let running = if plan.remains.pods.is_empty() { "does not run".to_owned() } else { plan.remains.pods.join(", ") };
    writeln!(f, "{} ({running})", plan.name)?;
    for (at, step) in plan.steps.iter().enumerate() {
        writeln!(f, "  {}. {step}", at + 1)?;
    }
    writeln!(f, "  outage: {}", plan.outage)?;
    plan.way_back.iter().try_for_each(|step| writeln!(f, "  way back: {step}"))?;
    plan.losses.iter().try_for_each(|loss| writeln!(f, "  careful: {loss}"))?;
    writeln!(f)
}

fn show_objects(f: &mut fmt::Formatter<'_>, objects: &TakeoverView) -> fmt::Result {
    let TakeoverView { as_written, left_alone, differing, .. } = objects;
    writeln!(
        f,
        "{as_written} objects are served as written, {left_alone} belong to others, {} differ:",
        differing.len()
    )?;
    for object in differing {
        for finding in &object.findings {
            let remedy = if finding.remedy.is_empty() { String::new() } else { format!("; {}", finding.remedy) };
            writeln!(
                f,
                "  {} {}/{}: {}: {} {}{remedy} [{}]",
                object.kind,
                object.namespace,
                object.name,
                finding.severity,
                finding.field,
                finding.message,
                finding.reason
            )?;
        }
    }
    Ok(())
}
