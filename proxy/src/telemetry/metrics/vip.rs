//! Virtual addresses: who owns them, and what goes over the wire for them. MetalLB's names are kept where it has one.

use postern_config::snapshot::Snapshot;
use postern_l2announce::{
    agent::{HandBack, Shown},
    election::State,
    heartbeat::Refusals,
};

use super::{exposition::Writer, family};

/// Everything of `shown`; whose the addresses are is said by `snapshot`.
pub(super) fn write(writer: &mut Writer, shown: &Shown, snapshot: &Snapshot) {
    announced(writer, shown, snapshot);
    let mut samples = writer.family(family::LAYER2_REQUESTS);
    for (address, counters) in &shown.counters {
        samples.count(&[&address.to_string()], counters.requests_received());
    }
    let mut samples = writer.family(family::LAYER2_RESPONSES);
    for (address, counters) in &shown.counters {
        samples.count(&[&address.to_string()], counters.responses_sent());
    }
    let mut samples = writer.family(family::LAYER2_GRATUITOUS);
    for (address, counters) in &shown.counters {
        samples.count(&[&address.to_string()], counters.gratuitous_sent());
    }
    let mut samples = writer.family(family::VIP_OWNER);
    for (address, known) in &shown.addresses {
        if let Some(owner) = &known.view.owner {
            samples.count(&[&address.to_string(), owner], 1);
        }
    }
    let mut samples = writer.family(family::VIP_EPOCH);
    for (address, known) in &shown.addresses {
        samples.count(&[&address.to_string()], known.view.epoch);
    }
    writer.family(family::VIP_PEERS).count(&[], shown.peers.len() as u64);
    writer.family(family::VIP_PAUSES).count(&[], shown.pauses);
    refusals(writer, &shown.refusals);
    hand_back(writer, &shown.hand_back);
}

fn hand_back(writer: &mut Writer, shown: &HandBack) {
    writer.family(family::VIP_FLOWS).count(&[], shown.flows as u64);
    writer.family(family::VIP_FLOWS_TOTAL).count(&[], shown.handed_back);
    writer.family(family::VIP_FLOWS_LATE).count(&[], shown.late);
    writer.family(family::VIP_FLOWS_FAILED).count(&[], shown.failures);
}

fn announced(writer: &mut Writer, shown: &Shown, snapshot: &Snapshot) {
    let mut samples = writer.family(family::SPEAKER_ANNOUNCED);
    for (address, announcement) in &snapshot.announcements {
        let known = shown.addresses.get(address);
        if !known.is_some_and(|known| matches!(known.view.state, State::Owned | State::Offered(_))) {
            continue;
        }
        for of in &announcement.of {
            let service = format!("{}/{}", of.namespace, of.name);
            samples.count(&[&service, "layer2", &shown.node, &address.to_string()], 1);
        }
    }
}

fn refusals(writer: &mut Writer, refusals: &Refusals) {
    let mut samples = writer.family(family::VIP_REFUSALS);
    for (reason, count) in [
        ("foreign", refusals.foreign),
        ("version", refusals.version),
        ("installation", refusals.installation),
        ("key", refusals.key),
        ("malformed", refusals.malformed),
        ("replayed", refusals.replayed),
        ("same_name", refusals.same_name),
        ("crowd", refusals.crowd),
    ] {
        samples.count(&[reason], count);
    }
}
