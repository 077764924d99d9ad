//! `cargo xtask conformance`: the unmodified Gateway API suite against the built binary, on a real cluster of one node
//! whose pods Postern reaches from outside.
//!
//! It serves every Gateway on one address, that of the cluster's bridge. What cannot pass there is skipped by name,
//! with its reason below.

use std::{path::Path, time::Duration};

use crate::{
    child::Running,
    kube, tools,
    workspace::{cargo, debug_binary, peers, program, run as run_command, script, target},
};

/// Where cluster-up.sh puts its bridge; Postern listens there.
const ADDRESS: &str = "172.31.250.1";
const ADMIN: &str = "127.0.0.1:19000";
const CLASS: &str = "apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata:
  name: postern
spec:
  controllerName: postern.dev/gateway
";
const CORE: &str = "Gateway,HTTPRoute,ReferenceGrant";
/// Tests whose Gateways have the same port and hostname and must not see each other's routes, which takes an address
/// for each; TLSRouteHostnameIntersection wants a refused connection where the entry point for Ingress objects, on the
/// same address, answers with the default certificate.
const WANT_AN_ADDRESS_EACH: [&str; 6] = [
    "HTTPRouteMultipleGateways",
    "GRPCRouteMultipleGateways",
    "HTTPRouteMultipleRoutesAttachmentSameHostnameIntersection",
    "GRPCRouteMultipleRoutesAttachmentSameHostnameIntersection",
    "TLSRouteMultipleRoutesAttachmentSameHostnameIntersection",
    "TLSRouteHostnameIntersection",
];

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
    let class = folder.join("class.yaml");
    std::fs::write(&class, CLASS).map_err(|error| format!("{}: {error}", class.display()))?;
    run_command(kubectl(&["apply", "-f"]).arg(&class))?;
    let mut postern = program(debug_binary("postern"), &["serve", "--kubernetes", "--bind", ADDRESS, "--admin", ADMIN]);
    postern.env("KUBECONFIG", folder.join("kubeconfig")).env("POSTERN_KUBERNETES_ADDRESSES", ADDRESS);
    postern.env("POSTERN_KUBERNETES_CACHE", "off");
    let mut running = Running::start(&mut postern, &folder.join("postern.log"))?;
    running.wait_until(Duration::from_secs(60), |log| log.contains("listening"))?;
    let suite = summed_up(&mut suite(folder, all, arguments));
    running.stop(Duration::from_secs(60))?;
    println!("skipped, since each Gateway would need an address of its own: {}", WANT_AN_ADDRESS_EACH.join(", "));
    suite
}

fn suite(folder: &Path, all: bool, arguments: &[String]) -> std::process::Command {
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
    let mut suite = program(peers().join("bin/gwapi-conformance.test"), &words);
    suite.current_dir(folder).env("KUBECONFIG", folder.join("kubeconfig"));
    suite.args(["-organization", "postern", "-project", "postern", "-version", env!("CARGO_PKG_VERSION")]);
    suite.args(["-url", "https://postern.dev", "-contact", "https://postern.dev"]);
    suite.args(["-skip-tests", &WANT_AN_ADDRESS_EACH.join(",")]).arg("-report-output").arg(report);
    if all {
        suite.args(["-conformance-profiles", "GATEWAY-HTTP,GATEWAY-TLS,GATEWAY-GRPC"]);
    } else {
        suite.args(["-conformance-profiles", "GATEWAY-HTTP", "-supported-features", CORE]);
    }
    suite.args(arguments.iter().filter(|argument| *argument != "--all"));
    suite
}

/// Runs the suite, whose output goes to a file, and prints what failed and how many passed.
fn summed_up(suite: &mut std::process::Command) -> Result<(), String> {
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
