//! The clusters of examples/, as they are: their objects with real pods behind them, asked through every node.

use std::path::Path;

use super::{Setting, echo};
use crate::{
    e2e::{ask::Ask, cluster::Cluster},
    workspace::root,
};

/// What a client on another network sees: example, request, words for curl, status.
const EXPECTED: [(&str, &str, &[&str], u16); 17] = [
    ("single-node-public-address", "https://shop.example.com/", &[], 200),
    ("single-node-public-address", "http://shop.example.com/", &[], 301),
    ("single-node-public-address", "https://wiki.example.com/", &[], 200),
    ("single-node-public-address", "https://nobody.example.com/", &[], 404),
    ("public-and-private-gates", "https://photos.example.com/", &[], 200),
    ("public-and-private-gates", "https://recipes.example.com/", &[], 200),
    ("public-and-private-gates", "https://login.example.com/", &[], 200),
    ("public-and-private-gates", "https://grafana.home.example.com/", &[], 403),
    ("gateway-api", "https://store.example.net/", &[], 200),
    ("gateway-api", "http://store.example.net/", &[], 301),
    ("gateway-api", "https://status.example.net/", &[], 200),
    ("gateway-api", "https://elsewhere.example.net/", &[], 404),
    ("behind-a-firewall", "https://git.example.org/", &[], 200),
    ("behind-a-firewall", "https://status.example.org/", &[], 401),
    ("behind-a-firewall", "https://status.example.org/", &["--user", "guest:wrong"], 401),
    ("private-dashboard", "https://www.home.example/", &[], 200),
    ("private-dashboard", "http://dashboard.home.example/", &[], 403),
];

pub(crate) fn run(setting: &Setting<'_>) -> Result<(), String> {
    let cluster = setting.cluster;
    let mut names: Vec<&str> = EXPECTED.iter().map(|(example, ..)| *example).collect();
    names.dedup();
    for name in &names {
        let mut told = 0;
        set_up(cluster, &root().join("examples").join(name).join("manifests"))?;
        for (_, url, with, status) in EXPECTED.iter().filter(|(example, ..)| example == name) {
            for node in cluster.nodes() {
                expect(cluster, &Ask { url, with }, node, *status)?;
                told += 1;
            }
        }
        println!("   {name}: {told} answers as expected");
        tear_down(cluster, &root().join("examples").join(name).join("manifests"))?;
    }
    Ok(())
}

fn expect(cluster: &Cluster, ask: &Ask<'_>, node: usize, status: u16) -> Result<(), String> {
    let address = cluster.address(node);
    let mut last = 0;
    let waited = cluster.wait(&format!("{} of {} through node {node}", status, ask.url), || {
        last = ask.to(&address)?.status;
        Ok(last == status)
    });
    waited.map(drop).map_err(|reason| format!("{reason}; the last answer was {last}"))
}

/// Applies a cluster, with a pod for each of its Services. The EndpointSlices that stand in its files for a cluster's
/// own are taken away: here the cluster writes them.
fn set_up(cluster: &Cluster, manifests: &Path) -> Result<(), String> {
    cluster.apply_folder(manifests)?;
    let folder = manifests.display().to_string();
    let slices = of_kind(cluster, &folder, "EndpointSlice", "{.metadata.namespace} {.metadata.name}")?;
    for (namespace, name) in slices.lines().filter_map(|line| line.split_once(' ')) {
        cluster.kubectl(&["delete", "endpointslice", "--namespace", namespace, name])?;
    }
    let path = "{.metadata.namespace} {.spec.selector.app} {.spec.ports[0].targetPort}";
    let services = of_kind(cluster, &folder, "Service", path)?;
    for line in services.lines() {
        let mut words = line.split(' ');
        let (Some(namespace), Some(app), Some(port)) = (words.next(), words.next(), words.next()) else { continue };
        cluster.apply(&echo(namespace, app, port, 1))?;
    }
    for line in services.lines() {
        let mut words = line.split(' ');
        let (Some(namespace), Some(app)) = (words.next(), words.next()) else { continue };
        cluster.rolled_out(namespace, &format!("deployment/{app}"))?;
    }
    Ok(())
}

/// One line, as `path` says, for each object of `kind` in a folder of manifests.
fn of_kind(cluster: &Cluster, folder: &str, kind: &str, path: &str) -> Result<String, String> {
    let path = format!("jsonpath={{range .items[?(@.kind==\"{kind}\")]}}{path}{{\"\\n\"}}{{end}}");
    cluster
        .kubectl(&["create", "--dry-run=client", "--filename", folder, "--output", "json"])
        .and_then(|_| cluster.kubectl(&["get", "--filename", folder, "--ignore-not-found", "--output", &path]))
}

fn tear_down(cluster: &Cluster, manifests: &Path) -> Result<(), String> {
    let folder = manifests.display().to_string();
    cluster.kubectl(&["delete", "--ignore-not-found", "--filename", &folder, "--timeout=120s"]).map(drop)
}
