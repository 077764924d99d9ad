//! What is shown on a real cluster; one file per scenario. Each leaves the cluster as it found it.

mod churn;
mod clusters;
mod leader;
mod outage;
mod restart;
mod rollout;
mod takeover;
mod vip;

use super::{cluster::Cluster, install::Installed};

/// What scenarios have at hand.
pub(crate) struct Setting<'a> {
    /// The cluster, with Postern installed from its chart.
    pub(crate) cluster: &'a Cluster,
    /// Postern.
    pub(crate) installed: &'a Installed<'a>,
}

/// One scenario.
pub(crate) struct Scenario {
    /// As given on the command line.
    pub(crate) name: &'static str,
    /// What it shows.
    pub(crate) about: &'static str,
    /// Shows it.
    pub(crate) run: fn(&Setting<'_>) -> Result<(), String>,
}

/// All of them; those that disturb the most come last.
pub(crate) static ALL: &[Scenario] = &[
    Scenario { name: "clusters", about: "the clusters of examples/ as they are", run: clusters::run },
    Scenario { name: "rollout", about: "rolling updates under load", run: rollout::run },
    Scenario { name: "leader", about: "the writer of status is killed", run: leader::run },
    Scenario { name: "restart", about: "all pods restarted at once", run: restart::run },
    Scenario { name: "vip", about: "virtual addresses, an update and a dead owner", run: vip::run },
    Scenario { name: "churn", about: "5,000 routes that come, change and go under load", run: churn::run },
    Scenario { name: "takeover", about: "Traefik, Postern, Traefik again with nothing changed", run: takeover::run },
    Scenario { name: "outage", about: "the API server stops, containers restart", run: outage::run },
];

/// `count` pods that answer every request on `port`, with label `app`.
fn echo(namespace: &str, app: &str, port: &str, count: usize) -> String {
    format!(
        "apiVersion: apps/v1
kind: Deployment
metadata: {{name: {app}, namespace: {namespace}}}
spec:
  replicas: {count}
  selector: {{matchLabels: {{app: {app}}}}}
  template:
    metadata: {{labels: {{app: {app}}}}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: echo
        image: localhost/echo-basic:1
        imagePullPolicy: Never
        env:
        - {{name: HTTP_PORT, value: '{port}'}}
        - {{name: POD_NAME, valueFrom: {{fieldRef: {{fieldPath: metadata.name}}}}}}
        - {{name: NAMESPACE, valueFrom: {{fieldRef: {{fieldPath: metadata.namespace}}}}}}
        readinessProbe: {{tcpSocket: {{port: {port}}}, periodSeconds: 1}}
"
    )
}

/// The host that is under load.
const HOST: &str = "load.example.com";

/// A Service with two pods behind it, an Ingress that leads `HOST` there over HTTP and HTTPS, in namespace `load`.
fn under_load(cluster: &Cluster) -> Result<(), String> {
    cluster.apply(LOADED)?;
    cluster.apply(&echo("load", "backend", "8080", 2))?;
    cluster.rolled_out("load", "deployment/backend")?;
    for node in cluster.nodes() {
        let address = cluster.address(node);
        for scheme in ["http", "https"] {
            let url = format!("{scheme}://{HOST}/");
            cluster.wait(&format!("200 of {url} through node {node}"), || {
                super::ask::status(&address, &url).map(|status| status == 200)
            })?;
        }
    }
    Ok(())
}

/// Addresses of all nodes.
fn addresses(cluster: &Cluster) -> Vec<String> {
    cluster.nodes().map(|number| cluster.address(number)).collect()
}

fn remove(cluster: &Cluster, namespace: &str) -> Result<(), String> {
    cluster.kubectl(&["delete", "namespace", namespace, "--timeout=120s"]).map(drop)
}

const LOADED: &str = "apiVersion: v1
kind: Namespace
metadata: {name: load}
---
apiVersion: v1
kind: Service
metadata: {name: backend, namespace: load}
spec:
  selector: {app: backend}
  ports: [{name: http, port: 80, targetPort: 8080}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: backend, namespace: load}
spec:
  ingressClassName: postern
  tls: [{hosts: [load.example.com]}]
  rules:
  - host: load.example.com
    http:
      paths:
      - {path: /, pathType: Prefix, backend: {service: {name: backend, port: {number: 80}}}}
";
