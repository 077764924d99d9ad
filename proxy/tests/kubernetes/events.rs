//! What `kubectl describe` says of objects that are refused, and when they are mended.

use serde_json::Value;

use super::{
    node::Node,
    support::control_plane::{Channel, ControlPlane},
    watch::{CLASSES, ingress, secret, shop},
};

/// Events about the Ingress `a`: type, reason and how often it happened.
fn events(cluster: &ControlPlane) -> Vec<(String, String, u64)> {
    let ours =
        |event: &Value| event["regarding"]["name"] == "a" && event["reportingController"] == "postern.dev/postern";
    let text = |event: &Value, field: &str| event[field].as_str().expect("text").to_owned();
    let events = cluster.list("events.events.k8s.io").into_iter().filter(ours);
    let times = |event: &Value| event["series"]["count"].as_u64().unwrap_or(1);
    let mut events: Vec<_> =
        events.map(|event| (text(&event, "type"), text(&event, "reason"), times(&event))).collect();
    events.sort();
    events
}

fn until_events(node: &Node, cluster: &ControlPlane, expected: &[(&str, &str, u64)]) {
    let expected: Vec<_> =
        expected.iter().map(|(kind, reason, times)| ((*kind).to_owned(), (*reason).to_owned(), *times)).collect();
    node.until(&format!("{expected:?}"), |_| (events(cluster) == expected).then_some(()));
}

#[test]
#[ignore = "needs an API server: cargo xtask test kubernetes"]
fn a_refusal_is_told_once_and_so_is_its_end_and_what_happens_again_is_counted() {
    let Some(cluster) = ControlPlane::start() else { return };
    let cache = tempfile::tempdir().expect("a directory");
    let start = || Node::start(&cluster.kubeconfig(), cache.path(), "");
    cluster.apply(&[shop("shop"), ingress("shop", "a", "a-tls"), ingress("shop", "b", "")].concat());
    let node = start();
    until_events(&node, &cluster, &[("Warning", "SecretNotFound", 1)]);
    let described = cluster.kubectl(&["describe", "ingress", "a", "--namespace=shop"]).expect("it is there");
    let told = described.lines().find(|line| line.contains("SecretNotFound")).expect("it is told");
    for part in
        ["Warning", "postern.dev/postern", "spec.tls[0].secretName", "shop/a-tls does not exist", "add the Secret"]
    {
        assert!(told.contains(part), "{part}: {described}");
    }
    let event = cluster.list("events.events.k8s.io").into_iter().find(|event| event["reason"] == "SecretNotFound");
    let event = event.expect("it is there");
    assert_eq!((&event["related"]["kind"], &event["related"]["name"]), (&"Secret".into(), &"a-tls".into()), "{event}");

    cluster.apply(&secret("shop", "a-tls", "a.example.com", "m1"));
    until_events(&node, &cluster, &[("Normal", "Accepted", 1), ("Warning", "SecretNotFound", 1)]);
    cluster.delete("secret", "shop", "a-tls");
    until_events(&node, &cluster, &[("Normal", "Accepted", 1), ("Warning", "SecretNotFound", 2)]);

    // Another process finds it told.
    drop(node);
    let before = events(&cluster);
    let node = start();
    node.until("another that writes", |node| node.log().contains("writes status from now on").then_some(()));
    node.until("an event that is known", |node| {
        node.admin("/metrics").contains("postern_kubernetes_events_total{outcome=\"known\"} 1").then_some(())
    });
    assert_eq!(events(&cluster), before);
    assert!(cluster.list("events.events.k8s.io").iter().all(|event| event["regarding"]["name"] != "b"));
}

const EDGE: &str = "
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: postern}
spec: {controllerName: postern.dev/gateway}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: a, namespace: shop}
spec:
  gatewayClassName: postern
  listeners:
  - {name: own, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: a-tls}]}}
  - {name: theirs, port: 8443, protocol: HTTPS, tls: {certificateRefs: [{name: cert, namespace: other}]}}
  - {name: one, port: 8080, protocol: HTTP}
  - {name: two, port: 8080, protocol: HTTPS, tls: {certificateRefs: [{name: a-tls}]}}
";

#[test]
#[ignore = "needs an API server: cargo xtask test kubernetes"]
fn garbage_conflicts_and_references_without_a_grant_come_out_as_condition_event_and_metric() {
    let Some(cluster) = ControlPlane::start() else { return };
    cluster.install_crds(Channel::Standard);
    let cache = tempfile::tempdir().expect("a directory");
    let objects = [shop("shop"), "---".to_owned(), shop("other"), secret("shop", "a-tls", "a.example.com", "m1")];
    cluster.apply(&[objects.concat(), secret("other", "cert", "a.example.com", "m2"), EDGE.to_owned()].concat());
    let node = Node::start(&cluster.kubeconfig(), cache.path(), "");
    until_events(&node, &cluster, &[("Warning", "ProtocolConflict", 1), ("Warning", "RefNotPermitted", 1)]);
    let listener = |name: &str, condition: &str| {
        let gateway = cluster.get("gateway", "shop", "a");
        let listeners = gateway["status"]["listeners"].as_array()?.clone();
        let listener = listeners.into_iter().find(|listener| listener["name"] == name)?;
        let conditions = listener["conditions"].as_array()?.clone();
        let found = conditions.into_iter().find(|found| found["type"] == condition)?;
        Some((found["status"].as_str()?.to_owned(), found["reason"].as_str()?.to_owned()))
    };
    let pair = |status: &str, reason: &str| Some((status.to_owned(), reason.to_owned()));
    node.until("conditions", |_| {
        let is = [listener("own", "Programmed"), listener("theirs", "ResolvedRefs"), listener("two", "Conflicted")];
        let wanted = [pair("True", "Programmed"), pair("False", "RefNotPermitted"), pair("True", "ProtocolConflict")];
        (is == wanted).then_some(())
    });

    let garbage = "{\"data\":{\"tls.crt\":\"Z2FyYmFnZQ==\"}}";
    cluster.kubectl(&["patch", "secret", "a-tls", "--namespace=shop", "--type=merge", "-p", garbage]).expect("taken");
    node.until("a listener without a certificate", |_| {
        (listener("own", "ResolvedRefs") == pair("False", "InvalidCertificateRef")).then_some(())
    });
    node.until("events about both", |_| {
        let events = cluster.list("events.events.k8s.io");
        let about = |kind: &str, reason: &str| {
            events.iter().any(|event| event["regarding"]["kind"] == kind && event["reason"] == reason)
        };
        (about("Secret", "InvalidCertificate") && about("Gateway", "InvalidCertificateRef")).then_some(())
    });
    let metrics = node.admin("/metrics");
    let metric = "postern_object_problems{kind=\"Secret\",severity=\"refused\",reason=\"InvalidCertificate\"} 1";
    assert!(metrics.contains(metric), "{metrics}");

    cluster.apply(&secret("shop", "a-tls", "a.example.com", "m3"));
    node.until("a certificate", |_| (listener("own", "ResolvedRefs") == pair("True", "ResolvedRefs")).then_some(()));
}

#[test]
#[ignore = "needs an API server: cargo xtask test kubernetes"]
fn without_the_right_to_write_events_that_is_said_once_and_everything_goes_on() {
    const RULES: &str = "[{apiGroups: ['*'], resources: ['*'], verbs: [get, list, watch]}, \
         {apiGroups: [networking.k8s.io], resources: [ingresses/status], verbs: [update]}, \
         {apiGroups: [coordination.k8s.io], resources: [leases], verbs: [create, update]}]";
    let Some(cluster) = ControlPlane::start() else { return };
    let cache = tempfile::tempdir().expect("a directory");
    cluster.apply(&[shop("shop"), ingress("shop", "a", "a-tls"), ingress("shop", "b", "b-tls")].concat());
    let node = Node::start(&cluster.user("writer", RULES), cache.path(), "");
    let said = "events cannot be written";
    node.until("that it may not", |node| node.log().contains(said).then_some(()));
    node.until_status("a.example.com", 200);
    cluster.apply(&ingress("shop", "c", "c-tls"));
    node.until("an Ingress with an address", |_| {
        let ingress = cluster.get("ingress", "shop", "c");
        ingress["status"]["loadBalancer"]["ingress"].is_array().then_some(())
    });
    assert_eq!(node.log().matches(said).count(), 1, "{}", node.log());
    assert!(events(&cluster).is_empty());
}

/// One route of `count`; every fifth leads to a Service that there is not.
fn route(at: usize) -> String {
    let service = if at.is_multiple_of(5) { "gone" } else { "web" };
    format!(
        r#"{{"apiVersion":"gateway.networking.k8s.io/v1","kind":"HTTPRoute","metadata":{{"name":"r{at}","namespace":"shop"}},
        "spec":{{"hostnames":["r{at}.example.com"],"parentRefs":[{{"name":"edge"}}],
        "rules":[{{"backendRefs":[{{"name":"{service}","port":80}}]}}]}}}}"#
    )
}

/// Sum of the samples of `metric`, whatever their labels.
fn sum(node: &Node, metric: &str) -> u64 {
    let metrics = node.admin("/metrics");
    let lines = metrics.lines().filter(|line| line.starts_with(metric));
    lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok()).sum()
}

#[test]
#[ignore = "needs an API server: cargo xtask test kubernetes"]
fn five_thousand_routes_of_which_a_thousand_are_broken_are_told_once_each_and_then_nothing_is_written() {
    const LONG: std::time::Duration = std::time::Duration::from_secs(300);
    let Some(cluster) = ControlPlane::start() else { return };
    cluster.install_crds(Channel::Standard);
    cluster.apply(&format!("{}---{CLASSES}", shop("shop")));
    std::thread::scope(|scope| {
        for part in 0..4 {
            let cluster = &cluster;
            scope.spawn(move || {
                let routes: Vec<_> = (0..5000).filter(|at| at % 4 == part).map(route).collect();
                routes.chunks(125).for_each(|some| cluster.create(&some.join("\n")));
            });
        }
    });
    let cache = tempfile::tempdir().expect("a directory");
    let node = Node::start(&cluster.kubeconfig(), cache.path(), "");
    let began = std::time::Instant::now();
    let written =
        |node: &Node| sum(node, "postern_kubernetes_status_writes_total{kind=\"HTTPRoute\",outcome=\"written\"}");
    let told = |node: &Node| sum(node, "postern_kubernetes_events_total{outcome=\"written\"}");
    node.until_within(LONG, "a status for each", |node| (written(node) >= 5001).then_some(()));
    let statuses = began.elapsed();
    node.until_within(LONG, "an event for each that is broken", |node| (told(node) >= 1000).then_some(()));
    let count = |node: &Node| {
        let all = sum(node, "postern_kubernetes_status_writes_total");
        (all, written(node), sum(node, "postern_kubernetes_events_total"), told(node))
    };
    let settled = count(&node);
    eprintln!(
        "status after {statuses:?}, events after {:?}; writes tried and done, events tried and done: {settled:?}",
        began.elapsed()
    );
    assert_eq!((settled.1, settled.3), (5001, 1000));
    // A change elsewhere comes through, and nothing is written but for it.
    cluster.apply(&ingress("shop", "last", ""));
    node.until("an Ingress with an address", |_| {
        let ingress = cluster.get("ingress", "shop", "last");
        ingress["status"]["loadBalancer"]["ingress"].is_array().then_some(())
    });
    assert_eq!(count(&node), (settled.0 + 1, settled.1, settled.2, settled.3));
    drop(node);
    let node = Node::start(&cluster.kubeconfig(), cache.path(), "");
    node.until_within(LONG, "that they are known", |node| {
        (sum(node, "postern_kubernetes_events_total{outcome=\"known\"}") >= 1000).then_some(())
    });
    assert_eq!(
        (sum(&node, "postern_kubernetes_status_writes_total"), told(&node)),
        (0, 0),
        "a new holder repeats nothing"
    );
}
