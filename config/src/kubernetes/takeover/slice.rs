//! The EndpointSlices that lead an adopted Service to the nodes that run Postern. The Service has none of its own once the
//! product's pods are gone; slices of several owners add up, so nothing of the Service need be changed.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use k8s_openapi::{
    api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice},
    apimachinery::pkg::apis::meta::v1::OwnerReference,
};
use kube::core::ObjectMeta;

use super::adoption::Adopted;

/// Who a slice is managed by: the controllers of Kubernetes leave those of others alone.
pub const MANAGED_BY: &str = "postern.dev";
/// The label that says so.
pub const MANAGED_BY_LABEL: &str = "endpointslice.kubernetes.io/managed-by";
/// The label that names the Service.
pub const SERVICE_LABEL: &str = "kubernetes.io/service-name";

/// A node that runs Postern.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    /// Its address.
    pub address: IpAddr,
    /// Its name: by it `externalTrafficPolicy: Local` is judged.
    pub node: String,
    /// Whether it takes new connections.
    pub ready: bool,
}

/// The members that the slices of a headless Service list. Of a node with two pods, one of which goes, the other counts.
pub fn members<'a>(slices: impl IntoIterator<Item = &'a EndpointSlice>) -> BTreeSet<Member> {
    let mut members: BTreeMap<IpAddr, Member> = BTreeMap::new();
    for endpoint in slices.into_iter().flat_map(|slice| &slice.endpoints) {
        let address = endpoint.addresses.first().and_then(|address| address.parse().ok());
        let (Some(address), Some(node)) = (address, endpoint.node_name.clone()) else { continue };
        let conditions = endpoint.conditions.as_ref();
        // A headless Service may publish what is not ready, and says then that everything is.
        let ready = conditions.and_then(|conditions| conditions.serving.or(conditions.ready)).unwrap_or(true);
        let ends = conditions.and_then(|conditions| conditions.terminating).unwrap_or(false);
        let member = members.entry(address).or_insert(Member { address, node, ready: false });
        member.ready |= ready && !ends;
    }
    members.into_values().collect()
}

/// The ports of `adopted` that lead somewhere: their names, and the ports that `bound` gives for entry points.
pub fn ports(adopted: &Adopted, bound: impl Fn(&str) -> Option<u16>) -> Vec<(String, u16)> {
    let port = |port: &super::adoption::AdoptedPort| {
        let point = port.leads_to.as_ref().ok()?;
        Some((port.name.clone(), bound(&point.name)?))
    };
    adopted.ports.iter().filter_map(port).collect()
}

/// The slices that should be there, one for each address family; none where nobody is ready, or nothing leads anywhere.
pub fn desired(adopted: &Adopted, members: &BTreeSet<Member>, ports: &[(String, u16)]) -> Vec<EndpointSlice> {
    let families = [("IPv4", "ipv4", false), ("IPv6", "ipv6", true)];
    let slice = |(family, suffix, six): (&str, &str, bool)| {
        let of_family = members.iter().filter(|member| member.ready && member.address.is_ipv6() == six);
        let endpoints: Vec<_> = of_family.map(endpoint).collect();
        (!endpoints.is_empty() && !ports.is_empty()).then(|| EndpointSlice {
            metadata: metadata(adopted, suffix),
            address_type: family.to_owned(),
            endpoints,
            ports: Some(ports.iter().map(port).collect()),
        })
    };
    families.into_iter().filter_map(slice).collect()
}

/// The names of all slices that there may be for a Service.
pub fn names(service: &str) -> [String; 2] {
    [name(service, "ipv4"), name(service, "ipv6")]
}

fn name(service: &str, suffix: &str) -> String {
    format!("postern-{service}-{suffix}")
}

fn metadata(adopted: &Adopted, suffix: &str) -> ObjectMeta {
    let labels = [(SERVICE_LABEL, adopted.name.as_str()), (MANAGED_BY_LABEL, MANAGED_BY)];
    let owner = OwnerReference {
        api_version: "v1".to_owned(),
        kind: "Service".to_owned(),
        name: adopted.name.clone(),
        uid: adopted.uid.clone(),
        ..OwnerReference::default()
    };
    ObjectMeta {
        name: Some(name(&adopted.name, suffix)),
        namespace: Some(adopted.namespace.clone()),
        labels: Some(labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into()),
        owner_references: Some(vec![owner]),
        ..ObjectMeta::default()
    }
}

fn endpoint(member: &Member) -> Endpoint {
    let conditions = EndpointConditions { ready: Some(true), serving: Some(true), terminating: Some(false) };
    Endpoint {
        addresses: vec![member.address.to_string()],
        conditions: Some(conditions),
        node_name: Some(member.node.clone()),
        ..Endpoint::default()
    }
}

fn port((name, port): &(String, u16)) -> EndpointPort {
    EndpointPort {
        name: Some(name.clone()),
        port: Some(i32::from(*port)),
        protocol: Some("TCP".to_owned()),
        ..EndpointPort::default()
    }
}

/// Whether `there` says what `wanted` does, as far as that is ours.
pub fn is_as(there: &EndpointSlice, wanted: &EndpointSlice) -> bool {
    let labels = |slice: &EndpointSlice| {
        let labels = slice.metadata.labels.clone().unwrap_or_default();
        [SERVICE_LABEL, MANAGED_BY_LABEL].map(|name| labels.get(name).cloned())
    };
    there.endpoints == wanted.endpoints
        && there.ports == wanted.ports
        && there.metadata.owner_references == wanted.metadata.owner_references
        && labels(there) == labels(wanted)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::kubernetes::{convert::Settings, takeover::adoption};

    fn adopted() -> Adopted {
        let service = json!({
            "metadata": {"name": "traefik", "namespace": "kube-system", "uid": "u1"},
            "spec": {"ports": [{"name": "web", "port": 80}, {"name": "websecure", "port": 443}, {"name": "ssh", "port": 22}]},
        });
        let points = Settings::for_files(jiff::Timestamp::UNIX_EPOCH).entry_points;
        adoption::adopt(&serde_json::from_value(service).expect("a Service"), &points)
    }

    fn slice(endpoints: Value) -> EndpointSlice {
        serde_json::from_value(json!({"addressType": "IPv4", "endpoints": endpoints})).expect("a slice")
    }

    #[test]
    fn nodes_that_are_ready_are_listed_by_family_and_with_their_names() {
        let going = json!({"ready": true, "serving": true, "terminating": true});
        let listed = slice(json!([
            {"addresses": ["192.0.2.1"], "nodeName": "a", "conditions": {"ready": true}},
            {"addresses": ["192.0.2.2"], "nodeName": "b", "conditions": going},
            {"addresses": ["192.0.2.2"], "nodeName": "b"},
            {"addresses": ["192.0.2.3"], "nodeName": "c", "conditions": {"ready": false}},
            {"addresses": ["192.0.2.4"], "nodeName": "d", "conditions": {"ready": true, "serving": false}},
            {"addresses": ["2001:db8::1"], "nodeName": "a"},
            {"addresses": ["192.0.2.9"]},
            {"addresses": ["nonsense"], "nodeName": "d"},
            {"addresses": [], "nodeName": "e"},
        ]));
        let bound = |point: &str| match point {
            "web" => Some(8080),
            "websecure" => Some(8443),
            _ => None,
        };
        let ports = ports(&adopted(), bound);
        assert_eq!(ports, [("web".to_owned(), 8080), ("websecure".to_owned(), 8443)]);
        let slices = desired(&adopted(), &members([&listed]), &ports);
        let shown = |slice: &EndpointSlice| {
            let endpoint = |endpoint: &Endpoint| {
                format!("{}@{}", endpoint.addresses.join(","), endpoint.node_name.as_deref().unwrap_or_default())
            };
            let endpoints: Vec<_> = slice.endpoints.iter().map(endpoint).collect();
            (slice.metadata.name.clone().unwrap_or_default(), endpoints.join(" "))
        };
        let shown: Vec<_> = slices.iter().map(shown).collect();
        assert_eq!(
            shown,
            [
                ("postern-traefik-ipv4".to_owned(), "192.0.2.1@a 192.0.2.2@b".to_owned()),
                ("postern-traefik-ipv6".to_owned(), "2001:db8::1@a".to_owned()),
            ]
        );
        assert_eq!(names("traefik").map(Some), [slices[0].metadata.name.clone(), slices[1].metadata.name.clone()]);
        assert_eq!(desired(&adopted(), &members([&slice(json!([]))]), &ports), [], "nobody is ready");
        assert_eq!(desired(&adopted(), &members([&listed]), &[]), [], "nothing leads anywhere");
    }

    #[test]
    fn what_the_server_adds_is_no_difference_and_what_others_change_is() {
        let member = Member { address: "192.0.2.1".parse().expect("an address"), node: "a".to_owned(), ready: true };
        let wanted = desired(&adopted(), &BTreeSet::from([member]), &[("web".to_owned(), 80)]).remove(0);
        let mut there = wanted.clone();
        there.metadata.resource_version = Some("7".to_owned());
        there.metadata.uid = Some("u2".to_owned());
        assert!(is_as(&there, &wanted));
        there.endpoints.clear();
        assert!(!is_as(&there, &wanted));
    }
}
