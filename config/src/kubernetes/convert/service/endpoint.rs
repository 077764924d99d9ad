//! EndpointSlices → endpoints.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

use crate::{
    kubernetes::{
        convert::Settings,
        object::{
            Item,
            core::Protocol,
            discovery::{self, AddressType, EndpointSlice},
            service::Service,
        },
        view::View,
    },
    model::cluster::{Endpoint, EndpointAddress},
    report::Finding,
};

/// The endpoints behind the port called `port` (empty: the one without a name), sorted. Requests go to endpoints that
/// serve, and a terminating one is kept as draining; bytes (`http` is false) go to ready ones alone.
pub(super) fn of_service(
    view: &View<'_>,
    service: &Item<Service>,
    port: &str,
    http: bool,
    settings: &Settings,
) -> Vec<Endpoint> {
    let slices = view.endpoints(&service.meta.namespace, &service.meta.name);
    let preferred = service.body.spec.ip_families.first().copied().unwrap_or(AddressType::IPv4);
    let (first, second): (Vec<_>, Vec<_>) = slices.into_iter().partition(|slice| slice.body.address_type == preferred);
    let mut seen_pods = BTreeSet::new();
    let mut found = BTreeSet::new();
    for family in [first, second] {
        let mut pods = BTreeSet::new();
        for endpoint in family.iter().flat_map(|slice| of_slice(slice, port)) {
            let (endpoint, number) = endpoint;
            let pod = endpoint.target_ref.as_ref().map(|target| &*target.name).filter(|name| !name.is_empty());
            if pod.is_some_and(|pod| seen_pods.contains(pod)) {
                continue;
            }
            if let Some(usable) = usable(endpoint, number, http, settings) {
                pods.extend(pod);
                found.insert(usable);
            }
        }
        seen_pods.extend(pods);
    }
    one_per_address(found)
}

fn of_slice<'a>(slice: &'a Item<EndpointSlice>, port: &'a str) -> impl Iterator<Item = (&'a discovery::Endpoint, u16)> {
    let fits = move |entry: &&discovery::EndpointPort| *entry.name == *port && entry.protocol == Protocol::Tcp;
    let number = slice.body.ports.iter().find(fits).and_then(|entry| entry.port);
    let known = slice.body.address_type != AddressType::Fqdn;
    number.filter(|_| known).into_iter().flat_map(move |n| slice.body.endpoints.iter().map(move |entry| (entry, n)))
}

fn usable(endpoint: &discovery::Endpoint, port: u16, http: bool, settings: &Settings) -> Option<Endpoint> {
    let ready = endpoint.conditions.ready.unwrap_or(true);
    let serving = endpoint.conditions.serving.unwrap_or(ready);
    let address = endpoint.addresses.first()?.parse::<IpAddr>().ok()?;
    let takes_part = if http { serving } else { ready };
    (takes_part && problem(address, settings).is_none()).then(|| Endpoint {
        address: EndpointAddress::Socket(SocketAddr::new(address, port)),
        weight: 1,
        draining: endpoint.conditions.terminating.unwrap_or(false),
    })
}

/// During an update one endpoint may stand in two slices (Kubernetes, "Duplicate endpoints"); not draining wins.
fn one_per_address(found: BTreeSet<Endpoint>) -> Vec<Endpoint> {
    let mut endpoints: Vec<_> = found.into_iter().collect();
    endpoints.dedup_by(|second, first| second.address == first.address);
    endpoints
}

/// Why an address must not be a backend.
pub(super) fn problem(address: IpAddr, settings: &Settings) -> Option<&'static str> {
    let address = address.to_canonical();
    let link_local = match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local() || v6.segments() == [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254],
    };
    if link_local {
        Some("is a link-local address, where clouds keep their metadata services")
    } else if address.is_unspecified() || address.is_multicast() {
        Some("is not the address of a host")
    } else if address.is_loopback() && !settings.allow_loopback_endpoints {
        Some("is a loopback address")
    } else {
        None
    }
}

/// What is wrong with a slice by itself.
pub(super) fn judge(item: &Item<EndpointSlice>, settings: &Settings) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !item.meta.labels.contains_key(EndpointSlice::SERVICE_LABEL) {
        findings.push(Finding::warning(
            "metadata.labels",
            "NoService",
            format!("belongs to no Service: the label {} is missing", EndpointSlice::SERVICE_LABEL),
        ));
    }
    if item.body.address_type == AddressType::Fqdn {
        findings.push(
            Finding::refused("addressType", "UnsupportedAddressType", "FQDN is not carried")
                .remedy("use IPv4 or IPv6, or a Service of type ExternalName"),
        );
        return findings;
    }
    for (at, endpoint) in item.body.endpoints.iter().enumerate() {
        let field = || format!("endpoints[{at}].addresses[0]");
        let Some(text) = endpoint.addresses.first() else { continue };
        let problem = match text.parse::<IpAddr>() {
            Ok(address) => problem(address, settings),
            Err(_) => Some("is not an IP address"),
        };
        findings.extend(problem.map(|why| Finding::refused(field(), "InvalidAddress", format!("{text} {why}"))));
    }
    findings
}
