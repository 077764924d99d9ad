//! What the shipped manifests let Postern do: all that it needs, and nothing that it does not.

use std::{fmt::Write as _, path::Path};

use postern_config::kubernetes::object::Kind;
use serde_json::{Value, json};

use super::{
    node::{ADDRESS, Node},
    support::control_plane::{Channel, ControlPlane},
    watch::{CLASSES, ingress, shop},
};

const NAMESPACE: &str = "postern-system";
const ACCOUNT: &str = "system:serviceaccount:postern-system:postern";
/// Beside the reading of every kind: verb, group/resource/subresource or group/resource, namespace, name.
const NEEDED: [(&str, &str, &str, &str); 21] = [
    ("update", "networking.k8s.io/ingresses/status", "shop", ""),
    ("update", "gateway.networking.k8s.io/gatewayclasses/status", "", ""),
    ("update", "gateway.networking.k8s.io/gateways/status", "shop", ""),
    ("update", "gateway.networking.k8s.io/httproutes/status", "shop", ""),
    ("update", "gateway.networking.k8s.io/grpcroutes/status", "shop", ""),
    ("update", "gateway.networking.k8s.io/tlsroutes/status", "shop", ""),
    ("update", "gateway.networking.k8s.io/backendtlspolicies/status", "shop", ""),
    ("update", "/services/status", "shop", ""),
    ("update", "metallb.io/ipaddresspools/status", "metallb-system", ""),
    ("list", "metallb.io/servicel2statuses", "", ""),
    ("create", "metallb.io/servicel2statuses", "metallb-system", ""),
    ("delete", "metallb.io/servicel2statuses", "metallb-system", "l2-0"),
    ("patch", "metallb.io/servicel2statuses/status", "metallb-system", "l2-0"),
    ("create", "coordination.k8s.io/leases", NAMESPACE, ""),
    ("update", "coordination.k8s.io/leases", NAMESPACE, "postern"),
    ("create", "events.k8s.io/events", "shop", ""),
    ("create", "/secrets", NAMESPACE, ""),
    ("update", "/secrets", NAMESPACE, "postern-peer-key"),
    ("list", "/pods", "", ""),
    ("list", "coordination.k8s.io/leases", "", ""),
    ("get", "apiextensions.k8s.io/customresourcedefinitions", "", "gatewayclasses.gateway.networking.k8s.io"),
];
/// What whoever gets hold of the service account would want.
const FORBIDDEN: [(&str, &str, &str, &str); 36] = [
    ("create", "/secrets", "shop", ""),
    ("update", "/secrets", "shop", "certificate"),
    ("update", "/secrets", NAMESPACE, "other"),
    ("delete", "/secrets", NAMESPACE, "postern-peer-key"),
    ("patch", "/configmaps", NAMESPACE, "postern"),
    ("create", "/pods", NAMESPACE, ""),
    ("delete", "/pods", "shop", "web"),
    ("create", "/pods/exec", "shop", "web"),
    ("get", "/pods/exec", "shop", "web"),
    ("get", "/pods/log", "shop", "web"),
    ("get", "/pods/portforward", "shop", "web"),
    ("update", "/services", "shop", "web"),
    ("patch", "/services", "shop", "web"),
    ("patch", "metallb.io/ipaddresspools", "metallb-system", "home"),
    ("update", "/nodes/status", "", "node1"),
    ("patch", "/nodes", "", "node1"),
    ("get", "/nodes/proxy", "", "node1"),
    ("create", "/namespaces", "", ""),
    ("patch", "/namespaces", "", "shop"),
    ("create", "/serviceaccounts/token", NAMESPACE, "postern"),
    ("impersonate", "/users", "", "admin"),
    ("update", "networking.k8s.io/ingresses", "shop", "web"),
    ("create", "networking.k8s.io/ingresses", "shop", ""),
    ("delete", "networking.k8s.io/ingresses", "shop", "web"),
    ("patch", "gateway.networking.k8s.io/httproutes", "shop", "web"),
    ("patch", "gateway.networking.k8s.io/gateways", "shop", "edge"),
    ("create", "gateway.networking.k8s.io/gatewayclasses", "", ""),
    ("patch", "gateway.networking.k8s.io/gatewayclasses", "", "postern"),
    ("create", "gateway.networking.k8s.io/referencegrants", "shop", ""),
    ("update", "coordination.k8s.io/leases", NAMESPACE, "other"),
    ("create", "coordination.k8s.io/leases", "kube-system", ""),
    ("delete", "coordination.k8s.io/leases", NAMESPACE, "postern"),
    ("patch", "apps/daemonsets", NAMESPACE, "postern"),
    ("bind", "rbac.authorization.k8s.io/clusterroles", "", "cluster-admin"),
    ("patch", "apiextensions.k8s.io/customresourcedefinitions", "", ""),
    ("update", "admissionregistration.k8s.io/validatingwebhookconfigurations", "", ""),
];

#[test]
#[ignore = "needs an API server: cargo xtask test kubernetes"]
fn the_shipped_rights_are_enough_to_serve_and_to_write_status() {
    let Some(cluster) = ControlPlane::start() else { return };
    cluster.install_crds(Channel::Standard);
    install(&cluster);
    cluster.apply(&format!("{}---{CLASSES}{}", shop("shop"), ingress("shop", "plain", "")));
    let directory = tempfile::tempdir().expect("a directory");
    let node = Node::start(&account(&cluster, directory.path()), &directory.path().join("cache"), "");
    node.until("readiness", |node| node.admin("/readyz").starts_with("HTTP/1.1 200").then_some(()));
    let is = |conditions: &Value, name: &str| {
        let condition = conditions.as_array()?.iter().find(|condition| condition["type"] == name)?;
        (condition["status"] == "True").then_some(())
    };
    node.until("an accepted class", |_| {
        is(&cluster.get("gatewayclass", "", "postern")["status"]["conditions"], "Accepted")
    });
    node.until("a Gateway that is programmed", |_| {
        is(&cluster.get("gateway", "shop", "edge")["status"]["conditions"], "Programmed")
    });
    node.until("an accepted route", |_| {
        is(&cluster.get("httproute", "shop", "moved")["status"]["parents"][0]["conditions"], "Accepted")
    });
    node.until("an Ingress with an address", |_| {
        let ingress = cluster.get("ingress", "shop", "plain");
        (ingress["status"]["loadBalancer"]["ingress"][0]["ip"] == ADDRESS).then_some(())
    });
    assert!(cluster.list("leases").iter().any(|lease| lease["metadata"]["namespace"] == NAMESPACE));
    assert!(!node.log().to_lowercase().contains("forbidden"), "{}", node.log());
}

#[test]
#[ignore = "needs an API server: cargo xtask test kubernetes"]
fn the_shipped_rights_are_those_that_are_needed_and_no_others() {
    let Some(cluster) = ControlPlane::start() else { return };
    install(&cluster);
    let reading = Kind::ALL.iter().flat_map(|kind| {
        let resource = format!("{}/{}", kind.group(), plural(kind.as_str()));
        ["get", "list", "watch"].map(|verb| (verb, resource.clone()))
    });
    let reading: Vec<_> =
        reading.map(|(verb, resource)| (verb.to_owned(), resource, String::new(), String::new())).collect();
    let owned = |&(verb, resource, namespace, name): &(&str, &str, &str, &str)| {
        (verb.to_owned(), resource.to_owned(), namespace.to_owned(), name.to_owned())
    };
    let needed: Vec<_> = reading.into_iter().chain(NEEDED.iter().map(owned)).collect();
    let forbidden: Vec<_> = FORBIDDEN.iter().map(owned).collect();
    let wrong = |asked: &[Asked], allowed: bool| {
        let verdicts = may(&cluster, asked);
        let wrong =
            asked.iter().zip(verdicts).filter(|(_, verdict)| *verdict != allowed).map(|(asked, _)| asked.clone());
        wrong.collect::<Vec<_>>()
    };
    assert_eq!(wrong(&needed, true), [], "needed, and not granted");
    assert_eq!(wrong(&forbidden, false), [], "granted, and not needed");
}

/// Verb, resource, namespace, name.
type Asked = (String, String, String, String);

/// What the API server says to each question, in order.
fn may(cluster: &ControlPlane, asked: &[Asked]) -> Vec<bool> {
    let mut reviews = String::new();
    for (verb, resource, namespace, name) in asked {
        let mut parts = resource.split('/');
        let [group, resource, subresource] = std::array::from_fn(|_| parts.next().unwrap_or_default());
        let attributes = json!({
            "verb": verb, "group": group, "resource": resource, "subresource": subresource,
            "namespace": namespace, "name": name,
        });
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {"user": ACCOUNT, "resourceAttributes": attributes},
        });
        writeln!(reviews, "---\n{review}").expect("a text takes anything");
    }
    let create = ["create", "-f", "-", "-o", "jsonpath={.status.allowed} "];
    let answers = cluster.kubectl_as(&cluster.kubeconfig(), &create, &reviews).expect("it answers");
    let verdicts: Vec<bool> = answers.split_whitespace().map(|verdict| verdict == "true").collect();
    assert_eq!(verdicts.len(), asked.len(), "{answers}");
    verdicts
}

/// The plain manifests, without those that only a whole cluster runs.
fn install(cluster: &ControlPlane) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/manifests/postern.yaml");
    cluster.apply(&std::fs::read_to_string(file).expect("the manifests are there"));
}

/// A kubeconfig of the service account, as a pod would have it.
fn account(cluster: &ControlPlane, folder: &Path) -> std::path::PathBuf {
    let token = cluster.kubectl(&["create", "token", "postern", "--namespace", NAMESPACE]).expect("a token");
    let of_admin = std::fs::read_to_string(cluster.kubeconfig()).expect("a file of text");
    let (head, rest) = of_admin.split_once("token: ").expect("it is by token");
    let (_, tail) = rest.split_once('}').expect("it is in braces");
    let text = format!("{head}token: {}}}{tail}", token.trim())
        .replace("user: admin}", &format!("user: admin, namespace: {NAMESPACE}}}"));
    let path = folder.join("kubeconfig");
    std::fs::write(&path, text).expect("written");
    path
}

fn plural(kind: &str) -> String {
    let kind = kind.to_lowercase();
    match kind.strip_suffix("cy") {
        Some(stem) => format!("{stem}cies"),
        None if kind.ends_with('s') => format!("{kind}es"),
        None => format!("{kind}s"),
    }
}
