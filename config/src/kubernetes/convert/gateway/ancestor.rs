//! Which Gateways lead to a Service: its ancestors, which the status of a BackendTLSPolicy names. Each route attaches its
//! Gateways to the Services behind it, so that nobody has to look through all routes for them.

use std::collections::BTreeSet;

use crate::{
    kubernetes::{
        convert::{Contribution, slot},
        object::Kind,
    },
    model::id::ObjectId,
    snapshot::OwnerId,
};

/// `contribution` of a route, with its Gateways attached to its Services. Those that get bytes which are TLS already
/// are left out: no policy is asked for these.
pub(super) fn noted(mut contribution: Contribution) -> Contribution {
    let gateways: BTreeSet<_> = contribution.attached.iter().map(|owner| owner.object.clone()).collect();
    let refs = contribution.clusters.iter().filter_map(slot::parse_cluster);
    let services: BTreeSet<_> = refs
        .filter(|cluster| cluster.variant.get("protocol") != Some(&"tls"))
        .map(|cluster| (cluster.namespace, cluster.name))
        .collect();
    for (namespace, name) in services {
        let service = ObjectId { kind: Kind::Service.shared(), namespace: namespace.into(), name: name.into() };
        for gateway in &gateways {
            let section = format!("{}/{}", gateway.namespace, gateway.name).into();
            contribution.attached.push(OwnerId { object: service.clone(), section });
        }
    }
    contribution
}

/// Namespace and name of the Gateway that a part of a Service's verdict stands for.
pub(in crate::kubernetes) fn gateway_of(section: &str) -> Option<(&str, &str)> {
    section.split_once('/')
}
