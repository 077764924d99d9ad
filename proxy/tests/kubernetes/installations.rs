//! Two Posterns in one cluster that speak for the same controllers.

use std::time::Duration;

use serde_json::Value;

use super::{
    node::Node,
    support::control_plane::{Channel, ControlPlane},
    watch::{CLASSES, shop},
};

/// An expiry, two looks, and as much again on a busy machine.
const EXPIRED: Duration = Duration::from_secs(90);

fn condition(cluster: &ControlPlane) -> Option<Value> {
    let class = cluster.get("gatewayclass", "", "postern");
    let conditions = class["status"]["conditions"].as_array()?.clone();
    conditions.into_iter().find(|condition| condition["type"] == "postern.dev/SoleInstallation")
}

fn others(node: &Node, count: u32) -> Option<()> {
    let metrics = node.admin("/metrics");
    metrics.lines().any(|line| line == format!("postern_other_installations {count}")).then_some(())
}

#[test]
#[ignore = "needs an API server: cargo xtask test kubernetes"]
fn the_elder_of_two_installations_writes_and_both_serve_and_say_so_until_one_goes() {
    let Some(cluster) = ControlPlane::start() else { return };
    cluster.install_crds(Channel::Standard);
    cluster.apply(&format!("{}---{CLASSES}", shop("shop")));
    cluster.apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: second}\n");
    let caches = [(); 2].map(|()| tempfile::tempdir().expect("a directory"));
    let start = |at: usize, namespace: &str| {
        Node::start_with(&cluster.kubeconfig(), caches[at].path(), &[("POSTERN_KUBERNETES_LEASE_NAMESPACE", namespace)])
    };
    let elder = start(0, "default");
    elder.until("a status", |_| accepted(&cluster));
    assert_eq!(condition(&cluster), None);

    let younger = start(1, "second");
    for node in [&elder, &younger] {
        node.until("the other", |node| others(node, 1));
        node.until_status("moved.example.com", 302);
    }
    let told = elder.until("a condition", |_| condition(&cluster));
    assert_eq!(told["status"], "False", "{told}");
    let message = told["message"].as_str().expect("text");
    assert!(message.contains("default") && message.contains("second"), "{message}");
    assert!(younger.json("/api/v1/problems")["input"].to_string().contains("OtherInstallation"));
    elder.until("an event", |_| {
        let events = cluster.list("events.events.k8s.io");
        events
            .iter()
            .any(|event| event["reason"] == "OtherInstallation" && event["regarding"]["name"] == "postern")
            .then_some(())
    });
    younger.until("that it is the younger", |node| node.log().contains("an older one does").then_some(()));

    drop(elder);
    // Nobody gave its Lease back, which is believed until it expires.
    younger.until_within(EXPIRED, "that it is alone", |node| others(node, 0));
    younger.until_within(EXPIRED, "no condition", |_| condition(&cluster).is_none().then_some(()));
    cluster.apply(&CLASSES.replace("moved.example.com", "gone.example.com"));
    younger.until("the new generation", |_| {
        let route = cluster.get("httproute", "shop", "moved");
        (route["status"]["parents"][0]["conditions"][0]["observedGeneration"] == 2).then_some(())
    });
}

fn accepted(cluster: &ControlPlane) -> Option<()> {
    let class = cluster.get("gatewayclass", "", "postern");
    let is_accepted = |condition: &Value| condition["type"] == "Accepted" && condition["status"] == "True";
    class["status"]["conditions"].as_array()?.iter().any(is_accepted).then_some(())
}
