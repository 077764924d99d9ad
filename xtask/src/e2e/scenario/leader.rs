//! The process that writes status is killed: status lags by 20 s at most, and nothing else is noticed.

use std::time::Duration;

use super::{HOST, Setting, remove, under_load};
use crate::e2e::load::Load;

const LAG: Duration = Duration::from_secs(20);

pub(crate) fn run(setting: &Setting<'_>) -> Result<(), String> {
    let (cluster, installed) = (setting.cluster, setting.installed);
    under_load(cluster)?;
    let holder = installed.holder()?;
    let others: Vec<_> =
        cluster.nodes().filter(|number| *number != holder.node).map(|number| cluster.address(number)).collect();
    let load = Load::start(&others, HOST)?;
    installed.kill(&holder)?;
    cluster.apply(LATER)?;
    let lag = crate::e2e::cluster::wait("status of an Ingress that came when nobody wrote", LAG, || {
        let path = "jsonpath={.status.loadBalancer.ingress}";
        Ok(!cluster.kubectl(&["get", "ingress", "later", "-n", "load", "-o", path])?.is_empty())
    })?;
    let outcome = load.stop()?;
    outcome.faultless()?;
    println!("   status after {:.1} s, {} requests to the other nodes, 0 errors", lag.as_secs_f64(), outcome.requests);
    installed.ready()?;
    remove(cluster, "load")
}

const LATER: &str = "apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: later, namespace: load}
spec:
  ingressClassName: postern
  rules:
  - host: later.example.com
    http:
      paths:
      - {path: /, pathType: Prefix, backend: {service: {name: backend, port: {number: 80}}}}
";
