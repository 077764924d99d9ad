//! What a node makes of a cluster: its objects as they come and go, outages, missing kinds and missing rights.

use std::path::Path;

use super::{
    node::{Node, backend},
    support::control_plane::{Channel, ControlPlane},
};

pub(crate) const CLASSES: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: postern}
spec: {controllerName: postern.dev/gateway}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop}
spec: {gatewayClassName: postern, listeners: [{name: http, port: 80, protocol: HTTP}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: moved, namespace: shop}
spec:
  hostnames: [moved.example.com]
  parentRefs: [{name: edge}]
  rules: [{filters: [{type: RequestRedirect, requestRedirect: {hostname: new.example.com, statusCode: 302}}]}]
";

/// A namespace with a Service that has a backend.
pub(crate) fn shop(namespace: &str) -> String {
    let backend = backend();
    format!(
        "
apiVersion: v1
kind: Namespace
metadata: {{name: {namespace}}}
---
apiVersion: v1
kind: Service
metadata: {{name: web, namespace: {namespace}}}
spec: {{ports: [{{name: http, port: 80}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: web-1, namespace: {namespace}, labels: {{kubernetes.io/service-name: web}}}}
addressType: IPv4
endpoints: [{{addresses: ['{}'], conditions: {{ready: true}}}}]
ports: [{{name: http, port: {}}}]
",
        backend.ip(),
        backend.port()
    )
}

/// An Ingress for one host, with a certificate if `secret` is not empty.
pub(crate) fn ingress(namespace: &str, name: &str, secret: &str) -> String {
    let tls = if secret.is_empty() { "[]".to_owned() } else { format!("[{{secretName: {secret}}}]") };
    format!(
        "
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  tls: {tls}
  rules:
  - host: {name}.example.com
    http:
      paths:
      - {{path: /, pathType: Prefix, backend: {{service: {{name: web, port: {{number: 80}}}}}}}}
"
    )
}

/// A Secret with a certificate for `host` and `mark`.
pub(crate) fn secret(namespace: &str, name: &str, host: &str, mark: &str) -> String {
    let made = rcgen::generate_simple_self_signed([host.to_owned(), mark.to_owned()]).expect("a certificate");
    let indented = |pem: String| pem.lines().map(|line| format!("    {line}\n")).collect::<String>();
    format!(
        "
---
apiVersion: v1
kind: Secret
metadata: {{name: {name}, namespace: {namespace}}}
type: kubernetes.io/tls
stringData:
  tls.crt: |
{}  tls.key: |
{}",
        indented(made.cert.pem()),
        indented(made.signing_key.serialize_pem())
    )
}

fn until_certificate(node: &Node, mark: &str, is_there: bool) {
    let what = format!("a certificate for {mark}: {is_there}");
    node.until(&what, |node| (node.admin("/api/v1/certificates").contains(mark) == is_there).then_some(()));
}

/// Starts the API server while `node`, which serves, and `empty`, which has nothing to serve yet, are asked: the one
/// goes on, the other serves everything or nothing.
fn start_under_load(cluster: &ControlPlane, node: &Node, empty: &Node) {
    let pair = |node: &Node| [node.status("a.example.com"), node.status("moved.example.com")];
    std::thread::scope(|scope| {
        let starting = scope.spawn(|| cluster.start_api_server());
        let mut done = false;
        while !done {
            // Once more when it is ready.
            done = starting.is_finished();
            assert_eq!(pair(node), [Some(200), Some(302)], "{}", node.log());
            let fresh = pair(empty);
            let is_fine = |(status, good): (Option<u16>, u16)| status.is_none_or(|status| status == good);
            assert!(fresh.into_iter().zip([200, 302]).all(is_fine), "{fresh:?} {}", empty.log());
        }
    });
    assert_eq!([empty.first_status("a.example.com"), empty.first_status("moved.example.com")], [200, 302]);
}

fn files(cache: &Path) -> Vec<String> {
    let entries = cache.read_dir().expect("the cache is there");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
#[ignore = "needs an API server: cargo xtask test kubernetes"]
fn what_a_cluster_holds_is_served_as_it_comes_and_goes() {
    let Some(cluster) = ControlPlane::start() else { return };
    let cache = tempfile::tempdir().expect("a directory");
    cluster
        .apply(&[shop("shop"), ingress("shop", "a", "a-tls"), secret("shop", "a-tls", "a.example.com", "m1")].concat());
    cluster.apply(&secret("shop", "unused", "u.example.com", "unused"));
    let node = Node::start(&cluster.kubeconfig(), cache.path(), "");
    node.until_status("a.example.com", 200);
    until_certificate(&node, "m1", true);
    assert!(node.admin("/readyz").contains("ready"), "{}", node.admin("/readyz"));

    let unused = "Secret,shop,unused.json".to_owned();
    assert!(!files(cache.path()).contains(&unused), "{:?}", files(cache.path()));

    cluster.apply(&secret("shop", "a-tls", "a.example.com", "m2"));
    until_certificate(&node, "m2", true);
    cluster.delete("secret", "shop", "a-tls");
    until_certificate(&node, "m2", false);
    cluster.apply(&[secret("shop", "a-tls", "a.example.com", "m3"), ingress("shop", "b", "unused")].concat());
    until_certificate(&node, "m3", true);
    until_certificate(&node, "unused", true);
    assert!(files(cache.path()).contains(&unused), "{:?}", files(cache.path()));
    cluster.delete("ingress", "shop", "b");
    node.until_status("b.example.com", 404);
    let keys = |_: &Node| (!files(cache.path()).contains(&unused)).then_some(());
    node.until("a key that nobody refers to is not kept", keys);
    assert_eq!(node.status("a.example.com"), Some(200));
}

#[test]
#[ignore = "needs an API server: cargo xtask test kubernetes"]
fn an_outage_of_the_api_server_costs_nothing() {
    let Some(cluster) = ControlPlane::start() else { return };
    cluster.install_crds(Channel::Standard);
    let cache = tempfile::tempdir().expect("a directory");
    let start = || Node::start(&cluster.kubeconfig(), cache.path(), "");
    let objects = [shop("shop"), ingress("shop", "a", "a-tls"), ingress("shop", "gone", "nowhere")];
    cluster.apply(&objects.concat());
    cluster.apply(&[secret("shop", "a-tls", "a.example.com", "m1"), "---".to_owned(), CLASSES.to_owned()].concat());
    let node = start();
    for (host, status) in [("a", 200), ("gone", 200), ("moved", 302)] {
        node.until_status(&format!("{host}.example.com"), status);
    }

    cluster.stop_api_server();
    let nothing_kept = tempfile::tempdir().expect("a directory");
    let without = Node::start(&cluster.kubeconfig(), nothing_kept.path(), "");
    node.until("a watch that ended", |node| node.log().contains("cannot be followed").then_some(()));
    for (host, status) in [("a", 200), ("gone", 200), ("moved", 302)] {
        assert_eq!(node.status(&format!("{host}.example.com")), Some(status));
    }
    drop(node);
    // Half written.
    let route = cache.path().join("Ingress,shop,gone.json");
    let text = std::fs::read_to_string(&route).expect("kept");
    std::fs::write(cache.path().join("Ingress,shop,half.json"), &text[..text.len() / 2]).expect("written");
    let node = start();
    assert_eq!([node.first_status("moved.example.com"), node.first_status("gone.example.com")], [302, 200]);
    assert_eq!(node.status("a.example.com"), Some(200));
    until_certificate(&node, "m1", true);
    without.until("why it waits", |node| node.log().contains("nothing was kept in").then_some(()));
    assert!(
        without.admin("/readyz").contains("not ready: the objects listed at start"),
        "{}",
        without.admin("/readyz")
    );
    assert_eq!(without.json("/api/v1/listeners").as_array().map(Vec::len), Some(0));

    start_under_load(&cluster, &node, &without);
    cluster.apply(&ingress("shop", "new", ""));
    node.until_status("new.example.com", 200);
    node.until_status("moved.example.com", 302);
    without.until_status("new.example.com", 200);
    assert_eq!(without.status("moved.example.com"), Some(302));

    // Gone while nobody looked: not served at the next start without the API server, nor after its return.
    drop((node, without));
    cluster.delete("ingress", "shop", "new");
    cluster.stop_api_server();
    let node = start();
    node.until_status("new.example.com", 200);
    cluster.start_api_server();
    node.until_status("new.example.com", 404);
    drop(node);
    cluster.delete("ingress", "shop", "gone");
    let node = start();
    assert_eq!([node.first_status("moved.example.com"), node.first_status("gone.example.com")], [302, 404]);
    let is_old = |file: &String| file.starts_with("Ingress,shop,gone") || file.starts_with("Ingress,shop,half");
    let kept = |_: &Node| (!files(cache.path()).iter().any(is_old)).then_some(());
    node.until("what has gone is not kept", kept);
}

#[test]
#[ignore = "needs an API server: cargo xtask test kubernetes"]
fn kinds_and_rights_that_come_and_go_take_only_their_objects_along() {
    const BASE: &str = "{apiGroups: ['', networking.k8s.io, discovery.k8s.io], verbs: [get, list, watch], \
         resources: [services, configmaps, namespaces, nodes, pods, ingresses, ingressclasses, endpointslices]}";
    const CUSTOM: &str = "{apiGroups: [gateway.networking.k8s.io, traefik.io, gateway.envoyproxy.io, postern.dev, \
         metallb.io, gateway.kgateway.dev], resources: ['*'], verbs: [get, list, watch]}";
    const SECRETS: &str = "{apiGroups: [''], resources: [secrets], verbs: [get, list, watch]}";
    const NAMES: &str = "{apiGroups: [''], resources: [secrets], verbs: [list, watch]}";
    let Some(cluster) = ControlPlane::start() else { return };
    let cache = tempfile::tempdir().expect("a directory");
    let reader = cluster.user("reader", &format!("[{BASE}, {NAMES}]"));
    let objects = [shop("shop"), ingress("shop", "a", "a-tls"), secret("shop", "a-tls", "a.example.com", "m1")];
    cluster.apply(&objects.concat());
    let node = Node::start(&reader, cache.path(), "");
    node.until_status("a.example.com", 200);
    let problem = |words: &'static [&'static str]| {
        move |node: &Node| {
            let input = node.json("/api/v1/problems")["input"].take();
            let said = |text: &serde_json::Value| words.iter().all(|word| text.to_string().contains(word));
            input.as_array().is_some_and(|problems| problems.iter().any(said)).then_some(())
        }
    };
    node.until("a Secret that may not be read", problem(&["/secrets/a-tls", "cannot get resource"]));
    cluster.user("reader", &format!("[{BASE}, {SECRETS}]"));
    until_certificate(&node, "m1", true);

    // Kinds that come, of which we may not see anything yet.
    cluster.install_crds(Channel::Standard);
    cluster.apply(CLASSES);
    node.until("a kind that may not be read", problem(&["/httproutes", "grant get, list and watch", "cannot list"]));
    assert!(node.log().contains("/httproutes"), "{}", node.log());
    assert_eq!(node.status("a.example.com"), Some(200));
    cluster.user("reader", &format!("[{BASE}, {SECRETS}, {CUSTOM}]"));
    node.until_status("moved.example.com", 302);
    node.until("no problems", |node| (node.json("/api/v1/problems")["input"] == serde_json::json!([])).then_some(()));

    // A user's rights are not known at once when the API server starts again.
    cluster.stop_api_server();
    let nothing_kept = tempfile::tempdir().expect("a directory");
    start_under_load(&cluster, &node, &Node::start(&reader, nothing_kept.path(), ""));
    cluster.apply(&ingress("shop", "new", ""));
    node.until_status("new.example.com", 200);
    assert!(!node.log().contains("last_good_kept=true"), "{}", node.log());

    cluster.kubectl(&["delete", "crd", "httproutes.gateway.networking.k8s.io", "--timeout=30s"]).expect("it is there");
    node.until_status("moved.example.com", 404);
    assert_eq!(node.status("a.example.com"), Some(200));
}

#[test]
#[ignore = "needs an API server: cargo xtask test kubernetes"]
fn only_the_namespaces_that_are_named_are_read_and_ten_thousand_secrets_cost_nothing() {
    let Some(cluster) = ControlPlane::start() else { return };
    let cache = tempfile::tempdir().expect("a directory");
    let objects = [shop("shop"), "---".to_owned(), shop("other"), ingress("shop", "a", ""), ingress("other", "b", "")];
    cluster.apply(&objects.concat());
    let node = Node::start(&cluster.kubeconfig(), cache.path(), "shop");
    node.until_status("a.example.com", 200);
    assert_eq!(node.status("b.example.com"), Some(404));
    assert!(files(cache.path()).iter().all(|file| !file.contains(",other,")), "{:?}", files(cache.path()));
    drop(node);

    let all = || {
        let node = Node::start(&cluster.kubeconfig(), cache.path(), "");
        node.until_status("b.example.com", 200);
        node
    };
    let before = all();
    let base = before.memory();
    fill(&cluster, 10_000);
    cluster.apply(&ingress("shop", "last", ""));
    before.until_status("last.example.com", 200);
    let watching = before.memory();
    drop(before);
    let after = all();
    let listing = after.memory();
    eprintln!("10,000 Secrets: {base} KiB before, {watching} KiB after watching, {listing} KiB after listing them");
    assert!(watching - base < 4096 && listing - base < 4096, "{base} {watching} {listing}");
}

/// Puts `count` Secrets that nobody refers to into the cluster.
fn fill(cluster: &ControlPlane, count: usize) {
    let one = |at| {
        format!(r#"{{"apiVersion":"v1","kind":"Secret","metadata":{{"name":"unrelated-{at}","namespace":"other"}}}}"#)
    };
    std::thread::scope(|scope| {
        for part in 0..4 {
            scope.spawn(move || {
                let list: Vec<_> = (0..count).filter(|at| at % 4 == part).map(one).collect();
                cluster.create(&list.join("\n"));
            });
        }
    });
}
