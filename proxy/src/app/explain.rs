//! `postern explain`: from manifests at hand, or from a running Postern.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use postern_config::publish::load_once;

use super::{
    GOOD, REFUSED, USAGE,
    ask::{self, Whom},
    check::json,
    complain, print,
    serve::text_pair,
    settings,
};
use crate::{
    args::{self, Output},
    explain::{Answer, Outcome, Question, explain, text::Text},
    settings::Said,
    view::cluster::Health,
};

/// Explains; returns the exit code: 1 when the request would be refused.
pub(super) fn run(asked: &args::Explain) -> u8 {
    let question = match Question::parse(&asked.method, &asked.url, &asked.headers, asked.from) {
        Ok(question) => question,
        Err(wrong) => return complain([wrong], USAGE),
    };
    let answer = match &asked.manifests {
        Some(directory) => offline(asked, directory, &question),
        None => {
            ask::get(Whom::of(asked.admin.as_deref(), None), &target(asked)).map_err(|why| complain([why], REFUSED))
        }
    };
    let answer = match answer {
        Ok(answer) => answer,
        Err(code) => return code,
    };
    match asked.output {
        Output::Text => print(Text(&answer)),
        Output::Json => print(json(&answer)),
    }
    if matches!(answer.outcome, Outcome::Refused { .. }) { REFUSED } else { GOOD }
}

fn offline(asked: &args::Explain, directory: &std::path::Path, question: &Question) -> Result<Answer, u8> {
    let variables = std::env::vars_os().filter_map(text_pair).collect();
    let settings = settings(&Said { file: asked.config.clone(), variables, flags: Vec::new() })?;
    let published = load_once(directory, settings.for_compiler(jiff::Timestamp::now()))
        .map_err(|error| complain([error], REFUSED))?;
    Ok(explain(question, &published.snapshot, &settings, &Health::default()))
}

fn target(asked: &args::Explain) -> String {
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let mut target = format!("/api/v1/explain?method={}&url={}", encode(&asked.method), encode(&asked.url));
    target.push_str(&format!("&from={}", encode(&asked.from.to_string())));
    for header in &asked.headers {
        target.push_str(&format!("&header={}", encode(header)));
    }
    target
}
