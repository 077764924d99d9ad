//! Traefik serves, then Postern, then Traefik again: the address of Traefik's Service answers throughout, and no object
//! of anybody is another afterwards.

use super::{Setting, echo, remove};
use crate::{
    e2e::{ask, cluster::Cluster, world::World},
    workspace::{debug_binary, output, program, run as run_command},
};

/// Of Traefik's Service, as MetalLB or a cloud would give it; this machine sends it to the first node.
const ADDRESS: &str = "172.31.251.80";

pub(crate) fn run(setting: &Setting<'_>) -> Result<(), String> {
    let (cluster, installed) = (setting.cluster, setting.installed);
    installed.uninstall()?;
    route(cluster, "replace")?;
    cluster.apply(TRAEFIK)?;
    cluster.rolled_out("traefik", "deployment/traefik")?;
    give_address(cluster)?;
    cluster.apply(SHOP)?;
    cluster.apply(&echo("shop", "shop", "8080", 1))?;
    cluster.rolled_out("shop", "deployment/shop")?;
    answers(cluster, "Traefik alone")?;
    // Traefik says so too, in its own time.
    cluster.wait("Traefik's address in the status of the Ingress", || {
        Ok(status(cluster)?.matches(ADDRESS).count() == 2)
    })?;
    let before = World::of(cluster)?;
    let shown = status(cluster)?;

    installed.upgrade(&[])?;
    answers(cluster, "Traefik, while Postern observes")?;
    let mut plan = program(debug_binary("postern"), &["takeover", "plan"]);
    let plan = output(plan.env("KUBECONFIG", cluster.kubeconfig()))?;
    if !plan.contains("traefik/traefik") || !plan.contains(ADDRESS) {
        return Err(format!("`postern takeover plan` does not speak of Traefik's Service and its address:\n{plan}"));
    }
    same(&before, &World::of(cluster)?, "while Postern observed")?;
    if status(cluster)? != shown {
        return Err("status was written while observing".to_owned());
    }

    cluster.kubectl(&["scale", "deployment/traefik", "-n", "traefik", "--replicas=0"])?;
    cluster.kubectl(&["wait", "pods", "--all", "-n", "traefik", "--for=delete", "--timeout=60s"])?;
    installed.upgrade(&["config.takeover.traefik=own", "config.takeover.service=traefik/traefik"])?;
    answers(cluster, "Postern at the address of Traefik's Service")?;

    installed.upgrade(&["config.takeover.traefik=observe"])?;
    cluster.kubectl(&["scale", "deployment/traefik", "-n", "traefik", "--replicas=1"])?;
    cluster.rolled_out("traefik", "deployment/traefik")?;
    answers(cluster, "Traefik again")?;
    installed.uninstall()?;
    // Its own number of replicas is what was changed here and back.
    let after = World::of(cluster)?;
    same(&before, &after, "after Postern had gone")?;
    println!("   {} objects, none changed", after.len());

    remove(cluster, "shop")?;
    remove(cluster, "traefik")?;
    cluster.kubectl(&["delete", "ingressclass/traefik", "clusterrole/traefik", "clusterrolebinding/traefik"])?;
    route(cluster, "del")?;
    installed.upgrade(&[])
}

fn answers(cluster: &Cluster, who: &str) -> Result<(), String> {
    for url in ["http://shop.example.com/", "https://shop.example.com/"] {
        let waited = cluster.wait(&format!("200 of {url} at {ADDRESS} from {who}"), || {
            ask::status(ADDRESS, url).map(|status| status == 200)
        })?;
        println!("   {who}: {url} answered after {:.1} s", waited.as_secs_f64());
    }
    Ok(())
}

fn same(before: &World, after: &World, when: &str) -> Result<(), String> {
    let is_scaling = |line: &&String| !line.starts_with("changed: Deployment/traefik/");
    let changes = before.changes(after);
    let changes: Vec<&String> = changes.iter().filter(is_scaling).collect();
    if changes.is_empty() { Ok(()) } else { Err(format!("{when}: {changes:#?}")) }
}

fn status(cluster: &Cluster) -> Result<String, String> {
    let of =
        |namespace| cluster.kubectl(&["get", "ingress,service", "-n", namespace, "-o", "jsonpath={.items[*].status}"]);
    Ok(of("shop")? + &of("traefik")?)
}

fn route(cluster: &Cluster, verb: &str) -> Result<(), String> {
    let via = cluster.address(1);
    let words = ["route", verb, &format!("{ADDRESS}/32"), "via", &via];
    run_command(&mut program("ip", &words))
}

/// What a load balancer's controller does.
fn give_address(cluster: &Cluster) -> Result<(), String> {
    let patch = format!("{{\"status\":{{\"loadBalancer\":{{\"ingress\":[{{\"ip\":\"{ADDRESS}\"}}]}}}}}}");
    let words = ["patch", "service", "traefik", "-n", "traefik", "--subresource=status", "--type=merge", "-p", &patch];
    cluster.kubectl(&words).map(drop)
}

/// As Traefik's chart renders it.
const TRAEFIK: &str = include_str!("traefik.yaml");

const SHOP: &str = "apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Service
metadata: {name: shop, namespace: shop}
spec:
  selector: {app: shop}
  ports: [{name: http, port: 80, targetPort: 8080}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: shop, namespace: shop}
spec:
  ingressClassName: traefik
  rules:
  - host: shop.example.com
    http:
      paths:
      - {path: /, pathType: Prefix, backend: {service: {name: shop, port: {number: 80}}}}
---
apiVersion: traefik.io/v1alpha1
kind: Middleware
metadata: {name: hardened, namespace: shop}
spec:
  headers: {frameDeny: true}
";
