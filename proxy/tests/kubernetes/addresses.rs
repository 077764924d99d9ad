//! Services of type LoadBalancer, whose addresses the holder of the Lease gives and the cluster keeps.

use serde_json::Value;

use super::{node::Node, support::control_plane::ControlPlane};

/// MetalLB's annotations.
const FROM: &str = "metallb.io/ip-allocated-from-pool";

fn pool(name: &str, range: &str) -> String {
    format!(
        "
---
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {{name: {name}, namespace: metallb-system}}
spec: {{addresses: [{range}]}}
"
    )
}

fn service(name: &str, annotations: &str, port: u16) -> String {
    format!(
        "
---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: shop, annotations: {{{annotations}}}}}
spec: {{type: LoadBalancer, selector: {{app: {name}}}, ports: [{{port: {port}}}]}}
"
    )
}

/// A control plane with the kinds, an advertisement, and `objects`.
fn cluster(objects: &str) -> Option<ControlPlane> {
    let cluster = ControlPlane::start()?;
    cluster.install_metallb_crds();
    let namespaces = "
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Namespace
metadata: {name: metallb-system}
---
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: {name: all, namespace: metallb-system}
";
    cluster.apply(&format!("{namespaces}{objects}"));
    Some(cluster)
}

fn start(cluster: &ControlPlane, cache: &tempfile::TempDir) -> Node {
    Node::start(&cluster.kubeconfig(), cache.path(), "")
}

fn address(cluster: &ControlPlane, name: &str) -> Option<String> {
    let service = cluster.get("service", "shop", name);
    Some(service["status"]["loadBalancer"]["ingress"][0]["ip"].as_str()?.to_owned())
}

fn until_address(node: &Node, cluster: &ControlPlane, name: &str, wanted: &str) {
    let what = format!("{wanted} for {name}");
    node.until(&what, |_| (address(cluster, name).as_deref() == Some(wanted)).then_some(()));
}

fn until_event(node: &Node, cluster: &ControlPlane, about: &str, reason: &str) -> Value {
    node.until(&format!("{reason} of {about}"), |_| {
        let mut events = cluster.list("events.events.k8s.io").into_iter();
        events.find(|event| event["regarding"]["name"] == about && event["reason"] == reason)
    })
}

#[test]
#[ignore = "needs an API server: cargo xtask test kubernetes"]
fn a_service_gets_its_address_and_keeps_it_over_a_restart() {
    let objects = pool("home", "192.0.2.10-192.0.2.12") + &service("a", "", 80);
    let Some(cluster) = cluster(&objects) else { return };
    let cache = tempfile::tempdir().expect("a directory");
    let node = start(&cluster, &cache);
    until_address(&node, &cluster, "a", "192.0.2.10");
    let shown = cluster.get("service", "shop", "a");
    assert_eq!(shown["metadata"]["annotations"][FROM], "home", "{shown}");
    assert_eq!(shown["status"]["loadBalancer"]["ingress"][0]["ipMode"], "VIP", "{shown}");
    let event = until_event(&node, &cluster, "a", "IPAllocated");
    assert_eq!((&event["type"], &event["note"]), (&"Normal".into(), &"Assigned IP 192.0.2.10 of pool home".into()));
    let counts = |cluster: &ControlPlane| {
        let status = cluster.get("ipaddresspools.metallb.io", "metallb-system", "home")["status"].clone();
        ["assignedIPv4", "availableIPv4", "assignedIPv6", "availableIPv6"].map(|field| status[field].as_i64())
    };
    node.until("the pool's counts", |_| (counts(&cluster) == [Some(1), Some(2), Some(0), Some(0)]).then_some(()));

    let objects = [("service", "shop", "a"), ("ipaddresspools.metallb.io", "metallb-system", "home")];
    let versions = || {
        objects.map(|(kind, namespace, name)| {
            cluster.get(kind, namespace, name)["metadata"]["resourceVersion"].as_str().map(str::to_owned)
        })
    };
    let before = versions();
    drop(node);
    let node = start(&cluster, &cache);
    node.until("another that writes", |node| node.log().contains("writes status from now on").then_some(()));
    // An object that does have to be written comes after all that were there.
    cluster.apply(&service("b", "", 80));
    until_address(&node, &cluster, "b", "192.0.2.11");
    assert_eq!(versions()[0], before[0], "nothing changed, so there was nothing to write");
    let metrics = node.admin("/metrics");
    let written =
        metrics.lines().filter(|line| line.contains("status") && line.contains("Service")).collect::<Vec<_>>();
    assert!(written.iter().any(|line| line.contains("outcome=\"written\"") && line.ends_with(" 1")), "{written:?}");
}

#[test]
#[ignore = "needs an API server: cargo xtask test kubernetes"]
fn services_share_by_key_are_told_of_what_stands_against_them_and_move_with_their_pool() {
    let shared = "metallb.io/allow-shared-ip: key, metallb.io/loadBalancerIPs: 192.0.2.10";
    let objects = pool("home", "192.0.2.10/32") + &service("a", shared, 80) + &service("b", shared, 443);
    let Some(cluster) = cluster(&objects) else { return };
    let cache = tempfile::tempdir().expect("a directory");
    let node = start(&cluster, &cache);
    until_address(&node, &cluster, "a", "192.0.2.10");
    until_address(&node, &cluster, "b", "192.0.2.10");

    cluster.apply(&service("c", "", 80));
    let event = until_event(&node, &cluster, "c", "AllocationFailed");
    let note = event["note"].as_str().expect("text");
    for part in ["pool home", "1 of 1 IPv4 addresses are in use", "metallb.io/allow-shared-ip"] {
        assert!(note.contains(part), "{part}: {note}");
    }
    assert_eq!(address(&cluster, "c"), None);

    cluster.apply(&pool("late", "192.0.2.0/24"));
    until_event(&node, &cluster, "late", "OverlappingRange");
    assert_eq!(address(&cluster, "a").as_deref(), Some("192.0.2.10"), "the older pool has it");

    // Who asked for nothing goes where the pool goes; who asked for an address that is gone has none.
    cluster.delete("ipaddresspools.metallb.io", "metallb-system", "late");
    cluster.apply(&pool("home", "198.51.100.0/30"));
    until_address(&node, &cluster, "c", "198.51.100.0");
    node.until("no address for a", |_| address(&cluster, "a").is_none().then_some(()));
    cluster.apply(&pool("home", "203.0.113.0/30"));
    until_address(&node, &cluster, "c", "203.0.113.0");

    let to_inside = "{\"spec\":{\"type\":\"ClusterIP\"}}";
    cluster.kubectl(&["patch", "service", "c", "--namespace=shop", "--type=merge", "-p", to_inside]).expect("taken");
    node.until("nothing left of it", |_| {
        let service = cluster.get("service", "shop", "c");
        let is_clear = service["metadata"]["annotations"].get(FROM).is_none();
        (is_clear && service["status"]["loadBalancer"].get("ingress").is_none()).then_some(())
    });
}

#[test]
#[ignore = "needs an API server: cargo xtask test kubernetes"]
fn beside_metallb_nothing_is_given_out() {
    let objects = pool("home", "192.0.2.10/32") + &service("a", "", 80);
    let Some(cluster) = cluster(&objects) else { return };
    let cache = tempfile::tempdir().expect("a directory");
    let observes = [("POSTERN_TAKEOVER_METALLB", "observe")];
    let node = Node::start_with(&cluster.kubeconfig(), cache.path(), &observes);
    node.until("a holder", |node| node.log().contains("writes status from now on").then_some(()));
    let class = "
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: postern}
spec: {controller: postern.dev/ingress}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: a, namespace: shop}
spec: {ingressClassName: postern, rules: [{host: a.example.com, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: a, port: {number: 80}}}}]}}]}
";
    // What comes later is written, so what was there has been looked at.
    cluster.apply(class);
    node.until("a status", |_| {
        cluster.get("ingress", "shop", "a")["status"]["loadBalancer"]["ingress"][0]["ip"].as_str().map(drop)
    });
    assert_eq!(address(&cluster, "a"), None);
    let pool = cluster.get("ipaddresspools.metallb.io", "metallb-system", "home");
    assert!(pool["status"].get("assignedIPv4").is_none(), "{pool}");
}
