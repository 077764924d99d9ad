//! A Service of type LoadBalancer → what addresses it wants.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use super::{
    ALLOCATED_FROM, Keeper, OWN_CLASS, PREFIX,
    wish::{self, ADDRESSES},
};
use crate::{
    allocation::{Claim, Families, Family, Port, Purpose, Sharing, Transport, Wish},
    kubernetes::{
        convert::{Settings, annotation::field, object_id},
        object::{
            Item, Meta,
            core::Protocol,
            discovery::AddressType,
            service::{ExternalTrafficPolicy, IpFamilyPolicy, Service, ServiceType},
        },
        view::View,
    },
    report::Finding,
};

/// What the Service wants, if it is ours to give; and what is wrong with how it says so.
pub(super) fn of(item: &Item<Service>, view: &View<'_>, settings: &Settings) -> (Option<Claim>, Vec<Finding>) {
    let Some(purpose) = purpose(&item.body, settings) else { return (None, Vec::new()) };
    let mut findings: Vec<_> = wish::deprecated(&item.meta.annotations, field).collect();
    let recorded = recorded(&item.body);
    let addresses = match asked(item) {
        Ok(addresses) => addresses,
        Err(finding) => {
            findings.push(finding);
            // What it has it keeps; anything else would be a guess.
            if recorded.is_empty() {
                return (None, findings);
            }
            Vec::new()
        }
    };
    let families = families(&item.body, &addresses, &recorded);
    let claim = Claim {
        of: object_id(item),
        created: item.meta.creation_timestamp,
        wish: Wish {
            addresses,
            pool: annotation(&item.meta, wish::ADDRESS_POOL).filter(|name| !name.is_empty()).cloned(),
        },
        families,
        purpose,
        ports: ports(&item.body),
        sharing: Sharing {
            key: annotation(&item.meta, wish::SHARING_KEY).filter(|key| !key.is_empty()).cloned(),
            backend: backend(&item.body),
        },
        admitted_to: wish::admitted_to(&item.meta, view),
        recorded,
        is_recorded: settings.addresses.keeper == Keeper::Cluster,
    };
    (Some(claim), findings)
}

/// Who takes what arrives for the Service; `None`: its addresses are somebody else's business, or it has none.
fn purpose(service: &Service, settings: &Settings) -> Option<Purpose> {
    let addresses = &settings.addresses;
    let class = service.spec.exposure.load_balancer_class.as_deref();
    let is_foreign = class == addresses.class.as_deref();
    match addresses.keeper {
        _ if service.spec.kind != ServiceType::LoadBalancer => None,
        Keeper::Other => None,
        // Nobody else is there who could.
        Keeper::Nobody if is_foreign => Some(Purpose::Served),
        _ if class == Some(OWN_CLASS) => Some(Purpose::Served),
        _ => is_foreign.then_some(Purpose::Foreign),
    }
}

fn annotation<'a>(meta: &'a Meta, name: &str) -> Option<&'a Arc<str>> {
    wish::annotation(&meta.annotations, name)
}

/// Whether the Service shares its address, or would.
pub(super) fn says_that_it_shares(meta: &Meta) -> bool {
    annotation(meta, wish::SHARING_KEY).is_some()
}

/// The pool that whoever gave the Service its addresses noted.
pub fn owner_annotation(meta: &Meta) -> Option<&Arc<str>> {
    meta.annotations.get(ALLOCATED_FROM)
}

fn recorded(service: &Service) -> Vec<IpAddr> {
    let points = service.status.load_balancer.ingress.iter();
    points.filter_map(|point| point.ip.as_ref()?.parse::<IpAddr>().ok()).map(|address| address.to_canonical()).collect()
}

/// The addresses that it asks for by value.
fn asked(item: &Item<Service>) -> Result<Vec<IpAddr>, Finding> {
    let by_annotation = annotation(&item.meta, ADDRESSES).filter(|list| !list.is_empty());
    let by_field = &item.body.spec.exposure.load_balancer_ip;
    let (field, list) = match (by_annotation, by_field) {
        (None, None) => return Ok(Vec::new()),
        (Some(_), Some(_)) => {
            let message = format!("the annotation {PREFIX}{ADDRESSES} asks for addresses too");
            return Err(
                Finding::refused("spec.loadBalancerIP", "LoadBalancerFailed", message).remedy("keep one of the two")
            );
        }
        (Some(list), None) => (field(&format!("{PREFIX}{ADDRESSES}")), list),
        (None, Some(address)) => ("spec.loadBalancerIP".to_owned(), address),
    };
    wish::addresses(&field, list)
}

/// What its addresses inside the cluster say, else its `ipFamilies`, else what it asks for or has: an API server fills in
/// the first, and a file may have none of it.
fn families(service: &Service, asked: &[IpAddr], recorded: &[IpAddr]) -> Families {
    let exposure = &service.spec.exposure;
    let of = |addresses: &[IpAddr]| addresses.iter().map(|address| Family::of(*address)).collect::<Vec<_>>();
    let inside: Vec<IpAddr> = exposure.cluster_ips.iter().filter_map(|text| text.parse().ok()).collect();
    let written = service.spec.ip_families.iter().filter_map(|family| match family {
        AddressType::IPv4 => Some(Family::V4),
        AddressType::IPv6 => Some(Family::V6),
        AddressType::Fqdn => None,
    });
    let known = [of(&inside), written.collect(), of(asked), of(recorded)];
    let known = known.into_iter().find(|families| !families.is_empty()).unwrap_or_else(|| vec![Family::V4]);
    let first = known.first().copied().unwrap_or(Family::V4);
    let is_from_cluster = !inside.is_empty();
    match exposure.ip_family_policy {
        IpFamilyPolicy::RequireDualStack => Families::Both(first),
        // The cluster has one family alone.
        IpFamilyPolicy::PreferDualStack if is_from_cluster && known.len() < 2 => Families::One(first),
        IpFamilyPolicy::PreferDualStack => Families::Prefer(first),
        IpFamilyPolicy::SingleStack if known.len() > 1 => Families::Both(first),
        IpFamilyPolicy::SingleStack => Families::One(first),
    }
}

fn ports(service: &Service) -> BTreeSet<Port> {
    let port = |port: &crate::kubernetes::object::service::ServicePort| Port {
        transport: match port.protocol {
            Protocol::Tcp => Transport::Tcp,
            Protocol::Udp => Transport::Udp,
            Protocol::Sctp => Transport::Sctp,
        },
        number: port.port,
    };
    service.spec.ports.iter().map(port).collect()
}

/// Where a node leads by itself, as text that is the same for the same pods; nothing where it leads to every node.
fn backend(service: &Service) -> Arc<str> {
    if service.spec.exposure.external_traffic_policy == ExternalTrafficPolicy::Cluster {
        return Arc::default();
    }
    let labels: Vec<_> = service.spec.selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
    labels.join(",").into()
}
