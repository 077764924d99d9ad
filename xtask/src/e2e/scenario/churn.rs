//! 5,000 routes; for a minute they change, go and come again, while one host is under load.

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use super::{HOST, Setting, addresses, remove, under_load};
use crate::e2e::{ask, cluster::Cluster, load::Load};

const ROUTES: usize = 5_000;
/// Routes in one call of kubectl.
const BATCH: usize = 250;
const MINUTE: Duration = Duration::from_secs(60);

pub(crate) fn run(setting: &Setting<'_>) -> Result<(), String> {
    let (cluster, installed) = (setting.cluster, setting.installed);
    under_load(cluster)?;
    cluster.apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: many}\n")?;
    cluster.apply(SERVICE)?;
    let written = Instant::now();
    for first in (0..ROUTES).step_by(BATCH) {
        create(cluster, first..first + BATCH, 0)?;
    }
    println!("   {ROUTES} routes written in {:.0} s", written.elapsed().as_secs_f64());
    served(cluster, ROUTES - 1, 0)?;
    let memory = installed.memory()?;
    let load = Load::start(&addresses(cluster), HOST)?;
    let (mut changes, mut round, began) = (0, 0, Instant::now());
    while began.elapsed() < MINUTE {
        round += 1;
        let first = (round * BATCH) % ROUTES;
        cluster.kubectl(&[
            "delete",
            "httproutes",
            "--namespace",
            "many",
            "--selector",
            &format!("batch=b{first}"),
            "--wait=false",
        ])?;
        create(cluster, first..first + BATCH, round)?;
        served(cluster, first, round)?;
        changes += 2 * BATCH;
    }
    let outcome = load.stop()?;
    outcome.faultless()?;
    println!("   {changes} changes in a minute: {} requests, 0 errors; resident {memory}", outcome.requests);
    remove(cluster, "many")?;
    remove(cluster, "load")
}

/// Each says by a header of its own which state of it is served.
fn create(cluster: &Cluster, numbers: std::ops::Range<usize>, round: usize) -> Result<(), String> {
    let mut text = String::new();
    let batch = numbers.start;
    for number in numbers {
        let _infallible = write!(
            text,
            "---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: route-{number}, namespace: many, labels: {{batch: b{batch}}}}}
spec:
  parentRefs: [{{name: many}}]
  hostnames: [host-{number}.example.com]
  rules:
  - filters:
    - type: RequestRedirect
      requestRedirect: {{path: {{type: ReplaceFullPath, replaceFullPath: /round-{round}}}, statusCode: 302}}
"
        );
    }
    cluster.create(&text)
}

/// Waits until every node serves route `number` as of `round`.
fn served(cluster: &Cluster, number: usize, round: usize) -> Result<(), String> {
    let url = format!("http://host-{number}.example.com/");
    let wanted = format!("/round-{round}\r\n");
    for address in addresses(cluster) {
        cluster.wait(&format!("{url} at {address} redirects to {wanted}"), || {
            let answer = ask::Ask { url: &url, with: &[] }.to(&address)?;
            Ok(answer.status == 302 && answer.text.contains(&wanted))
        })?;
    }
    Ok(())
}

const SERVICE: &str = "apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: many, namespace: many}
spec:
  gatewayClassName: postern
  listeners:
  - {name: http, port: 80, protocol: HTTP}
";
