//! Beside another edge: what is bound and written, and what is not, as the other comes and goes.

use std::path::Path;

use serde_json::Value;

use super::{
    node::{ADDRESS, Node, own_address},
    support::control_plane::{Channel, ControlPlane, free_port},
    watch::{CLASSES, ingress, shop},
};

/// Traefik as its chart installs it, as far as Postern looks at it.
const TRAEFIK: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: edge}
---
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata:
  name: traefik
  annotations: {ingressclass.kubernetes.io/is-default-class: 'true'}
spec: {controller: traefik.io/ingress-controller}
---
apiVersion: v1
kind: Service
metadata: {name: traefik, namespace: edge, labels: {app.kubernetes.io/name: traefik}}
spec:
  type: LoadBalancer
  selector: {app.kubernetes.io/name: traefik, app.kubernetes.io/instance: traefik-edge}
  ports: [{name: web, port: 80, targetPort: web}, {name: websecure, port: 443, targetPort: websecure}]
";

const POD: &str = "
apiVersion: v1
kind: Pod
metadata:
  name: traefik-1
  namespace: edge
  labels: {app.kubernetes.io/name: traefik, app.kubernetes.io/instance: traefik-edge}
spec: {containers: [{name: traefik, image: traefik}]}
";

/// Starts and stops Traefik's pod: there is no kubelet to do so.
struct Traefik<'a>(&'a ControlPlane);

impl Traefik<'_> {
    fn start(&self) {
        self.0.apply(POD);
        self.status("pod", "traefik-1", r#"{"phase": "Running"}"#);
    }

    fn stop(&self) {
        let delete = ["delete", "pod", "traefik-1", "--namespace=edge", "--force", "--grace-period=0"];
        self.0.kubectl(&delete).expect("it was there");
    }

    fn address(&self, ip: &str) {
        let status = format!(r#"{{"loadBalancer": {{"ingress": [{{"ip": "{ip}"}}]}}}}"#);
        self.status("service", "traefik", &status);
    }

    fn status(&self, kind: &str, name: &str, status: &str) {
        let patch = format!(r#"{{"status": {status}}}"#);
        let words =
            ["patch", kind, name, "--namespace=edge", "--subresource=status", "--type=merge", "--patch", &patch];
        self.0.kubectl(&words).expect("it is there");
    }
}

fn start(cluster: &ControlPlane, cache: &Path, wish: &str) -> Node {
    Node::start_with(&cluster.kubeconfig(), cache, &[("POSTERN_TAKEOVER_TRAEFIK", wish)])
}

fn traefik_of(node: &Node) -> Value {
    let mut products = node.json("/api/v1/takeover")["products"].take();
    let products = products.as_array_mut().expect("a list");
    products.iter_mut().find(|product| product["key"] == "traefik").expect("all are there").take()
}

fn until_programmed(node: &Node) {
    node.until("objects in force", |node| {
        (node.json("/api/v1/overview")["objects"]["accepted"].as_u64() > Some(0)).then_some(())
    });
}

fn until_address(cluster: &ControlPlane, node: &Node, address: &str) {
    node.until(&format!("{address} in the status of an Ingress"), |_| {
        let ingress = cluster.get("ingress", "shop", "plain");
        (ingress["status"]["loadBalancer"]["ingress"][0]["ip"] == address).then_some(())
    });
}

fn is_ready(node: &Node) -> bool {
    node.admin("/readyz").starts_with("HTTP/1.1 200")
}

/// What tells that an object was changed, by whomsoever; Leases change by nature.
fn all(cluster: &ControlPlane) -> Vec<(String, Value)> {
    let kinds = "ingresses,ingressclasses,services,endpointslices,gatewayclasses,gateways,httproutes,secrets,configmaps,leases,events";
    let of = |object: Value| (object["metadata"]["uid"].to_string(), object["metadata"]["resourceVersion"].clone());
    cluster.list(kinds).into_iter().map(of).collect()
}

#[test]
#[ignore = "needs an API server: cargo xtask test kubernetes"]
fn beside_an_edge_that_runs_nothing_is_bound_or_written_and_what_would_be_served_is_told() {
    let Some(cluster) = ControlPlane::start() else { return };
    cluster.install_crds(Channel::Standard);
    let traefik = Traefik(&cluster);
    cluster.apply(TRAEFIK);
    traefik.start();
    cluster.apply(&format!("{}---{CLASSES}{}", shop("shop"), ingress("shop", "plain", "")));
    let before = all(&cluster);
    let cache = tempfile::tempdir().expect("a directory");
    let node = start(&cluster, cache.path(), "auto");
    until_programmed(&node);
    node.until("readiness, so that a rollout completes", |node| is_ready(node).then_some(()));

    let listeners = node.json("/api/v1/listeners");
    let bound = |listener: &Value| listener["bound"].as_array().is_some_and(|bound| !bound.is_empty());
    assert!(!listeners.as_array().expect("a list").iter().any(bound), "{listeners}");
    let ruling = traefik_of(&node);
    assert_eq!((&ruling["stance"], &ruling["refused"]), (&"observe".into(), &false.into()), "{ruling}");
    assert_eq!(ruling["running"][0], "edge/traefik-1", "{ruling}");
    let explained = node.admin("/api/v1/explain?url=http://plain.example.com/");
    assert!(explained.contains("shop/plain"), "what would be served is told: {explained}");

    // It never goes on to own by itself.
    traefik.stop();
    assert_eq!(traefik_of(&node)["stance"], "observe");
    drop(node);
    assert_eq!(all(&cluster), before, "nothing was written");
}

#[test]
#[ignore = "needs an API server: cargo xtask test kubernetes"]
fn a_wish_to_own_is_refused_while_the_other_runs_and_kept_to_over_a_restart_once_it_was_granted() {
    let Some(cluster) = ControlPlane::start() else { return };
    let traefik = Traefik(&cluster);
    cluster.apply(TRAEFIK);
    traefik.start();
    cluster.apply(&format!("{}{}", shop("shop"), ingress("shop", "plain", "")));
    let cache = tempfile::tempdir().expect("a directory");

    let node = start(&cluster, cache.path(), "own");
    until_programmed(&node);
    let why = node.admin("/readyz");
    assert!(why.starts_with("HTTP/1.1 503") && why.contains("Traefik runs (edge/traefik-1)"), "{why}");
    assert_eq!(node.status("plain.example.com"), None, "nothing is bound");
    assert_eq!(traefik_of(&node)["refused"], true);
    drop(node);

    traefik.stop();
    let node = start(&cluster, cache.path(), "own");
    node.until_status("plain.example.com", 200);
    node.until("readiness", |node| is_ready(node).then_some(()));
    until_address(&cluster, &node, ADDRESS);
    drop(node);

    // It is back, by accident; the node that is restarted goes on, and says so.
    traefik.start();
    let node = start(&cluster, cache.path(), "own");
    node.until_status("plain.example.com", 200);
    assert!(
        traefik_of(&node)["why"].as_str().is_some_and(|why| why.contains("goes on beside")),
        "{}",
        traefik_of(&node)
    );
    drop(node);

    // Told to go back, and asked again: the other runs.
    let node = start(&cluster, cache.path(), "observe");
    until_programmed(&node);
    assert_eq!(node.status("plain.example.com"), None);
    drop(node);
    let node = start(&cluster, cache.path(), "own");
    until_programmed(&node);
    assert_eq!(traefik_of(&node)["refused"], true);
}

#[test]
#[ignore = "needs an API server: cargo xtask test kubernetes"]
fn the_service_of_the_other_says_where_things_are_reached() {
    let Some(cluster) = ControlPlane::start() else { return };
    let traefik = Traefik(&cluster);
    cluster.apply(TRAEFIK);
    traefik.address("192.0.2.80");
    cluster.apply(&format!("{}{}", shop("shop"), ingress("shop", "plain", "")));
    let cache = tempfile::tempdir().expect("a directory");
    let unset = ("POSTERN_KUBERNETES_ADDRESSES", "");
    let node = Node::start_with(&cluster.kubeconfig(), cache.path(), &[("POSTERN_TAKEOVER_TRAEFIK", "own"), unset]);
    node.until_status("plain.example.com", 200);
    until_address(&cluster, &node, "192.0.2.80");
    let service = node.json("/api/v1/takeover")["service"].take();
    assert_eq!(service["addresses"][0], "192.0.2.80", "{service}");
    assert_eq!(
        [&service["ports"][0]["entryPoint"], &service["ports"][1]["entryPoint"]],
        ["web", "websecure"],
        "{service}"
    );
    traefik.address("192.0.2.81");
    until_address(&cluster, &node, "192.0.2.81");
    // Uninstalled: what is bound there may be reached all the same, and names must not be taken back.
    cluster.delete("service", "edge", "traefik");
    node.until("a line about it", |node| node.log().contains("the adopted Service has gone").then_some(()));
    until_address(&cluster, &node, "192.0.2.81");
}

/// The headless Service that selects Postern's pods, and two of these: one here, one that nobody reaches.
fn peers() -> String {
    format!(
        "
---
apiVersion: v1
kind: Service
metadata: {{name: postern-peers, namespace: default}}
spec: {{clusterIP: None, selector: {{app: postern}}, ports: [{{name: peers, port: 9443}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: postern-peers-1, namespace: default, labels: {{kubernetes.io/service-name: postern-peers}}}}
addressType: IPv4
endpoints:
- {{addresses: ['{}'], nodeName: here, conditions: {{ready: true}}}}
- {{addresses: ['192.0.2.200'], nodeName: away, conditions: {{ready: true}}}}
ports: [{{name: peers, port: 9443}}]
",
        own_address()
    )
}

fn slices(cluster: &ControlPlane) -> Vec<Value> {
    let is_ours =
        |slice: &Value| slice["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"] == "postern.dev";
    cluster.list("endpointslices").into_iter().filter(is_ours).collect()
}

#[test]
#[ignore = "needs an API server: cargo xtask test kubernetes"]
fn the_service_of_the_other_leads_to_the_nodes_that_answer_and_to_nobody_when_these_have_gone() {
    let Some(cluster) = ControlPlane::start() else { return };
    cluster.apply(&[TRAEFIK, &peers()].concat());
    let service = cluster.get("service", "edge", "traefik");
    let cache = tempfile::tempdir().expect("a directory");
    let [plain, tls] = [free_port(), free_port()];
    let ports = format!("80={plain},443={tls}");
    let variables = [
        ("POSTERN_TAKEOVER_TRAEFIK", "own"),
        ("POSTERN_PEERS_SERVICE", "postern-peers"),
        ("POSTERN_BIND", "0.0.0.0"),
        ("POSTERN_MAP_PORT", &ports),
    ];
    let mut node = Node::start_with(&cluster.kubeconfig(), cache.path(), &variables);
    let slice = node.until("a slice", |_| slices(&cluster).pop());
    let endpoints = slice["endpoints"].as_array().expect("a list");
    assert_eq!(endpoints.len(), 1, "{slice}");
    assert_eq!(endpoints[0]["addresses"][0], own_address().to_string(), "{slice}");
    assert_eq!(endpoints[0]["nodeName"], "here", "{slice}");
    assert_eq!(slice["metadata"]["labels"]["kubernetes.io/service-name"], "traefik", "{slice}");
    let port = |name: &str| {
        let ports = slice["ports"].as_array().expect("a list").iter();
        ports.filter(|port| port["name"] == name).map(|port| port["port"].clone()).collect::<Vec<_>>()
    };
    assert_eq!([port("web"), port("websecure")], [[plain], [tls]], "{slice}");

    // Somebody takes it away.
    cluster.delete("endpointslice", "edge", slice["metadata"]["name"].as_str().expect("a name"));
    node.until("the slice again", |_| slices(&cluster).pop());

    // Its pod is asked to go: what leads here goes first.
    cluster.apply(&peers().replace("conditions: {ready: true}", "conditions: {ready: false, terminating: true}"));
    node.until("no slice", |_| slices(&cluster).is_empty().then_some(()));
    cluster.apply(&peers());
    node.until("the slice once more", |_| slices(&cluster).pop());
    let ending = peers().replace("conditions: {ready: true}", "conditions: {ready: false, terminating: true}");
    cluster.apply(&ending);
    node.terminate();
    assert_eq!(slices(&cluster), Vec::<Value>::new(), "nothing leads to a Postern that has gone");
    let holder = cluster.get("lease", "default", "postern")["spec"]["holderIdentity"].clone();
    assert_eq!(holder, "", "the Lease is given back");
    assert_eq!(cluster.get("service", "edge", "traefik"), service, "the Service is as it was");
}

/// A command of the binary against the cluster: its exit code and what it printed.
fn command(cluster: &ControlPlane, cache: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_postern"));
    command.args(arguments).env_clear().env("KUBECONFIG", cluster.kubeconfig()).env("HOME", cache);
    let output = command.env("POSTERN_KUBERNETES_CACHE", cache).output().expect("the binary runs");
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    (output.status.code(), text)
}

/// Every object that somebody wrote, without its status and what the server counts.
fn written(cluster: &ControlPlane) -> Vec<Value> {
    let kinds = "services,endpointslices,ingresses,ingressclasses,gatewayclasses,gateways,httproutes,secrets,configmaps,\
                 customresourcedefinitions,namespaces,deployments,pods";
    let mut objects = cluster.list(kinds);
    for object in &mut objects {
        for (parent, field) in [("", "status"), ("/metadata", "resourceVersion"), ("/metadata", "managedFields")] {
            let fields = object.pointer_mut(parent).and_then(Value::as_object_mut);
            fields.and_then(|fields| fields.remove(field));
        }
    }
    objects.sort_by_key(|object| object["metadata"]["uid"].to_string());
    objects
}

/// As Traefik writes it, to an object that Postern has its own part in.
const FOREIGN: &str = r#"{"status": {"parents": [{"parentRef": {"name": "edge"}, "controllerName": "example.com/other",
    "conditions": [{"type": "Accepted", "status": "True", "reason": "Accepted", "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z"}]}]}}"#;

#[test]
#[ignore = "needs an API server: cargo xtask test kubernetes"]
fn there_and_back_changes_no_object_and_leaves_nothing_of_ours() {
    let Some(cluster) = ControlPlane::start() else { return };
    cluster.install_crds(Channel::Standard);
    let traefik = Traefik(&cluster);
    cluster.apply(&[TRAEFIK, &peers()].concat());
    traefik.start();
    traefik.address("192.0.2.80");
    cluster.apply(&format!("{}---{CLASSES}{}", shop("shop"), ingress("shop", "plain", "")));
    let patch =
        ["patch", "httproute", "moved", "--namespace=shop", "--subresource=status", "--type=merge", "--patch", FOREIGN];
    cluster.kubectl(&patch).expect("it is there");
    let cache = tempfile::tempdir().expect("a directory");
    let run = |arguments: &[&str]| command(&cluster, cache.path(), arguments);
    let before = written(&cluster);
    let everything = all(&cluster);

    let (code, plan) = run(&["takeover", "plan"]);
    assert_eq!(code, Some(0), "{plan}");
    for words in
        ["Traefik (edge/traefik-1)", "192.0.2.80", "set takeover.traefik: own", "way back:", "served as written"]
    {
        assert!(plan.contains(words), "{words}: {plan}");
    }
    let (code, json) = run(&["takeover", "plan", "--output", "json"]);
    let json: Value = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json}"));
    assert_eq!((code, &json["plans"][0]["product"]), (Some(0), &"traefik".into()), "{json}");
    assert_eq!(all(&cluster), everything, "a plan reads only");

    traefik.stop();
    let [plain, tls] = [free_port(), free_port()];
    let ports = format!("80={plain},443={tls}");
    let variables = [
        ("POSTERN_TAKEOVER_TRAEFIK", "own"),
        ("POSTERN_PEERS_SERVICE", "postern-peers"),
        ("POSTERN_BIND", "0.0.0.0"),
        ("POSTERN_MAP_PORT", &ports),
        ("POSTERN_KUBERNETES_ADDRESSES", ""),
    ];
    let mut node = Node::start_with(&cluster.kubeconfig(), cache.path(), &variables);
    node.until_status("plain.example.com", 200);
    until_address(&cluster, &node, "192.0.2.80");
    node.until("a slice", |_| slices(&cluster).pop());
    node.until("our part of a route's status", |_| {
        let route = cluster.get("httproute", "shop", "moved");
        (route["status"]["parents"].as_array()?.len() == 2).then_some(())
    });
    let (code, refused) = run(&["cleanup", "--cluster"]);
    assert!(code == Some(1) && refused.contains("holds the Lease"), "{refused}");
    node.terminate();

    traefik.start();
    let (code, dry) = run(&["cleanup", "--cluster", "--dry-run"]);
    assert!(code == Some(0) && dry.contains("would remove Lease postern"), "{dry}");
    let (code, done) = run(&["cleanup", "--cluster"]);
    assert_eq!((code, done.replace("removed", "would remove")), (Some(0), dry));
    assert_eq!(run(&["cleanup", "--cluster"]), (Some(0), String::new()), "a second time finds nothing");

    let pods = |objects: Vec<Value>| objects.into_iter().filter(|object| object["kind"] != "Pod").collect::<Vec<_>>();
    assert_eq!(pods(written(&cluster)), pods(before), "no object was changed, none was lost, none is left");
    let route = cluster.get("httproute", "shop", "moved");
    assert_eq!(route["status"]["parents"].as_array().map(Vec::len), Some(1), "{route}");
    assert_eq!(route["status"]["parents"][0]["controllerName"], "example.com/other", "{route}");
    assert!(!cluster.list("leases").iter().any(|lease| lease["metadata"]["name"] == "postern"));
}

#[test]
#[ignore = "needs an API server: cargo xtask test kubernetes"]
fn the_doctor_sees_what_would_break_and_what_is_not_allowed() {
    let Some(cluster) = ControlPlane::start() else { return };
    cluster.install_crds(Channel::Standard);
    cluster.apply(TRAEFIK);
    let cache = tempfile::tempdir().expect("a directory");
    let found = |kubeconfig: &Path| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_postern"));
        command
            .args(["doctor", "--output", "json"])
            .env_clear()
            .env("KUBECONFIG", kubeconfig)
            .env("HOME", cache.path());
        let output = command.env("POSTERN_TAKEOVER_SERVICE", "edge/traefik").output().expect("the binary runs");
        let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        (output.status.code(), found)
    };
    let outcomes = |found: &Value, check: &str| -> Vec<String> {
        let all = found["diagnoses"].as_array().expect("a list").iter();
        all.filter(|it| it["check"] == check).map(|it| it["outcome"].as_str().unwrap_or_default().to_owned()).collect()
    };
    let (_, all_good) = found(&cluster.kubeconfig());
    for check in ["clock", "rights", "host-ports", "network-policies", "crds", "kube-proxy"] {
        assert_eq!(outcomes(&all_good, check), ["good"], "{check}: {all_good}");
    }
    cluster.apply(&POD.replace("image: traefik", "image: traefik, ports: [{containerPort: 80, hostPort: 80}]"));
    cluster.apply(
        "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: edge}
spec: {podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {app.kubernetes.io/name: traefik}}}]}]}
",
    );
    let (code, bad) = found(&cluster.kubeconfig());
    assert_eq!(code, Some(1), "{bad}");
    for check in ["host-ports", "network-policies"] {
        assert_eq!(outcomes(&bad, check), ["breaks"], "{check}: {bad}");
    }
    let reader = cluster.user("reader", "[{apiGroups: [''], resources: [services], verbs: [get, list, watch]}]");
    let (code, refused) = found(&reader);
    assert_eq!(code, Some(1), "{refused}");
    let rights = outcomes(&refused, "rights");
    assert!(rights.len() > 30 && rights.iter().all(|outcome| outcome == "breaks"), "{refused}");
    assert_eq!(outcomes(&refused, "host-ports"), ["unknown"], "{refused}");
}
