//! What nodes write back: status, by one of them, and only where something changes.

use serde_json::Value;

use super::{
    node::{ADDRESS, Node},
    support::control_plane::{Channel, ControlPlane},
    watch::{CLASSES, ingress, shop},
};

/// Objects with a status of ours: kind and name.
const SHOWN: [(&str, &str); 3] = [("gateway", "edge"), ("httproute", "moved"), ("ingress", "plain")];

#[test]
#[ignore = "needs an API server: cargo xtask test kubernetes"]
fn one_of_two_nodes_writes_status_and_the_other_goes_on_where_it_is_killed() {
    let Some(cluster) = ControlPlane::start() else { return };
    cluster.install_crds(Channel::Standard);
    cluster.apply(&format!("{}---{CLASSES}{}", shop("shop"), ingress("shop", "plain", "")));
    let caches = [(); 2].map(|()| tempfile::tempdir().expect("a directory"));
    let [first, second] = caches.each_ref().map(|cache| Node::start(&cluster.kubeconfig(), cache.path(), ""));

    first
        .until("a Gateway that is programmed", |_| condition(&cluster.get("gateway", "shop", "edge"), "Programmed", 1));
    first.until("an accepted route", |_| {
        let route = cluster.get("httproute", "shop", "moved");
        condition_in(&route["status"]["parents"][0]["conditions"], "Accepted", 1)
    });
    first.until("an Ingress with an address", |_| {
        let ingress = cluster.get("ingress", "shop", "plain");
        (ingress["status"]["loadBalancer"]["ingress"][0]["ip"] == ADDRESS).then_some(())
    });
    let gateway = cluster.get("gateway", "shop", "edge");
    assert_eq!(gateway["status"]["listeners"][0]["attachedRoutes"], 1, "{gateway}");
    assert_eq!(gateway["status"]["addresses"][0]["value"], ADDRESS, "{gateway}");

    let versions = || SHOWN.map(|(kind, name)| cluster.get(kind, "shop", name)["metadata"]["resourceVersion"].clone());
    let (before, holder) = (versions(), holder(&cluster));
    let (killed, left) = if writes(&first) { (first, second) } else { (second, first) };
    assert!(!writes(&left), "both believe that they hold the Lease");
    drop(killed);
    left.until("another holder", |node| (self::holder(&cluster) != holder && writes(node)).then_some(()));
    assert_eq!(versions(), before, "nothing changed, so there was nothing to write");

    cluster.apply(&CLASSES.replace("moved.example.com", "gone.example.com"));
    left.until("the new generation", |_| {
        let route = cluster.get("httproute", "shop", "moved");
        condition_in(&route["status"]["parents"][0]["conditions"], "Accepted", 2)
    });
}

fn writes(node: &Node) -> bool {
    node.log().contains("this Postern writes status from now on")
}

fn holder(cluster: &ControlPlane) -> Value {
    cluster.get("lease", "default", "postern")["spec"]["holderIdentity"].clone()
}

fn condition(object: &Value, name: &str, generation: i64) -> Option<()> {
    condition_in(&object["status"]["conditions"], name, generation)
}

fn condition_in(conditions: &Value, name: &str, generation: i64) -> Option<()> {
    let condition = conditions.as_array()?.iter().find(|condition| condition["type"] == name)?;
    (condition["status"] == "True" && condition["observedGeneration"] == generation).then_some(())
}
