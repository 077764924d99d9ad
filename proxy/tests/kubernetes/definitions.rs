//! `postern crds install` against a real API server: what is absent comes, what is somebody's stays.

use std::process::{Command, Output};

use super::support::control_plane::{Channel, ControlPlane};

fn install(cluster: &ControlPlane, words: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_postern"));
    let Output { status, stdout, stderr } = command
        .args(["crds", "install"])
        .args(words)
        .env("KUBECONFIG", cluster.kubeconfig())
        .output()
        .expect("it runs");
    (status.code(), String::from_utf8_lossy(&stdout).into_owned(), String::from_utf8_lossy(&stderr).into_owned())
}

fn versions(cluster: &ControlPlane) -> Vec<(String, String)> {
    let of =
        |it: serde_json::Value| (it["metadata"]["name"].to_string(), it["metadata"]["resourceVersion"].to_string());
    cluster.list("customresourcedefinitions").into_iter().map(of).collect()
}

#[test]
#[ignore = "needs an API server: cargo xtask test kubernetes"]
fn crds_that_are_absent_are_installed_and_served_and_no_others_are_touched() {
    let Some(cluster) = ControlPlane::start() else { return };
    let (code, said, wrong) = install(&cluster, &["--dry-run", "gateway-api"]);
    assert!(code == Some(0) && said.contains("gateways.gateway.networking.k8s.io: installed"), "{said}{wrong}");
    assert!(versions(&cluster).is_empty(), "a dry run installs nothing");
    let (code, said, wrong) = install(&cluster, &[]);
    assert_eq!(code, Some(0), "{said}{wrong}");
    for kind in ["gateways.gateway.networking.k8s.io", "middlewares.traefik.io", "ipaddresspools.metallb.io"] {
        assert!(cluster.list(kind).is_empty(), "{kind} is served");
    }
    let before = versions(&cluster);
    let (code, said, _) = install(&cluster, &[]);
    assert!(code == Some(0) && said.lines().all(|line| line.contains("kept, it is current")), "{said}");
    assert_eq!(versions(&cluster), before, "a second time writes nothing");
}

#[test]
#[ignore = "needs an API server: cargo xtask test kubernetes"]
fn crds_of_others_are_kept_and_releases_are_not_mixed() {
    let Some(cluster) = ControlPlane::start() else { return };
    cluster.install_crds(Channel::Standard);
    let route = "tlsroutes.gateway.networking.k8s.io";
    cluster.delete("crd", "", route);
    let gateways = "gateways.gateway.networking.k8s.io";
    let annotate = |pair: &str| {
        cluster.kubectl(&["annotate", "--overwrite", "crd", gateways, pair]).expect("it is there");
    };
    annotate("meta.helm.sh/release-name=edge");
    annotate("meta.helm.sh/release-namespace=infra");
    annotate("gateway.networking.k8s.io/bundle-version=v1.8.0");
    let before = versions(&cluster);
    let (code, said, wrong) = install(&cluster, &["gateway-api"]);
    assert_eq!(code, Some(1), "{said}{wrong}");
    assert!(said.contains(&format!("{gateways}: kept, the Helm release infra/edge owns it")), "{said}");
    assert!(wrong.contains(route) && wrong.contains("v1.8.0"), "{wrong}");
    assert_eq!(versions(&cluster), before);
    annotate("gateway.networking.k8s.io/bundle-version=v1.7.0");
    let (code, said, wrong) = install(&cluster, &["gateway-api"]);
    assert!(code == Some(0) && said.contains(&format!("{route}: installed")), "{said}{wrong}");
}
