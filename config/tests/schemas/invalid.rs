//! Gateway API's own examples of what its validation refuses. A server whose CRDs are older takes some of them: each gets
//! a finding that closes its part, by name, and nothing panics.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use super::*;

/// What the examples refer to, so that nothing but their own fault is wrong.
const AROUND: &str = r#"
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: example}
spec: {controllerName: postern.dev/gateway}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: prod-web, namespace: default}
spec: {gatewayClassName: ours, listeners: [{name: http, port: 8081, protocol: HTTP}]}
---
apiVersion: v1
kind: Service
metadata: {name: foo, namespace: default}
spec: {ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: my-service, namespace: default}
spec: {ports: [{port: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: my-service1, namespace: default}
spec: {ports: [{port: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: example-svc, namespace: default}
spec: {ports: [{port: 80}]}
"#;

fn examples() -> BTreeMap<String, String> {
    let folder = PathBuf::from(std::env::var("POSTERN_CRDS").expect("POSTERN_CRDS names the folder of the CRDs"));
    let mut files = Vec::new();
    yaml_files(&folder, &mut files);
    let of = |path: PathBuf| {
        let (_, name) = path.to_str()?.split_once("/invalid-examples/")?;
        Some((name.to_owned(), fs::read_to_string(&path).unwrap()))
    };
    files.into_iter().filter_map(of).collect()
}

fn yaml_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            yaml_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            files.push(path);
        }
    }
}

/// Routes without a parent get one, so that they would be served.
fn with_parent(yaml: &str) -> String {
    let parent = match yaml.contains("kind: TLSRoute") {
        true => "{name: edge, sectionName: tls}",
        false => "{name: edge, sectionName: http}",
    };
    let is_route = yaml.contains("Route\n") && !yaml.contains("parentRefs:") && !yaml.contains("ReferenceGrant");
    if is_route { yaml.replacen("spec:\n", &format!("spec:\n  parentRefs: [{parent}]\n"), 1) } else { yaml.to_owned() }
}

/// What is refused of the one object in `yaml`, or has no effect.
fn findings_of(yaml: &str) -> Vec<String> {
    let parse = |text: &str| document::parse_bytes(Path::new("example.yaml"), text.as_bytes());
    let example = parse(&with_parent(yaml));
    assert_eq!(example.input, [], "{yaml}");
    let key = example.changes.first().map(Change::key).unwrap();
    let mut compiler = Compiler::new(Settings::for_files(jiff::Timestamp::UNIX_EPOCH));
    compiler.apply(parse(&format!("{WORLD}{AROUND}")).changes);
    let report = compiler.apply(example.changes).report;
    let verdict = report.objects.get(&key.id()).unwrap();
    let told = verdict.findings.iter().filter(|finding| finding.severity <= Severity::Ignored);
    told.map(|finding| format!("{} {} {}", finding.severity.as_str(), finding.reason, finding.field)).collect()
}

/// What must be found in each, among other things. Two entries of a match for one name are no fault: the first counts.
const EXPECTED: &[(&str, &str)] = &[
    (
        "experimental/httproute/invalid-filter-externalauth-bad-http-path.yaml",
        "refused UnsupportedValue spec.rules[0].filters[0]",
    ),
    (
        "experimental/httproute/invalid-filter-externalauth-empty.yaml",
        "refused UnsupportedValue spec.rules[0].filters[0]",
    ),
    (
        "experimental/httproute/invalid-filter-externalauth-no-protocol.yaml",
        "refused UnsupportedValue spec.rules[0].filters[0]",
    ),
    (
        "experimental/httproute/invalid-header-value.yaml",
        "refused UnsupportedValue spec.rules[0].filters[0].responseHeaderModifier.add[0].value",
    ),
    ("standard/gateway/duplicate-listeners.yaml", "refused UnsupportedValue spec.listeners[0].name"),
    ("standard/gateway/hostname-tcp.yaml", "refused UnsupportedProtocol spec.listeners[0].protocol"),
    ("standard/gateway/hostname-udp.yaml", "refused UnsupportedProtocol spec.listeners[0].protocol"),
    ("standard/gateway/invalid-addresses.yaml", "refused UnsupportedAddress spec.addresses[0].value"),
    ("standard/gateway/invalid-listener-name.yaml", "refused UnsupportedValue spec.listeners[0].name"),
    ("standard/gateway/invalid-listener-port.yaml", "refused InvalidField spec.listeners[0].port"),
    ("standard/gateway/invalid-tls-mode.yaml", "refused UnsupportedValue spec.listeners[0].tls.mode"),
    ("standard/gateway/tlsconfig-tcp.yaml", "refused UnsupportedProtocol spec.listeners[0].protocol"),
    // Nobody's of ours.
    ("standard/gatewayclass/invalid-controller.yaml", ""),
    ("standard/httproute/duplicate-header-match.yaml", "ignored Duplicate spec.rules[0].matches[0].headers[1]"),
    ("standard/httproute/duplicate-query-match.yaml", "ignored Duplicate spec.rules[0].matches[0].queryParams[1]"),
    (
        "standard/httproute/httproute-portless-backend.yaml",
        "refused UnsupportedValue spec.rules[0].backendRefs[0].port",
    ),
    (
        "standard/httproute/httproute-portless-service.yaml",
        "refused UnsupportedValue spec.rules[0].backendRefs[0].port",
    ),
    ("standard/httproute/invalid-backend-group.yaml", "refused InvalidKind spec.rules[0].backendRefs[0].kind"),
    ("standard/httproute/invalid-backend-kind.yaml", "refused InvalidKind spec.rules[0].backendRefs[0].kind"),
    ("standard/httproute/invalid-backend-port.yaml", "refused InvalidField spec.rules[0].backendRefs[0].port"),
    // What is taken out twice is taken out.
    ("standard/httproute/invalid-filter-duplicate-header.yaml", ""),
    ("standard/httproute/invalid-filter-duplicate.yaml", "refused IncompatibleFilters spec.rules[0].filters[1]"),
    ("standard/httproute/invalid-filter-empty.yaml", "refused UnsupportedValue spec.rules[0].filters[0]"),
    ("standard/httproute/invalid-filter-wrong-field.yaml", "refused UnsupportedValue spec.rules[0].filters[0]"),
    (
        "standard/httproute/invalid-header-name.yaml",
        "refused UnsupportedValue spec.rules[0].matches[0].headers[0].name",
    ),
    ("standard/httproute/invalid-hostname.yaml", "refused UnsupportedValue spec.hostnames[0]"),
    (
        "standard/httproute/invalid-httpredirect-hostname.yaml",
        "refused UnsupportedValue spec.rules[0].filters[0].requestRedirect.hostname",
    ),
    ("standard/httproute/invalid-method.yaml", "refused InvalidField spec.rules[0].matches[0].method"),
    (
        "standard/httproute/invalid-path-alphanum-specialchars-mix.yaml",
        "refused UnsupportedValue spec.rules[0].matches[0].path.value",
    ),
    (
        "standard/httproute/invalid-path-specialchars.yaml",
        "refused UnsupportedValue spec.rules[0].matches[0].path.value",
    ),
    (
        "standard/httproute/invalid-request-redirect-with-backendref.yaml",
        "refused IncompatibleFilters spec.rules[0].backendRefs",
    ),
    ("standard/referencegrant/missing-from.yaml", "refused InvalidField spec"),
    ("standard/referencegrant/missing-ns.yaml", "refused InvalidField spec.from[0]"),
    ("standard/referencegrant/missing-to.yaml", "refused InvalidField spec"),
    ("standard/tlsroute/invalid-hostname.yaml", "refused UnsupportedValue spec.hostnames[0]"),
    // Older versions of the kind need none; a backend without a port is what is wrong here.
    ("standard/tlsroute/no-hostname.yaml", "refused UnsupportedValue spec.rules[0].backendRefs[0].port"),
];

#[test]
#[ignore = "needs the CRDs of other projects: cargo xtask test schemas"]
fn each_example_of_what_validation_refuses_is_refused_here_by_name() {
    let examples = examples();
    let names: Vec<_> = EXPECTED.iter().map(|(name, _)| *name).collect();
    assert_eq!(examples.keys().collect::<Vec<_>>(), names, "what is published is what is expected");
    let wrong = EXPECTED.iter().filter_map(|(name, expected)| {
        let found = examples.get(*name).map(|yaml| findings_of(yaml)).unwrap_or_default();
        let is_there = found.iter().any(|found| found == expected) || (expected.is_empty() && found.is_empty());
        (!is_there).then(|| format!("{name}: {expected:?} is not in {found:#?}"))
    });
    let wrong: Vec<_> = wrong.collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
