//! Wishes for addresses as MetalLB's annotations spell them, on whatever object they stand.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use super::{OLD_PREFIX, PREFIX, pool};
use crate::{
    allocation::Family,
    kubernetes::{
        convert::namespace,
        object::{Meta, metallb::IpAddressPool},
        view::View,
    },
    report::Finding,
};

pub(super) const ADDRESS_POOL: &str = "address-pool";
pub(super) const ADDRESSES: &str = "loadBalancerIPs";
pub(super) const SHARING_KEY: &str = "allow-shared-ip";

type Annotations = BTreeMap<Arc<str>, Arc<str>>;

/// Whether the annotation `name` is one of these.
pub fn is_wish(name: &str) -> bool {
    let rest = name.strip_prefix(PREFIX).or_else(|| name.strip_prefix(OLD_PREFIX));
    rest.is_some_and(|rest| [ADDRESS_POOL, ADDRESSES, SHARING_KEY].contains(&rest))
}

/// One of them, by its name after the prefix.
pub(super) fn annotation<'a>(annotations: &'a Annotations, name: &str) -> Option<&'a Arc<str>> {
    [PREFIX, OLD_PREFIX].into_iter().find_map(|prefix| annotations.get(format!("{prefix}{name}").as_str()))
}

/// What there is to say of each that is spelled as it once was; `field` is where it stands.
pub(super) fn deprecated(annotations: &Annotations, field: fn(&str) -> String) -> impl Iterator<Item = Finding> {
    annotations.keys().filter_map(move |name| {
        let rest = name.strip_prefix(OLD_PREFIX)?;
        let message = "this prefix is deprecated by MetalLB; it is read all the same";
        Some(Finding::warning(field(name), "DeprecatedAnnotation", message).remedy(format!("write {PREFIX}{rest}")))
    })
}

/// The addresses of a list.
pub(super) fn addresses(field: &str, list: &str) -> Result<Vec<IpAddr>, Finding> {
    let parsed = list.split(',').map(|text| text.trim().parse::<IpAddr>().map_err(|_| text.trim()));
    let parsed: Result<Vec<_>, _> = parsed.map(|address| address.map(|address| address.to_canonical())).collect();
    let refused = |message| Finding::refused(field, "LoadBalancerFailed", message);
    let addresses =
        parsed.map_err(|text| refused(format!("{text:?} is not an IP address")).remedy("write an address"))?;
    check_families(field, &addresses)?;
    Ok(addresses)
}

/// One of each family at most may be asked for.
pub(super) fn check_families(field: &str, addresses: &[IpAddr]) -> Result<(), Finding> {
    let families: BTreeSet<_> = addresses.iter().map(|address| Family::of(*address)).collect();
    if families.len() == addresses.len() {
        return Ok(());
    }
    let list = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let message = format!("{list} is more than one address of a family");
    Err(Finding::refused(field, "LoadBalancerFailed", message).remedy("ask for one IPv4 and one IPv6 address at most"))
}

/// The names of the pools with restrictions that let the object in.
pub(super) fn admitted_to(meta: &Meta, view: &View<'_>) -> BTreeSet<Arc<str>> {
    let labels = namespace::labels(view, &meta.namespace);
    let pools = view.all::<IpAddressPool>(None).filter(|pool| {
        let allocation = pool.body.spec.service_allocation.as_ref();
        allocation.is_some_and(|allocation| pool::admits(allocation, meta, &labels))
    });
    pools.map(|pool| pool.meta.name.clone()).collect()
}
