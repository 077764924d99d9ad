//! What stands against an announcement, and who announces, in words.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use super::{
    account::{Cause, Rival},
    verdict::{Address, NOT_ANNOUNCED, Told},
};
use crate::{
    kubernetes::{
        event::{Event, MOST_BYTES, Notice},
        status::{said, shortened_to},
    },
    report::{Finding, Severity},
};

/// What MetalLB calls an event about an announcement that did not come about.
const FAILED: &str = "announceFailed";
/// What MetalLB calls one about who announces.
const ASSIGNED: &str = "nodeAssigned";
/// Ours, for an address that goes from one node to another.
const MOVED: &str = "AddressMoved";
/// Nodes and addresses that are named in one message.
const MOST_NAMES: usize = 8;

/// Somebody else answers for an address.
pub(super) fn rival(of: &Address, rival: Rival, field: &str, pool: &str) -> Finding {
    let (address, mac) = (of.address, rival.mac);
    let meanwhile = match of.owners.keys().next() {
        Some(node) => format!("and so does node {node}: clients reach one or the other"),
        None => "so no node announces it".to_owned(),
    };
    if rival.with_installation {
        let message = format!(
            "{mac} answers for {address}, {meanwhile}; another Postern installation is heard on the segment: two clusters announce the same address"
        );
        return Finding::refused(field, "AnnouncedTwice", message)
            .remedy(format!("give the clusters pools without addresses in common: take {address} out of one of them"));
    }
    let message = format!("{mac} on the segment answers for {address}, {meanwhile}");
    Finding::refused(field, "AddressConflict", message).remedy(format!(
        "take the address from the device with that MAC, or take it out of IPAddressPool {pool} (see also the range of the DHCP server)"
    ))
}

/// Nodes that cannot announce an address, if any cannot because of `cause`: refused where nobody does.
pub(super) fn hindered(of: &Address, cause: Cause, field: &str) -> Option<Finding> {
    let nodes = of.hindered(cause);
    if nodes.is_empty() {
        return None;
    }
    let (reason, remedy) = of_cause(cause);
    let each: Vec<_> = nodes.iter().take(MOST_NAMES).map(|(node, why)| format!("node {node}: {why}")).collect();
    let more = nodes.len().checked_sub(MOST_NAMES).filter(|more| *more > 0);
    let more = more.map(|more| format!(", and {more} more")).unwrap_or_default();
    let (severity, what) = match of.owners.is_empty() {
        true => (Severity::Refused, "no node announces"),
        false => (Severity::Warning, "not every candidate can announce"),
    };
    let message = format!("{what} {}: {}{more}", of.address, each.join(" | "));
    let finding = match severity {
        Severity::Refused => Finding::refused(field, reason, message),
        _ => Finding::warning(field, reason, message),
    };
    Some(finding.remedy(remedy))
}

/// The reason and the way out.
fn of_cause(cause: Cause) -> (&'static str, &'static str) {
    match cause {
        Cause::Capability => (
            "MissingCapability",
            "give Postern's container NET_RAW and NET_ADMIN in securityContext.capabilities.add (the chart does), and see that no admission policy takes them away",
        ),
        Cause::Missing => (
            "InterfaceNotFound",
            "name interfaces that the nodes have in spec.interfaces of the L2Advertisement, or select other nodes by nodeSelectors",
        ),
        Cause::Down => {
            ("InterfaceDown", "set the interface up (see cable and switch), or let the L2Advertisement use another")
        }
        Cause::Interface => (
            "NoInterface",
            "give a node an interface in the address's subnet that may announce, see spec.interfaces of the L2Advertisement and vips.exclude, or use a pool of a subnet that they have",
        ),
        Cause::Other => (NOT_ANNOUNCED, "`postern vip` on the node says more"),
    }
}

/// Nobody announces it, and nobody says why.
pub(super) fn nobody(of: &Address, field: &str) -> Finding {
    let silent: Vec<_> = of.silent.iter().cloned().collect();
    let message = match silent.is_empty() {
        true => format!("no node announces {} at the moment", of.address),
        false => format!("no node announces {}; not heard of: {}", of.address, names(&silent)),
    };
    Finding::refused(field, NOT_ANNOUNCED, message)
        .remedy("see that Postern runs on these nodes with the role announce; `postern vip` on a node says more")
}

/// No candidate has its subnet, and it is announced all the same.
pub(super) fn outside(of: &Address, field: &str) -> Finding {
    let message = format!(
        "no interface of the nodes that may announce {} has a subnet with it in it, so hosts there ask for it only if they are told to",
        of.address
    );
    Finding::warning(field, "SubnetNotFound", message).remedy("route it to the segment, or use addresses of its subnet")
}

/// Of a pool: these of its addresses are in no subnet of `nodes`.
pub(super) fn no_subnet(addresses: &[IpAddr], nodes: &BTreeSet<Arc<str>>) -> Finding {
    let shown: Vec<Arc<str>> = addresses.iter().map(|address| address.to_string().into()).collect();
    let nodes: Vec<_> = nodes.iter().cloned().collect();
    let message = format!(
        "{} in use, and no interface of the nodes that may announce them ({}) has a subnet with them in it: they are announced on all, and hosts there ask for them only if they are told to",
        names(&shown),
        names(&nodes)
    );
    Finding::warning("spec.addresses", "SubnetNotFound", message).remedy(
        "correct the range, or route it to the segment, or let an L2Advertisement select nodes that have the subnet",
    )
}

fn names(all: &[Arc<str>]) -> String {
    let mut text = all.iter().take(MOST_NAMES).map(|name| &**name).collect::<Vec<_>>().join(", ");
    if let Some(more) = all.len().checked_sub(MOST_NAMES).filter(|more| *more > 0) {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

/// What events tell of what stands against an announcement: all that is refused in the word of MetalLB, and of a pool
/// everything. What the verdict of the object says too is told with that.
pub fn notices(told: &Told, of_pool: bool) -> Arc<[Notice]> {
    let own = |finding: &&Finding| {
        let is_of_verdict = finding.reason == NOT_ANNOUNCED && !finding.field.starts_with("status.");
        !is_of_verdict && (of_pool || finding.severity == Severity::Refused)
    };
    let mut by_reason: BTreeMap<&'static str, Vec<&Finding>> = BTreeMap::new();
    for finding in told.findings.iter().filter(own) {
        by_reason.entry(finding.reason).or_default().push(finding);
    }
    let notice = |(reason, findings): (&'static str, Vec<&Finding>)| {
        let text = said(&findings);
        let (reason, text) = if of_pool { (reason, text) } else { (FAILED, format!("{reason}: {text}")) };
        Notice { reason, note: shortened_to(text, MOST_BYTES), related: None }
    };
    by_reason.into_iter().map(notice).collect()
}

/// What is to be told once, when `before` has become `after`.
pub fn events(before: &Told, after: &Told) -> Vec<Event> {
    let new = || after.owners.keys().filter(|node| !before.owners.contains_key(*node));
    let assigned = |node: &Arc<str>| Event::Done {
        reason: ASSIGNED,
        note: format!("announcing from node {node:?} with protocol \"layer2\""),
    };
    let mut events: Vec<_> = new().map(assigned).collect();
    let mut gone = before.owners.keys().filter(|node| !after.owners.contains_key(*node));
    if let (Some(from), Some(to)) = (gone.next(), new().next()) {
        let note = format!("Its addresses moved from node {from} to node {to}");
        events.push(Event::Done { reason: MOVED, note });
    }
    events
}
