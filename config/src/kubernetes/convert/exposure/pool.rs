//! `IPAddressPool` → a pool without ranges that an older one has.

use crate::{
    allocation::{Pool, Priority, Range},
    kubernetes::{
        convert::selector::{self, Labels},
        object::{
            Item, Meta,
            metallb::{IpAddressPool, ServiceAllocation},
        },
        view::View,
    },
    report::Finding,
};

/// The pool as it is written; ranges that are none are left out and told of.
pub(super) fn read(item: &Item<IpAddressPool>) -> (Pool, Vec<Finding>) {
    let spec = &item.body.spec;
    let mut findings = Vec::new();
    let mut ranges: Vec<Range> = Vec::new();
    for (index, text) in spec.addresses.iter().enumerate() {
        match Range::parse(text) {
            Ok(range) if ranges.iter().any(|known| known.overlaps(&range)) => {
                let message = format!("{text} overlaps another range of this pool, and is not given out");
                findings.push(refused(index, "OverlappingRange", message).remedy("take one of the two out"));
            }
            Ok(range) => ranges.push(range),
            Err(problem) => {
                let remedy = "write a prefix like 192.0.2.0/28 or a range like 192.0.2.10-192.0.2.20";
                findings.push(refused(index, "InvalidRange", problem.to_string()).remedy(remedy));
            }
        }
    }
    if spec.addresses.is_empty() {
        findings
            .push(Finding::refused("spec.addresses", "NoAddresses", "the pool has no addresses").remedy("add a range"));
    }
    let reserved = spec.service_allocation.as_ref().map(|allocation| Priority(allocation.priority));
    findings.extend(spec.service_allocation.iter().flat_map(selector_problems));
    let pool = Pool {
        name: item.meta.name.clone(),
        ranges,
        auto_assign: spec.auto_assign.unwrap_or(true),
        avoid_buggy: spec.avoid_buggy_ips,
        reserved,
    };
    (pool, findings)
}

fn refused(index: usize, reason: &'static str, message: String) -> Finding {
    Finding::refused(format!("spec.addresses[{index}]"), reason, message)
}

fn selector_problems(allocation: &ServiceAllocation) -> Vec<Finding> {
    let field = |name: &str, index: usize| format!("spec.serviceAllocation.{name}[{index}]");
    let of_list = |name: &'static str, selectors: &[_]| {
        let problem = |(index, wanted)| {
            Some(
                Finding::refused(field(name, index), "InvalidSelector", selector::problem(wanted)?)
                    .remedy("correct it"),
            )
        };
        selectors.iter().enumerate().filter_map(problem).collect::<Vec<_>>()
    };
    let namespaces = of_list("namespaceSelectors", &allocation.namespace_selectors);
    namespaces.into_iter().chain(of_list("serviceSelectors", &allocation.service_selectors)).collect()
}

/// The pool beside others: of two that overlap the older one has the addresses, and of two with one name the older is it.
pub(super) fn among_others(item: &Item<IpAddressPool>, view: &View<'_>) -> (Option<Pool>, Vec<Finding>) {
    let (mut pool, mut findings) = read(item);
    let elders: Vec<_> = view.all::<IpAddressPool>(None).filter(|other| standing(other) < standing(item)).collect();
    if let Some(twin) = elders.iter().find(|elder| elder.meta.name == item.meta.name) {
        let message = format!("namespace {} has an older pool of this name, which is the one", twin.meta.namespace);
        findings.push(Finding::refused("metadata.name", "DuplicatePool", message).remedy("give this one another name"));
        return (None, findings);
    }
    let elders: Vec<_> = elders.iter().map(|elder| read(elder).0).collect();
    pool.ranges.retain(|range| {
        let overlap = |elder: &&Pool| elder.ranges.iter().any(|other| other.overlaps(range));
        let Some(elder) = elders.iter().find(overlap) else { return true };
        let message = format!("{range} overlaps pool {}, which is older, and is not given out of this one", elder.name);
        findings.push(
            Finding::refused(field_of(item, range), "OverlappingRange", message)
                .remedy("take the addresses out of one of the two"),
        );
        false
    });
    (Some(pool), findings)
}

/// Who stands first where two pools want the same.
fn standing(item: &Item<IpAddressPool>) -> impl Ord + '_ {
    let meta = &item.meta;
    (meta.creation_timestamp.is_none(), meta.creation_timestamp, &meta.namespace, &meta.name)
}

fn field_of(item: &Item<IpAddressPool>, range: &Range) -> String {
    let written = item.body.spec.addresses.iter().position(|text| Range::parse(text).as_ref() == Ok(range));
    written.map_or_else(|| "spec.addresses".to_owned(), |index| format!("spec.addresses[{index}]"))
}

/// Whether the pool, if it is kept for some, is kept for this Service too. A selector that is wrong lets nobody in, and
/// neither does a selector of namespaces that none has the labels for.
pub(super) fn admits(allocation: &ServiceAllocation, service: &Meta, namespace: &Labels) -> bool {
    let fits = |wanted: &_, labels: &_| selector::problem(wanted).is_none() && selector::matches(wanted, labels);
    let everywhere = allocation.namespaces.is_empty() && allocation.namespace_selectors.is_empty();
    let in_namespace = everywhere
        || allocation.namespaces.contains(&service.namespace)
        || allocation.namespace_selectors.iter().any(|wanted| fits(wanted, namespace));
    let of_labels = allocation.service_selectors.is_empty()
        || allocation.service_selectors.iter().any(|wanted| fits(wanted, &service.labels));
    in_namespace && of_labels
}
