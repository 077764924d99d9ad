//! `Service` and `IPAddressPool`: the record of who has which address.

use std::collections::BTreeMap;

use postern_config::kubernetes::{
    convert::exposure::{ALLOCATED_FROM, Keeper},
    object::Kind,
    status::{self, fingerprint, merge},
};
use serde_json::{Value, json};

use crate::world::world_with;

const POOLS: &str = "
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: home, namespace: infra}
spec: {addresses: [192.0.2.0/30, '2001:db8::/32'], avoidBuggyIPs: true}
---
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: home, namespace: other}
spec: {addresses: [10.0.0.0/24]}
---
";

fn service(rest: &str) -> String {
    format!("{POOLS}apiVersion: v1\nkind: Service\nmetadata: {{name: edge, namespace: infra}}\n{rest}")
}

/// What the Service is made to show where it shows `status`; `None`: nothing is written.
fn written(service: &str, status: &Value, annotation: Option<&str>) -> Option<Value> {
    let world = world_with(service, |settings| settings.addresses.keeper = Keeper::Cluster);
    let desired = world.desired(Kind::Service, "infra/edge")?;
    let mut annotations = annotation.map(|pool| BTreeMap::from([(ALLOCATED_FROM.to_owned(), pool.to_owned())]));
    let mut status = status.clone();
    let shown = status::shown(Kind::Service, annotations.as_ref(), &status);
    let wanted = merge(&shown, &desired, "2026-06-01T00:00:00Z".parse().unwrap());
    assert_eq!(
        wanted.is_none(),
        fingerprint(Kind::Service, &shown, &[]) == desired.fingerprint(),
        "the fingerprint says whether there is anything to write"
    );
    status::put(Kind::Service, &mut annotations, &mut status, wanted?);
    Some(json!({"status": status, "pool": annotations.and_then(|all| all.get(ALLOCATED_FROM).cloned())}))
}

#[test]
fn a_service_shows_its_addresses_and_their_pool() {
    let ours = "spec: {type: LoadBalancer, clusterIPs: [10.96.0.1], ports: [{port: 80}]}";
    let given = json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}});
    let wanted = json!({"status": given, "pool": "home"});
    assert_eq!(written(&service(ours), &json!({}), None), Some(wanted.clone()));
    // What the API server fills in is no difference, and a missing annotation is one.
    let filled_in = json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.1", "ipMode": "VIP"}]}});
    assert_eq!(written(&service(ours), &filled_in, Some("home")), None);
    assert!(written(&service(ours), &filled_in, None).is_some());
    let conditions = json!({"loadBalancer": {}, "conditions": [{"type": "example.com/Audited"}]});
    let mut kept = wanted;
    kept["status"]["conditions"] = conditions["conditions"].clone();
    assert_eq!(written(&service(ours), &conditions, Some("old")), Some(kept), "others' parts stay");
}

#[test]
fn what_postern_serves_is_of_mode_proxy() {
    let own = "spec: {type: LoadBalancer, loadBalancerClass: postern.dev/proxy, clusterIPs: [10.96.0.1], ports: [{port: 80}]}";
    let point = json!({"ip": "192.0.2.1", "ipMode": "Proxy"});
    let wanted = json!({"status": {"loadBalancer": {"ingress": [point]}}, "pool": "home"});
    assert_eq!(written(&service(own), &json!({}), None), Some(wanted.clone()));
    assert_eq!(written(&service(own), &wanted["status"], Some("home")), None);
}

#[test]
fn what_is_not_to_be_had_any_more_is_taken_back() {
    let given = json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.1", "ipMode": "VIP"}]}});
    let nothing = Some(json!({"status": {"loadBalancer": {}}, "pool": null}));
    let refused =
        "spec: {type: LoadBalancer, loadBalancerIP: 198.51.100.1, clusterIPs: [10.96.0.1], ports: [{port: 80}]}";
    assert_eq!(written(&service(refused), &given, Some("home")), nothing);
    let inside = "spec: {clusterIPs: [10.96.0.1], ports: [{port: 80}]}";
    let noted =
        service(inside).replace("name: edge,", "name: edge, annotations: {metallb.io/ip-allocated-from-pool: home},");
    assert_eq!(written(&noted, &given, Some("home")), nothing, "it is of another type now");
    assert_eq!(written(&service(inside), &given, None), None, "somebody else gave it that");
}

#[test]
fn what_is_not_ours_to_give_is_left_alone() {
    let given = json!({"loadBalancer": {"ingress": [{"ip": "203.0.113.9"}]}});
    let other =
        "spec: {type: LoadBalancer, loadBalancerClass: example.com/lb, clusterIPs: [10.96.0.1], ports: [{port: 80}]}";
    assert_eq!(written(&service(other), &given, None), None);
    let ours = "spec: {type: LoadBalancer, clusterIPs: [10.96.0.1], ports: [{port: 80}]}";
    let without_pools = service(ours).replace(POOLS, "");
    assert_eq!(written(&without_pools, &given, Some("home")), None, "pools that nobody sees take nothing away");
    let observed = world_with(&service(ours), |settings| settings.addresses.keeper = Keeper::Other);
    assert_eq!(observed.desired(Kind::Service, "infra/edge"), None);
    assert_eq!(observed.desired(Kind::IpAddressPool, "infra/home"), None);
}

#[test]
fn a_pool_shows_how_much_of_it_is_in_use() {
    let ours = "spec: {type: LoadBalancer, clusterIPs: [10.96.0.1, 'fd00::1'], ports: [{port: 80}]}";
    let world = world_with(&service(ours), |settings| settings.addresses.keeper = Keeper::Cluster);
    let desired = world.desired(Kind::IpAddressPool, "infra/home").expect("it has a status");
    let counts = json!({"assignedIPv4": 1, "assignedIPv6": 1, "availableIPv4": 2, "availableIPv6": i64::MAX});
    assert_eq!(merge(&Value::Null, &desired, "2026-06-01T00:00:00Z".parse().unwrap()), Some(counts));
    assert_eq!(world.desired(Kind::IpAddressPool, "other/home"), None, "another has its name");
}
