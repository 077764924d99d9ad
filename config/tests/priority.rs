//! Which of several objects takes a request, across kinds, hosts and paths.

use std::path::Path;

use http::{HeaderMap, Method};

use postern_config::{
    compile::Compiler,
    kubernetes::{convert::Settings, document},
    snapshot::{RequestKey, SocketKey},
};

const SERVICE: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 80}]}\n";

/// An IngressRoute of one rule.
fn ranked(name: &str, rule: &str, priority: i64) -> String {
    aged(name, rule, priority, "null")
}

fn aged(name: &str, rule: &str, priority: i64, created: &str) -> String {
    let route = format!("{{match: '{rule}', priority: {priority}, services: [{{name: web, port: 80}}]}}");
    format!(
        "---\napiVersion: traefik.io/v1alpha1\nkind: IngressRoute\n\
         metadata: {{name: {name}, creationTimestamp: {created}}}\nspec: {{routes: [{route}]}}\n"
    )
}

fn ingress(name: &str, host: &str, path: &str) -> String {
    let backend = "{service: {name: web, port: {number: 80}}}";
    let path = format!("{{path: {path}, pathType: Prefix, backend: {backend}}}");
    format!(
        "---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{name: {name}}}\n\
         spec: {{rules: [{{host: {host}, http: {{paths: [{path}]}}}}]}}\n"
    )
}

fn http_route(name: &str, host: &str, path: &str) -> String {
    format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {{name: g}}\n\
         spec: {{controllerName: postern.dev/gateway}}\n\
         ---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: g}}\n\
         spec: {{gatewayClassName: g, listeners: [{{name: web, port: 80, protocol: HTTP}}]}}\n\
         ---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: {name}}}\n\
         spec: {{parentRefs: [{{name: g}}], hostnames: [{host}], rules: [{{\
         matches: [{{path: {{type: PathPrefix, value: {path}}}}}], backendRefs: [{{name: web, port: 80}}]}}]}}\n"
    )
}

/// The name of the object that takes `GET http://HOST/PATH`.
fn winner(objects: &[String], host: &str, path: &str) -> Option<String> {
    let text = SERVICE.to_owned() + &objects.concat();
    let parsed = document::parse_bytes(Path::new("input.yaml"), text.as_bytes());
    assert_eq!(parsed.input, []);
    let mut compiler = Compiler::new(Settings::for_files("2026-06-01T00:00:00Z".parse().expect("a time")));
    let snapshot = compiler.apply(parsed.changes).snapshot;
    let listener = snapshot.listeners.get(&SocketKey { address: None, port: 80 }).expect("web is there");
    let (headers, peer) = (HeaderMap::new(), [192, 0, 2, 1].into());
    let request = RequestKey { host, path, query: None, method: &Method::GET, headers: &headers, peer };
    listener.find(request).map(|rule| rule.source.object.name.to_string())
}

#[test]
fn priority_decides_whatever_host_and_path_say() {
    let exact = ranked("exact", "Host(`a.b`) && Path(`/x`)", 0);
    for (other, want) in [
        (ranked("wide", "PathPrefix(`/`)", 1000), "wide"),
        (ranked("wide", "PathPrefix(`/`)", 0), "exact"),
        (ranked("wide", "PathPrefix(`/`)", -1), "exact"),
        // The longer text goes first, also where it says less.
        (ranked("wide", "HostRegexp(`^[a-z]+[.][a-z]+$`)", 0), "wide"),
        (ranked("wide", "Host(`*.b`) && PathPrefix(`/`) ", 0), "wide"),
        (ranked("wide", "Host(`*.b`) && Path(`/x`)", 0), "exact"),
        (ranked("wide", "Host(`a.b`)", 26), "wide"),
        (ranked("wide", "Host(`a.b`)", 24), "exact"),
        // Above what users may ask for: not honoured, and not ahead of others.
        (ranked("wide", "Host(`a.b`)", i64::MAX), "exact"),
    ] {
        for objects in [[exact.clone(), other.clone()], [other.clone(), exact.clone()]] {
            assert_eq!(winner(&objects, "a.b", "/x").as_deref(), Some(want), "{other}");
        }
    }
}

#[test]
fn at_equal_priority_the_oldest_goes_first_then_the_name() {
    let (old, new) = ("\"2026-01-01T00:00:00Z\"", "\"2026-02-01T00:00:00Z\"");
    for (a, b, want) in [
        (aged("a", "Host(`a.b`)", 0, new), aged("b", "Host(`a.b`)", 0, old), "b"),
        (aged("a", "Host(`a.b`)", 0, old), aged("b", "Host(`a.b`)", 0, old), "a"),
        // Of different places, but of one length.
        (aged("a", "PathPrefix(`/ab`)", 5, new), aged("b", "Host(`a.b`)", 5, old), "b"),
        (aged("a", "PathPrefix(`/ab`)", 5, old), aged("b", "Host(`a.b`)", 5, old), "a"),
    ] {
        for objects in [[a.clone(), b.clone()], [b.clone(), a.clone()]] {
            assert_eq!(winner(&objects, "a.b", "/abc").as_deref(), Some(want), "{a} {b}");
        }
    }
}

#[test]
fn other_kinds_take_part_with_the_priority_that_traefik_gives_them() {
    let rule = "Host(`a.b`) && PathPrefix(`/x`)";
    let length = i64::try_from(rule.len()).expect("a short text");
    for (priority, with_ingress, with_gateway) in [
        (0, "ranked", "other"),
        (length - 1, "other", "other"),
        (length + 1, "ranked", "other"),
        (10_000 + 200 + 3, "ranked", "other"),
        (10_000 + 200 + 4, "ranked", "ranked"),
    ] {
        let ranked = ranked("ranked", rule, priority);
        let objects = [ranked.clone(), ingress("other", "a.b", "/x")];
        assert_eq!(winner(&objects, "a.b", "/x").as_deref(), Some(with_ingress), "Ingress against {priority}");
        let objects = [ranked, http_route("other", "a.b", "/x")];
        assert_eq!(winner(&objects, "a.b", "/x").as_deref(), Some(with_gateway), "HTTPRoute against {priority}");
    }
    // A wider one of them is still looked for where the narrower does not fit.
    let objects = [ranked("ranked", "Host(`a.b`)", -1), ingress("narrow", "a.b", "/y"), ingress("wide", "a.b", "/")];
    assert_eq!(winner(&objects, "a.b", "/x").as_deref(), Some("wide"));
    assert_eq!(winner(&objects, "a.b", "/y").as_deref(), Some("narrow"));
}

#[test]
fn a_request_takes_the_route_that_its_rule_describes() {
    let objects = [
        ranked("sale", "Host(`shop.example`) && PathPrefix(`/products`)", 0),
        ranked("shop", "Host(`Shop.Example.`)", 0),
        ranked("address", "Host(`192.0.2.9`)", 0),
        ranked("nameless", "Host(`*`)", 0),
    ];
    for (host, path, want) in [
        ("shop.example", "/products-for-sale", "sale"),
        ("shop.example", "/product", "shop"),
        ("192.0.2.9", "/", "address"),
        ("", "/", "nameless"),
        ("other.example", "/", "nameless"),
    ] {
        assert_eq!(winner(&objects, host, path).as_deref(), Some(want), "{host}{path}");
    }
}
