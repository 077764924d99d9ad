//! What is counted of a cluster's API, as samples. Counted by `postern_config::provider::kubernetes`, read at a scrape.

use postern_config::provider::kubernetes::{EventOutcome, FollowState, Tally};

use super::{collect::seconds, exposition::Writer, family};

pub(super) fn write(writer: &mut Writer, tally: &Tally) {
    requests(writer, tally);
    watches(writer, tally);
    let mut fetches = writer.family(family::KUBERNETES_FETCHES);
    for ((kind, outcome), count) in &tally.fetches {
        fetches.count(&[kind.as_str(), outcome.as_str()], *count);
    }
    let mut statuses = writer.family(family::KUBERNETES_STATUS);
    for ((kind, outcome), count) in &tally.status {
        statuses.count(&[kind.as_str(), outcome.as_str()], *count);
    }
    let mut events = writer.family(family::KUBERNETES_EVENTS);
    for outcome in EventOutcome::ALL {
        events.count(&[outcome.as_str()], tally.events.get(outcome).copied().unwrap_or(0));
    }
    writer.family(family::OTHER_INSTALLATIONS).count(&[], tally.others);
    writer.family(family::KUBERNETES_LEASE).count(&[], u64::from(tally.holds_lease));
    writer.family(family::KUBERNETES_TRANSITIONS).count(&[], tally.lease_transitions);
}

fn requests(writer: &mut Writer, tally: &Tally) {
    if let Some(at) = tally.last_contact {
        writer.family(family::KUBERNETES_CONTACT).sample(&[], seconds(at));
    }
    let mut errors = writer.family(family::KUBERNETES_ERRORS);
    for (code, count) in &tally.errors {
        errors.count(&[&code.to_string()], *count);
    }
    if let Some(skew) = tally.clock_skew {
        writer.family(family::KUBERNETES_SKEW).sample(&[], skew);
    }
}

fn watches(writer: &mut Writer, tally: &Tally) {
    let mut states = writer.family(family::KUBERNETES_WATCH);
    for ((kind, namespace), follow) in &tally.follows {
        for state in FollowState::ALL {
            states.count(&[kind.as_str(), namespace, state.as_str()], u64::from(follow.state == *state));
        }
    }
    let mut restarts = writer.family(family::KUBERNETES_RESTARTS);
    for ((kind, namespace), follow) in &tally.follows {
        restarts.count(&[kind.as_str(), namespace], follow.restarts);
    }
    let mut trouble = writer.family(family::KUBERNETES_TROUBLE);
    for ((kind, namespace), follow) in &tally.follows {
        if let Some(at) = follow.last_error {
            trouble.sample(&[kind.as_str(), namespace], seconds(at));
        }
    }
}
