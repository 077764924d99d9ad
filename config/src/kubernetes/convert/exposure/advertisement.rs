//! `L2Advertisement`: which pools, nodes and Services it is for. It is for pools of its own namespace only, so that one
//! namespace says nothing of another's addresses. (MetalLB reads one namespace at all.)

use std::sync::Arc;

use crate::{
    kubernetes::{
        convert::selector::{self, Labels},
        object::{
            Item,
            metallb::{IpAddressPool, L2Advertisement, L2AdvertisementSpec},
            selector::LabelSelector,
        },
        view::View,
    },
    report::Finding,
    snapshot::Interfaces,
};

/// What is wrong with it by itself.
pub(super) fn judge(item: &Item<L2Advertisement>, view: &View<'_>) -> Vec<Finding> {
    let spec = &item.body.spec;
    let mut findings: Vec<_> = selectors(spec).filter_map(|(field, wanted)| wrong_selector(&field, wanted)).collect();
    for (index, preferred) in spec.preferred_node_selectors.iter().enumerate() {
        if !(1..=100).contains(&preferred.weight) {
            let field = format!("spec.preferredNodeSelectors[{index}].weight");
            let message = format!("{} is not between 1 and 100, so the advertisement has no effect", preferred.weight);
            findings.push(Finding::refused(field, "InvalidWeight", message).remedy("write a weight from 1 to 100"));
        }
    }
    for (index, name) in spec.ip_address_pools.iter().enumerate() {
        if view.get::<IpAddressPool>(&item.meta.namespace, name).is_none() {
            let message = format!("there is no IPAddressPool {name} in namespace {}", item.meta.namespace);
            let finding = Finding::warning(format!("spec.ipAddressPools[{index}]"), "PoolNotFound", message);
            findings.push(finding.remedy("correct the name, or add the pool"));
        }
    }
    findings
}

fn wrong_selector(field: &str, wanted: &LabelSelector) -> Option<Finding> {
    let problem = selector::problem(wanted)?;
    let message = format!("{problem}, so the advertisement has no effect");
    Some(Finding::refused(field, "InvalidSelector", message).remedy("correct the selector"))
}

fn selectors(spec: &L2AdvertisementSpec) -> impl Iterator<Item = (String, &LabelSelector)> {
    let lists = [
        ("ipAddressPoolSelectors", &spec.ip_address_pool_selectors),
        ("nodeSelectors", &spec.node_selectors),
        ("serviceSelectors", &spec.service_selectors),
    ];
    let named = lists.into_iter().flat_map(|(name, list)| {
        list.iter().enumerate().map(move |(index, wanted)| (format!("spec.{name}[{index}]"), wanted))
    });
    let preferred = spec.preferred_node_selectors.iter().enumerate();
    named.chain(
        preferred.map(|(index, it)| (format!("spec.preferredNodeSelectors[{index}].preference"), &it.preference)),
    )
}

/// Those for the addresses of a pool that a Service (or a Gateway) with these labels has.
pub(super) fn for_labels<'a>(
    view: &View<'a>,
    pool: &Item<IpAddressPool>,
    service: &Labels,
) -> Vec<&'a Arc<Item<L2Advertisement>>> {
    let all = view.all::<L2Advertisement>(Some(&pool.meta.namespace));
    all.filter(|item| {
        let spec = &item.body.spec;
        is_valid(spec) && is_for_pool(spec, pool) && any(&spec.service_selectors, service)
    })
    .collect()
}

/// What is wrong in one place has no effect as a whole: less is announced than was meant, never more.
fn is_valid(spec: &L2AdvertisementSpec) -> bool {
    let weights = spec.preferred_node_selectors.iter().all(|preferred| (1..=100).contains(&preferred.weight));
    weights && selectors(spec).all(|(_, wanted)| selector::problem(wanted).is_none())
}

fn is_for_pool(spec: &L2AdvertisementSpec, pool: &Item<IpAddressPool>) -> bool {
    let (names, wanted) = (&spec.ip_address_pools, &spec.ip_address_pool_selectors);
    (names.is_empty() && wanted.is_empty())
        || names.contains(&pool.meta.name)
        || wanted.iter().any(|wanted| selector::matches(wanted, &pool.meta.labels))
}

/// Whether a node with these labels may announce by it.
pub(super) fn is_for_node(spec: &L2AdvertisementSpec, node: &Labels) -> bool {
    any(&spec.node_selectors, node)
}

/// What it says for a node that may.
pub(super) fn weight(spec: &L2AdvertisementSpec, node: &Labels) -> u32 {
    let fitting = spec.preferred_node_selectors.iter().filter(|it| selector::matches(&it.preference, node));
    fitting.map(|preferred| u32::from(preferred.weight)).sum()
}

/// Where it lets a node announce.
pub(super) fn interfaces(spec: &L2AdvertisementSpec) -> Interfaces {
    match spec.interfaces.as_slice() {
        [] => Interfaces::All,
        names => Interfaces::Named(names.iter().cloned().collect()),
    }
}

fn any(selectors: &[LabelSelector], labels: &Labels) -> bool {
    selectors.is_empty() || selectors.iter().any(|wanted| selector::matches(wanted, labels))
}
