//! What a real API server makes of objects, and of us. `cargo xtask test kubernetes` builds what these tests need.

#[path = "kubernetes/addresses.rs"]
mod addresses;
#[path = "kubernetes/announcing.rs"]
mod announcing;
#[path = "kubernetes/definitions.rs"]
mod definitions;
#[path = "kubernetes/events.rs"]
mod events;
#[path = "kubernetes/installations.rs"]
mod installations;
#[path = "kubernetes/node.rs"]
mod node;
#[path = "kubernetes/peers.rs"]
mod peers;
#[path = "kubernetes/rights.rs"]
mod rights;
#[path = "kubernetes/status.rs"]
mod status;
mod support;
#[path = "kubernetes/takeover.rs"]
mod takeover;
#[path = "kubernetes/trouble.rs"]
mod trouble;
#[path = "kubernetes/watch.rs"]
mod watch;

use std::{
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
};

use support::control_plane::{Channel, ControlPlane};

const SERVICE: &str = "
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop}
";

/// Every kind that the examples use.
const KINDS: &str = "namespaces,services,secrets,endpointslices,ingresses,ingressclasses,middlewares.traefik.io,ingressroutes.traefik.io,\
     ingressroutetcps.traefik.io,\
     gatewayclasses,gateways,httproutes,grpcroutes,tlsroutes,referencegrants,ipaddresspools.metallb.io,\
     l2advertisements.metallb.io";

fn examples() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let entries = folder.read_dir().expect("examples/ is there").map(|entry| entry.expect("readable").path());
    let manifests = |example: PathBuf| Some(example.join("manifests")).filter(|path| path.is_dir()).or(Some(example));
    entries.filter(|path| path.is_dir()).filter_map(manifests).collect()
}

#[test]
#[ignore = "needs an API server: cargo xtask test kubernetes"]
fn the_examples_mean_the_same_with_all_that_a_server_adds() {
    let Some(cluster) = ControlPlane::start() else { return };
    cluster.install_crds(Channel::Standard);
    let examples = examples();
    assert!(examples.len() >= 6, "{examples:?}");
    examples.iter().for_each(|example| cluster.apply_folder(example));
    let objects = cluster.list(KINDS);
    assert!(objects.len() >= 70, "{} objects are too few", objects.len());
    let directory = tempfile::tempdir().expect("a directory");
    for (at, object) in objects.iter().enumerate() {
        let file = directory.path().join(format!("{at}.json"));
        std::fs::write(file, object.to_string()).expect("written");
    }
    let check = Command::new(env!("CARGO_BIN_EXE_postern")).arg("check").arg(directory.path()).output();
    let check = check.expect("the binary runs");
    let said = String::from_utf8_lossy(&check.stdout);
    assert_eq!(check.status.code(), Some(0), "{said}{}", String::from_utf8_lossy(&check.stderr));
}

#[test]
#[ignore = "needs an API server: cargo xtask test kubernetes"]
fn objects_outlive_an_outage_of_the_api_server() {
    let Some(cluster) = ControlPlane::start() else { return };
    cluster.apply(SERVICE);
    let before = cluster.get("service", "shop", "web");
    assert_eq!(before["spec"]["type"], "ClusterIP", "the server fills in what was not said: {before}");
    cluster.stop_api_server();
    assert!(TcpStream::connect(cluster.address()).is_err(), "nobody listens");
    cluster.start_api_server();
    assert_eq!(cluster.get("service", "shop", "web"), before);
    cluster.delete("service", "shop", "web");
    assert!(cluster.list("services").iter().all(|service| service["metadata"]["namespace"] != "shop"));
    let address = cluster.address();
    drop(cluster);
    assert!(TcpStream::connect(address).is_err(), "nothing is left behind");
}

#[test]
#[ignore = "needs an API server: cargo xtask test kubernetes"]
fn a_user_may_do_what_its_rules_say_and_nothing_else() {
    let Some(cluster) = ControlPlane::start() else { return };
    cluster.apply(SERVICE);
    let rules = "[{apiGroups: [''], resources: [services], verbs: [get, list, watch]}]";
    let reader = cluster.user("reader", rules);
    let may = |verb: &[&str]| cluster.kubectl_as(&reader, verb, "");
    assert!(may(&["get", "services", "--all-namespaces"]).is_ok());
    for refused in [["get", "secrets", "--all-namespaces"], ["delete", "service/web", "--namespace=shop"]] {
        let reason = may(&refused).expect_err("it is not allowed");
        assert!(reason.contains("(Forbidden)") && reason.contains("User \"reader\""), "{reason}");
    }
}
