//! The entry points of a route: those that it names, or all of its class; with `tls` those that speak it.

use std::sync::Arc;

use crate::{
    kubernetes::convert::{EntryPoint, Settings},
    report::Finding,
    snapshot::Transport,
};

/// The entry points, and what is wrong with the names.
pub(super) fn points<'s>(
    settings: &'s Settings,
    class: Option<&str>,
    names: &[Arc<str>],
    tls: bool,
) -> (Vec<&'s EntryPoint>, Vec<Finding>) {
    let all = EntryPoint::of_class(&settings.entry_points, class);
    let known: Vec<_> = all.iter().map(|entry| &*entry.name).collect();
    let unknown = |(at, name): (usize, &Arc<str>)| {
        let message = format!("there is no entry point {name} for its class; there are {}", known.join(", "));
        (!known.contains(&&**name))
            .then(|| Finding::refused(format!("spec.entryPoints[{at}]"), "NoEntryPoint", message))
    };
    let mut findings: Vec<_> = names.iter().enumerate().filter_map(unknown).collect();
    let mut chosen = all;
    chosen.retain(|entry| names.is_empty() || names.contains(&entry.name));
    if tls && !chosen.is_empty() {
        chosen.retain(|entry| entry.transport == Transport::Tls);
        if chosen.is_empty() {
            let message = "asks for TLS, but none of its entry points speaks it; not served";
            findings.push(Finding::refused("spec.tls", "NoEntryPoint", message));
        }
    }
    (chosen, findings)
}
