//! Services of type LoadBalancer, whose addresses the holder of the Lease gives and the cluster keeps.

use serde_json::Value;

use super::{
    node::{ADDRESS, Node},
    support::control_plane::{Channel, ControlPlane},
};

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

    // It has no endpoint: that is said once it has lasted.
    node.until("what stands against it", |_| {
        let conditions = cluster.get("service", "shop", "a")["status"]["conditions"].take();
        let conditions = conditions.as_array().cloned().unwrap_or_default();
        let told = conditions.into_iter().find(|condition| condition["type"] == "postern.dev/Announced")?;
        (told["status"] == "False" && told["reason"] == "NotAnnounced").then_some(())
    });

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

fn gateway(name: &str, annotations: &str, spec: &str) -> String {
    format!(
        "
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: {name}, namespace: shop, annotations: {{{annotations}}}}}
spec: {{gatewayClassName: postern, listeners: [{{name: http, port: 80, protocol: HTTP}}]{spec}}}
"
    )
}

/// What a Gateway shows: its address, and status and reason of `Programmed`.
fn reached(cluster: &ControlPlane, name: &str) -> [Option<String>; 3] {
    let status = cluster.get("gateway", "shop", name)["status"].clone();
    let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
    let programmed = conditions.iter().find(|condition| condition["type"] == "Programmed").cloned().unwrap_or_default();
    [&status["addresses"][0]["value"], &programmed["status"], &programmed["reason"]]
        .map(|value| value.as_str().map(str::to_owned))
}

fn until_reached(node: &Node, cluster: &ControlPlane, name: &str, wanted: [Option<&str>; 3]) {
    let what = format!("{wanted:?} of {name}");
    node.until(&what, |_| (reached(cluster, name).each_ref().map(Option::as_deref) == wanted).then_some(()));
}

fn listens_at(node: &Node, address: &str) -> bool {
    let listeners = node.json("/api/v1/listeners");
    listeners.as_array().expect("a list").iter().any(|listener| listener.to_string().contains(address))
}

#[test]
#[ignore = "needs an API server: cargo xtask test kubernetes"]
fn a_gateway_gets_an_address_of_its_own_and_keeps_it_over_a_restart() {
    let (by_pool, good) = ("metallb.io/address-pool: gates", [Some("True"), Some("Programmed")]);
    let infrastructure = ", infrastructure: {annotations: {metallb.io/address-pool: gates}}";
    let Some(cluster) = ControlPlane::start() else { return };
    cluster.install_crds(Channel::Standard);
    let objects = "
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Namespace
metadata: {name: metallb-system}
---
apiVersion: v1
kind: Node
metadata: {name: one}
---
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: {name: all, namespace: metallb-system}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: postern}
spec: {controllerName: postern.dev/gateway}
";
    cluster.apply(&format!("{objects}{}{}", pool("gates", "192.0.2.20-192.0.2.21"), gateway("a", by_pool, "")));
    let cache = tempfile::tempdir().expect("a directory");
    let node = start(&cluster, &cache);
    until_reached(&node, &cluster, "a", [Some("192.0.2.20"), good[0], good[1]]);
    assert!(listens_at(&node, "192.0.2.20"), "{}", node.json("/api/v1/listeners"));
    until_event(&node, &cluster, "a", "IPAllocated");
    cluster.apply(&gateway("b", "", infrastructure));
    until_reached(&node, &cluster, "b", [Some("192.0.2.21"), good[0], good[1]]);
    cluster.apply(&gateway("shared", "", ""));
    until_reached(&node, &cluster, "shared", [Some(ADDRESS), good[0], good[1]]);

    let metrics = node.admin("/metrics");
    let sample = |name: &str| format!("metallb_allocator_{name}{{pool=\"gates\"}} 2");
    for name in ["addresses_in_use_total", "ipv4_addresses_total", "services_allocated_total"] {
        assert!(metrics.contains(&sample(name)), "{name}: {metrics}");
    }

    let objects = ["a", "b", "shared"];
    let versions = || objects.map(|name| cluster.get("gateway", "shop", name)["metadata"]["resourceVersion"].clone());
    let before = versions();
    drop(node);
    // A Service that Postern does not serve shares with nobody; a Gateway could.
    cluster.apply(&service("late", by_pool, 25));
    let node = start(&cluster, &cache);
    until_event(&node, &cluster, "late", "AllocationFailed");
    let nowhere = "metallb.io/loadBalancerIPs: 203.0.113.9";
    cluster.apply(&gateway("nowhere", nowhere, ""));
    until_reached(&node, &cluster, "nowhere", [None, Some("False"), Some("AddressNotUsable")]);
    assert_eq!(versions(), before, "nothing changed, so there was nothing to write");
    assert!(listens_at(&node, "192.0.2.20") && listens_at(&node, "192.0.2.21"), "{}", node.json("/api/v1/listeners"));

    // All addresses are in use by somebody who is not Postern.
    for name in objects {
        cluster.delete("gateway", "shop", name);
    }
    until_address(&node, &cluster, "late", "192.0.2.20");
    cluster.apply(&service("later", by_pool, 25));
    until_address(&node, &cluster, "later", "192.0.2.21");
    cluster.apply(&gateway("exhausted", by_pool, ""));
    until_reached(&node, &cluster, "exhausted", [None, Some("False"), Some("AddressNotAssigned")]);
    let conditions = cluster.get("gateway", "shop", "exhausted")["status"]["conditions"].to_string();
    for part in ["pool gates: 2 of 2 IPv4 addresses are in use", "metallb.io/allow-shared-ip"] {
        assert!(conditions.contains(part), "{part}: {conditions}");
    }
    assert!(!listens_at(&node, "192.0.2.20"), "{}", node.json("/api/v1/listeners"));

    cluster.delete("service", "shop", "late");
    until_reached(&node, &cluster, "exhausted", [Some("192.0.2.20"), good[0], good[1]]);
}
