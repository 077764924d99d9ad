//! `cargo xtask conformance`: the unmodified Gateway API suite against the built binary, on a real cluster of one node.
//!
//! Postern and the suite are hosts of the nodes' network, each a network namespace. The GatewayClass names a pool, so each
//! Gateway has an address of its own there, which Postern announces and the suite asks for by ARP, as any client would.

use std::{path::Path, process::Command, time::Duration};

use crate::{
    child::Running,
    kube, tools,
    workspace::{cargo, debug_binary, peers, program, root, run as run_command, script, target},
};

/// Where Postern is on the bridge that cluster-up.sh makes; the pods are behind the one node.
const POSTERN: Host = Host { name: "pk-postern", address: "172.31.250.2" };
/// Where the suite is.
const SUITE: Host = Host { name: "pk-suite", address: "172.31.250.3" };
const BRIDGE: &str = "pk";
const PODS: [&str; 2] = ["10.244.1.0/24", "172.31.250.11"];
const ADMIN: &str = "127.0.0.1:19000";
/// Of a pool, and given to nobody who does not name it.
const USABLE: &str = "172.31.250.250";
/// Of no pool and no host.
const UNUSABLE: &str = "203.0.113.1";
const OBJECTS: &str = "apiVersion: v1
kind: Namespace
metadata: {name: metallb-system}
---
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: gateways, namespace: metallb-system}
spec: {addresses: [172.31.250.100-172.31.250.249]}
---
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: by-value, namespace: metallb-system}
spec: {addresses: [172.31.250.250/32], autoAssign: false}
---
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: {name: all, namespace: metallb-system}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: postern, annotations: {metallb.io/address-pool: gateways}}
spec: {controllerName: postern.dev/gateway}
";
const CORE: &str = "Gateway,GatewayStaticAddresses,HTTPRoute,ReferenceGrant";

/// The command: the core of GATEWAY-HTTP, or with `--all` the profiles HTTP, TLS and GRPC with every feature that the
/// GatewayClass says is carried. Other flags go to the suite.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let all = arguments.iter().any(|argument| argument == "--all");
    let folder = target().join("conformance");
    run_command(&mut cargo(&["build", "-p", "postern-proxy", "--bin", "postern"]))?;
    run_command(&mut script("gwapi-conformance.sh"))?;
    let crds = tools::gateway_crds()?;
    let cluster = folder.display().to_string();
    kube::cluster(&["up".to_owned(), cluster.clone()])?;
    let outcome = on_cluster(&folder, &crds, all, arguments);
    kube::cluster(&["down".to_owned(), cluster])?;
    outcome
}

fn on_cluster(folder: &Path, crds: &Path, all: bool, arguments: &[String]) -> Result<(), String> {
    let kubectl = |words: &[&str]| {
        let mut command = program(peers().join("bin/kubectl"), words);
        command.env("KUBECONFIG", folder.join("kubeconfig"));
        command
    };
    run_command(kubectl(&["apply", "--server-side", "-f"]).arg(crds).stdout(std::process::Stdio::null()))?;
    run_command(kubectl(&["apply", "--server-side", "-f"]).arg(root().join("deploy/crds/metallb.yaml")))?;
    let objects = folder.join("objects.yaml");
    std::fs::write(&objects, OBJECTS).map_err(|error| format!("{}: {error}", objects.display()))?;
    run_command(
        kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"])
            .stdout(std::process::Stdio::null()),
    )?;
    run_command(kubectl(&["apply", "-f"]).arg(&objects))?;
    let (at_postern, at_suite) = (POSTERN.plug_in()?, SUITE.plug_in()?);
    run_command(&mut at_postern.run("ip", &["route", "add", PODS[0], "via", PODS[1]]))?;
    let binary = debug_binary("postern").display().to_string();
    let mut postern = at_postern.run(&binary, &["serve", "--kubernetes", "--admin", ADMIN]);
    postern.env("KUBECONFIG", folder.join("kubeconfig")).env("POSTERN_KUBERNETES_ADDRESSES", POSTERN.address);
    // It announces in the place of the one node that the cluster knows.
    postern
        .env("POSTERN_NODE", "node1")
        .env("POSTERN_KUBERNETES_CACHE", "off")
        .env("POSTERN_VIPS_DIRECTORY", folder.join("run"));
    let mut running = Running::start(&mut postern, &folder.join("postern.log"))?;
    running.wait_until(Duration::from_secs(60), |log| log.contains("listening"))?;
    let suite = summed_up(&mut suite(&at_suite, folder, all, arguments));
    running.stop(Duration::from_secs(60))?;
    suite
}

/// A host of the nodes' network.
struct Host {
    name: &'static str,
    address: &'static str,
}

impl Host {
    fn plug_in(&self) -> Result<PluggedIn, String> {
        let Self { name, address } = self;
        let ip = |line: &str| run_command(&mut program("ip", &line.split(' ').collect::<Vec<_>>()));
        ip(&format!("netns add {name}"))?;
        let host = PluggedIn(name);
        ip(&format!("-n {name} link set lo up"))?;
        ip(&format!("link add {name} type veth peer name eth0 netns {name}"))?;
        ip(&format!("link set {name} master {BRIDGE} up"))?;
        ip(&format!("-n {name} addr add {address}/24 dev eth0"))?;
        ip(&format!("-n {name} link set eth0 up"))?;
        Ok(host)
    }
}

/// Its namespace, which goes with this.
struct PluggedIn(&'static str);

impl PluggedIn {
    fn run(&self, name: &str, arguments: &[&str]) -> Command {
        let mut command = program("ip", &["netns", "exec", self.0, name]);
        command.args(arguments);
        command
    }
}

impl Drop for PluggedIn {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", self.0]).status();
    }
}

fn suite(host: &PluggedIn, folder: &Path, all: bool, arguments: &[String]) -> Command {
    let report = target().join("conformance-report.yaml");
    let words = [
        "-test.v",
        "-test.run",
        "^TestConformance$",
        "-test.timeout",
        "30m",
        "-allow-crds-mismatch",
        "-gateway-class",
        "postern",
    ];
    let binary = peers().join("bin/gwapi-conformance.test").display().to_string();
    let mut suite = host.run(&binary, &words);
    suite.current_dir(folder).env("KUBECONFIG", folder.join("kubeconfig"));
    suite.args(["-organization", "postern", "-project", "postern", "-version", env!("CARGO_PKG_VERSION")]);
    suite.args(["-url", "https://postern.dev", "-contact", "https://postern.dev"]);
    suite.args(["-usable-address", USABLE, "-unusable-address", UNUSABLE]).arg("-report-output").arg(report);
    if all {
        suite.args(["-conformance-profiles", "GATEWAY-HTTP,GATEWAY-TLS,GATEWAY-GRPC"]);
    } else {
        suite.args(["-conformance-profiles", "GATEWAY-HTTP", "-supported-features", CORE]);
    }
    suite.args(arguments.iter().filter(|argument| *argument != "--all"));
    suite
}

/// Runs the suite, whose output goes to a file, and prints what failed and how many passed.
fn summed_up(suite: &mut Command) -> Result<(), String> {
    let log = target().join("conformance.log");
    let file = std::fs::File::create(&log).map_err(|error| format!("{}: {error}", log.display()))?;
    let copy = file.try_clone().map_err(|error| format!("{}: {error}", log.display()))?;
    let outcome = run_command(suite.stdout(file).stderr(copy));
    let text = std::fs::read(&log).map_err(|error| format!("{}: {error}", log.display()))?;
    let text = String::from_utf8_lossy(&text);
    let passed = text.lines().filter(|line| line.starts_with("    --- PASS")).count();
    text.lines().filter(|line| line.trim_start().starts_with("--- FAIL")).for_each(|line| println!("{line}"));
    println!("{passed} tests passed; everything they said is in {}", log.display());
    outcome.map_err(|_| format!("the suite failed: {}", text.lines().last().unwrap_or_default()))
}
