//! Virtual addresses: given out, announced and served, through a rolling update and the death of their owner; one that
//! Postern serves, and one of a Service that kube-proxy does.

use std::time::{Duration, Instant};

use super::{HOST, Setting, remove, under_load};
use crate::{
    e2e::{ask, load::Load},
    workspace::{output, program, root},
};

/// Of the nodes' network, beyond their own.
const SERVED: &str = "172.31.250.200";
const FOREIGN: &str = "172.31.250.201";
/// A full probe (RFC 5227) and two writes of the holder of the Lease take ten seconds.
const ANNOUNCED: Duration = Duration::from_secs(60);
/// Longer than any take-over.
const TAKEN_OVER: Duration = Duration::from_secs(15);

pub(crate) fn run(setting: &Setting<'_>) -> Result<(), String> {
    let (cluster, installed) = (setting.cluster, setting.installed);
    cluster.apply_folder(&root().join("deploy/crds"))?;
    under_load(cluster)?;
    cluster.apply(ADDRESSES)?;
    for (address, url) in [(SERVED, format!("http://{HOST}/")), (FOREIGN, "http://anything/".to_owned())] {
        let took = crate::e2e::cluster::wait(&format!("200 of {url} at {address}"), ANNOUNCED, || {
            Ok(ask::status(address, &url).is_ok_and(|status| status == 200))
        })?;
        println!("   {address} answers after {:.1} s", took.as_secs_f64());
    }
    reached_from_within(setting)?;
    let before = owner(setting)?;
    let load = Load::start(&[SERVED.to_owned()], HOST)?;
    installed.restart()?;
    let outcome = load.stop()?;
    outcome.faultless()?;
    let after = owner(setting)?;
    println!(
        "   rolling update: {} requests to {SERVED}, 0 errors; owner {before} before, {after} after",
        outcome.requests
    );
    let longest = outage(setting, || {
        let number = cluster.nodes().find(|number| after.ends_with(&number.to_string()));
        installed.kill(&installed.pod_on(number.ok_or_else(|| format!("no node is called {after}"))?)?)
    })?;
    println!("   owner killed: {:.3} s without an answer", longest.as_secs_f64());
    let url = "http://anything/";
    crate::e2e::cluster::wait("the other Service's address after it", TAKEN_OVER, || {
        Ok(ask::status(FOREIGN, url).is_ok_and(|status| status == 200))
    })?;
    installed.ready()?;
    reached_from_within(setting)?;
    cluster.kubectl(&["delete", "namespace", "metallb-system", "--timeout=60s"])?;
    remove(cluster, "load")
}

/// Both addresses answer the nodes themselves and their pods, whoever owns them.
fn reached_from_within(setting: &Setting<'_>) -> Result<(), String> {
    let cluster = setting.cluster;
    let mut pods = 0;
    for number in cluster.nodes() {
        let url = |address| format!("http://{address}/");
        for address in [SERVED, FOREIGN] {
            answered(&mut cluster.inside(number, &CURL), address, &url(address), &format!("node {number}"))?;
        }
        for process in cluster.pod_networks(number)? {
            pods += 1;
            for address in [SERVED, FOREIGN] {
                let mut curl = program("nsenter", &[&format!("--net=/proc/{process}/ns/net")]);
                answered(curl.args(CURL), address, &url(address), &format!("a pod of node {number}"))?;
            }
        }
    }
    if pods == 0 {
        return Err("no node has a pod with a network of its own".to_owned());
    }
    println!("   both addresses answer all nodes and {pods} pods of theirs");
    Ok(())
}

const CURL: [&str; 8] = ["curl", "--silent", "--max-time", "5", "--output", "/dev/null", "--write-out", "%{http_code}"];

fn answered(curl: &mut std::process::Command, address: &str, url: &str, who: &str) -> Result<(), String> {
    let status = output(curl.args(["--header", &format!("Host: {HOST}"), url]));
    match status.as_deref() {
        Ok("200") => Ok(()),
        other => Err(format!("{who} asked {address} and got {other:?}")),
    }
}

/// The node that answers for the served address, as every node says.
fn owner(setting: &Setting<'_>) -> Result<String, String> {
    let cluster = setting.cluster;
    let mut owner = String::new();
    crate::e2e::cluster::wait("one owner in the eyes of all nodes", TAKEN_OVER, || {
        let all: Result<Vec<_>, _> = cluster.nodes().map(|number| owner_seen_by(setting, number)).collect();
        // A pod that has just been killed answers nothing yet.
        let all = all.unwrap_or_default();
        owner = all.first().cloned().unwrap_or_default();
        Ok(!owner.is_empty() && all.iter().all(|seen| *seen == owner))
    })?;
    Ok(owner)
}

fn owner_seen_by(setting: &Setting<'_>, number: usize) -> Result<String, String> {
    let text = setting.installed.postern(&setting.installed.pod_on(number)?, &["vip", "--output", "json"])?;
    let of_address = text.split(&format!("\"address\": \"{SERVED}\"")).nth(1).unwrap_or_default();
    let owner = of_address.split("\"owner\": \"").nth(1).and_then(|rest| rest.split('"').next());
    Ok(owner.unwrap_or_default().to_owned())
}

/// The longest time without an answer while `harm` is done and after it.
fn outage(setting: &Setting<'_>, harm: impl FnOnce() -> Result<(), String>) -> Result<Duration, String> {
    let before = owner(setting)?;
    let url = format!("http://{HOST}/");
    let (mut answered, mut longest) = (Instant::now(), Duration::ZERO);
    harm()?;
    let harmed = Instant::now();
    while harmed.elapsed() < TAKEN_OVER {
        let mut curl = program("curl", &["--silent", "--output", "/dev/null", "--max-time", "0.2", "--connect-to"]);
        let status = output(curl.arg(format!("::{SERVED}:")).args(["--write-out", "%{http_code}", &url]));
        if status.is_ok_and(|status| status == "200") {
            longest = longest.max(answered.elapsed());
            answered = Instant::now();
        }
    }
    if owner(setting)? == before && longest < Duration::from_millis(200) {
        return Err(format!("{before} was killed and nothing happened"));
    }
    Ok(longest)
}

const ADDRESSES: &str = "apiVersion: v1
kind: Namespace
metadata: {name: metallb-system}
---
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: public, namespace: metallb-system}
spec: {addresses: [172.31.250.200-172.31.250.201]}
---
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: {name: all, namespace: metallb-system}
spec: {ipAddressPools: [public]}
---
apiVersion: v1
kind: Service
metadata: {name: edge, namespace: load, annotations: {metallb.io/loadBalancerIPs: 172.31.250.200}}
spec:
  type: LoadBalancer
  loadBalancerClass: postern.dev/proxy
  ports: [{name: web, port: 80}, {name: websecure, port: 443}]
---
apiVersion: v1
kind: Service
metadata: {name: foreign, namespace: load}
spec:
  type: LoadBalancer
  selector: {app: backend}
  ports: [{name: http, port: 80, targetPort: 8080}]
";
