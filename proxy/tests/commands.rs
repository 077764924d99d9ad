//! The binary's commands from outside: what they print and how they exit.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Output, Stdio},
};

const GOOD: &str = "
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
endpoints: [{addresses: [192.0.2.1], conditions: {ready: true}}]
ports: [{name: http, port: 8080}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: shop}
spec:
  rules:
  - host: shop.example.com
    http:
      paths:
      - {path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}
";

fn postern(arguments: &[&str], directory: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_postern"));
    command.args(arguments).current_dir(directory).env_clear().output().expect("the binary runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn directory(manifests: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::create_dir(directory.path().join("d")).expect("made");
    std::fs::write(directory.path().join("d/all.yaml"), manifests).expect("written");
    directory
}

/// A line of `log` that holds `text`, and those before it.
fn lines_until(log: &mut impl BufRead, text: &str) -> String {
    let mut lines = String::new();
    while !lines.contains(text) {
        assert_ne!(log.read_line(&mut lines).expect("text"), 0, "the end, before {text:?}: {lines}");
    }
    lines
}

#[test]
fn serve_goes_on_after_sighup_and_ends_well_after_sigterm() {
    let directory = directory(GOOD);
    let mut command = Command::new(env!("CARGO_BIN_EXE_postern"));
    command.args(["serve", "--manifests", "d", "--bind", "127.0.0.1", "--map-port", "80=0", "--map-port", "443=0"]);
    command.args(["--admin", "127.0.0.1:0"]).current_dir(directory.path()).env_clear().stderr(Stdio::piped());
    let mut node = command.spawn().expect("the binary runs");
    let mut log = BufReader::new(node.stderr.take().expect("piped"));
    let started = lines_until(&mut log, " started ");
    assert!(started.contains(" admin=127.0.0.1:") && !started.contains('\x1b'), "a file gets no colours: {started}");
    let signal = |signal| {
        let pid = rustix::process::Pid::from_raw(node.id().cast_signed()).expect("a process");
        rustix::process::kill_process(pid, signal).expect("it runs");
    };
    signal(rustix::process::Signal::HUP);
    lines_until(&mut log, "SIGHUP changes nothing");
    signal(rustix::process::Signal::TERM);
    lines_until(&mut log, "stopped");
    assert_eq!(node.wait().expect("it ends").code(), Some(0));
}

#[test]
fn a_probe_asks_over_the_socket_and_says_in_one_line_why_a_node_is_not_well() {
    let directory = directory(GOOD);
    let probe = |question| postern(&["probe", question, "--socket", "admin.sock"], directory.path());
    let nobody = probe("live");
    assert_eq!((nobody.status.code(), text(&nobody.stderr).lines().count()), (Some(1), 1), "{}", text(&nobody.stderr));
    let mut command = Command::new(env!("CARGO_BIN_EXE_postern"));
    command.args(["serve", "--manifests", "d", "--bind", "127.0.0.1", "--map-port", "80=0", "--map-port", "443=0"]);
    command.args(["--admin", "off", "--admin-socket", "admin.sock"]);
    let mut node = command.current_dir(directory.path()).env_clear().stderr(Stdio::piped()).spawn().expect("it runs");
    let mut log = BufReader::new(node.stderr.take().expect("piped"));
    lines_until(&mut log, " started ");
    for (question, answer) in [("live", "ok\n"), ("ready", "ready\n")] {
        let output = probe(question);
        assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(0), answer), "{question}");
    }
    let pid = rustix::process::Pid::from_raw(node.id().cast_signed()).expect("a process");
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
    assert_eq!(node.wait().expect("it ends").code(), Some(0));
    assert!(!directory.path().join("admin.sock").exists(), "removed at stop");
}

#[test]
fn check_accepts_what_would_be_served() {
    let directory = directory(GOOD);
    let output = postern(&["check", "d"], directory.path());
    assert_eq!(output.status.code(), Some(0), "{}{}", text(&output.stdout), text(&output.stderr));
    assert!(text(&output.stdout).contains("d/all.yaml:14: Ingress shop/web: accepted"), "{}", text(&output.stdout));
}

#[test]
fn what_is_another_controllers_does_not_fail_a_check() {
    let directory = directory(&format!(
        "{GOOD}---
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {{name: theirs}}
spec: {{controller: example.com/other}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: theirs, namespace: shop}}
spec: {{ingressClassName: theirs, defaultBackend: {{service: {{name: web, port: {{number: 80}}}}}}}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {{name: theirs}}
spec: {{controllerName: example.com/gateway}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: theirs, namespace: shop}}
spec: {{gatewayClassName: theirs, listeners: [{{name: http, port: 80, protocol: HTTP}}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: theirs, namespace: shop}}
spec: {{parentRefs: [{{name: theirs}}], rules: [{{backendRefs: [{{name: web, port: 80}}]}}]}}
"
    ));
    let output = postern(&["check", "d"], directory.path());
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert_eq!(said.matches("/theirs: note: ").count() + said.matches(" theirs: note: ").count(), 4, "{said}");
    assert!(said.contains(" 4 with notes"), "{said}");
}

#[test]
fn check_names_object_field_place_and_reason_of_what_is_not() {
    let directory = directory(&GOOD.replace("service: {name: web", "service: {name: gone"));
    std::fs::write(directory.path().join("d/broken.yaml"), "a: [\n").expect("written");
    let output = postern(&["check", "d"], directory.path());
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.lines().any(|line| line.contains("Ingress shop/web") && line.contains("refused") && line.contains("gone")),
        "{said}"
    );
    assert!(said.lines().any(|line| line.starts_with("d/broken.yaml:") && line.contains("unreadable")), "{said}");

    let output = postern(&["check", "d", "--output", "json"], directory.path());
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((json["good"].as_bool(), output.status.code()), (Some(false), Some(1)));
}

#[test]
fn explain_names_the_route_or_says_why_there_is_none() {
    let directory = directory(GOOD);
    let output = postern(&["explain", "--manifests", "d", "http://shop.example.com/cart"], directory.path());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("Ingress shop/web, rule 0"), "{}", text(&output.stdout));
    let output = postern(&["explain", "--manifests", "d", "http://nobody.example.com/"], directory.path());
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("refused with 404: no route"), "{}", text(&output.stdout));
}

#[test]
fn each_mistake_has_its_exit_code_and_one_clear_line() {
    let directory = directory(GOOD);
    std::fs::write(directory.path().join("bad.yaml"), "\nwokers: 2\n").expect("written");
    let table: [(&[&str], i32, &str); 8] = [
        (&["serve"], 2, "postern: nothing to serve: name a directory of manifests with --manifests DIR"),
        (&["serve", "--kubernetes", "--manifests", "."], 2, "postern: manifests and kubernetes.watch are both set"),
        (
            &["serve", "--manifests", "d", "--workers", "x"],
            2,
            "postern: --workers: workers: \"x\" is not a whole number",
        ),
        (
            &["serve", "--manifests", "d", "--config", "bad.yaml"],
            1,
            "postern: bad.yaml:2: unknown key wokers; did you mean workers?",
        ),
        (
            &["serve", "--manifests", "nowhere", "--admin", "off"],
            1,
            "postern: cannot read the manifests directory nowhere",
        ),
        (&["check", "nowhere"], 1, "postern: cannot read the manifests directory nowhere"),
        (&["explain", "--manifests", "d", "nonsense"], 2, "postern: \"nonsense\" is not an absolute http or https URL"),
        (&["fly"], 2, "error: unrecognized subcommand 'fly'"),
    ];
    for (arguments, code, line) in table {
        let output = postern(arguments, directory.path());
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.lines().any(|have| have.starts_with(line)), "{arguments:?}: {said}");
    }
    assert_eq!(postern(&["--version"], directory.path()).status.code(), Some(0));
}
