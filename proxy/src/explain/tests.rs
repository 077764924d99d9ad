//! What explain says is what the data plane does.

use std::{net::Ipv4Addr, path::Path};

use postern_config::publish::{Published, load_once};
use proptest::prelude::*;

use super::*;

const MANIFESTS: &str = r"
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
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: postern}
spec: {controllerName: postern.dev/gateway}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop}
spec:
  gatewayClassName: postern
  listeners: [{name: http, port: 80, protocol: HTTP}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: cart, namespace: shop}
spec:
  parentRefs: [{name: edge}]
  hostnames: [shop.example.com]
  rules:
  - matches: [{path: {type: PathPrefix, value: /cart}}]
    backendRefs: [{name: web, port: 80}]
  - matches: [{path: {type: PathPrefix, value: /cart}, method: POST}]
    backendRefs: [{name: web, port: 80}]
  - matches: [{path: {type: Exact, value: /cart/x}, headers: [{name: X-A, value: b}]}]
    backendRefs: [{name: web, port: 80}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: wide, namespace: shop}
spec:
  parentRefs: [{name: edge}]
  hostnames: ['*.example.com']
  rules: [{backendRefs: [{name: web, port: 80}]}]
";

fn published() -> Published {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("all.yaml"), MANIFESTS).expect("written");
    load(directory.path())
}

fn load(directory: &Path) -> Published {
    load_once(directory, Settings::default().for_compiler(jiff::Timestamp::now())).expect("readable")
}

fn ask(published: &Published, method: &str, url: &str, headers: &[&str]) -> Answer {
    let headers: Vec<_> = headers.iter().map(|text| (*text).to_owned()).collect();
    let question = Question::parse(method, url, &headers, Ipv4Addr::LOCALHOST.into()).expect("a question");
    explain(&question, &published.snapshot, &Settings::default(), &Health::default())
}

fn winner(answer: &Answer) -> String {
    match &answer.outcome {
        Outcome::Route(rule) => format!("{} {}", rule.route, rule.rule),
        Outcome::Passthrough { owner, .. } => owner.clone(),
        Outcome::Refused { status, reason } => format!("{status:?} {reason}"),
    }
}

#[test]
fn the_winner_is_named_with_its_endpoints() {
    let published = published();
    let answer = ask(&published, "GET", "http://Shop.Example.com/cart/../cart?q=1", &[]);
    assert_eq!(winner(&answer), "HTTPRoute shop/cart 0", "{answer:#?}");
    assert_eq!((answer.request.host.as_str(), answer.request.path.as_str()), ("shop.example.com", "/cart"));
    let text = text::Text(&answer).to_string();
    assert!(text.contains("to shop/web:80 (weight 1): 192.0.2.1:8080"), "{text}");
}

#[test]
fn each_loser_says_why() {
    let published = published();
    let answer = ask(&published, "GET", "http://shop.example.com/cart/x", &[]);
    let table = [
        ("HTTPRoute shop/cart", 1, "the method is GET, not POST"),
        ("HTTPRoute shop/cart", 2, "it wants that header x-a is \"b\""),
        ("HTTPRoute shop/wide", 0, "host shop.example.com is more specific than **.example.com"),
    ];
    for (route, rule, reason) in table {
        let loser = answer.losers.iter().find(|loser| loser.route == route && loser.rule == rule);
        assert_eq!(loser.map(|loser| loser.reason.as_str()), Some(reason), "{:#?}", answer.losers);
    }
}

#[test]
fn what_is_refused_says_why() {
    let published = published();
    let table = [
        ("http://nobody.test/", "Some(404) no route"),
        ("http://shop.example.com/a%00", "Some(400) bad request: NUL in the path"),
        ("http://shop.example.com:81/", "None no plain listener on port 81; there are: web *:80 (plain)"),
    ];
    for (url, wanted) in table {
        let said = winner(&ask(&published, "GET", url, &[]));
        assert!(said.starts_with(wanted), "{url}: {said}");
    }
}

#[test]
fn nonsense_is_no_question() {
    for (method, url, header) in
        [("G T", "http://a/", "a: b"), ("GET", "a/b", "a: b"), ("GET", "ftp://a/", "a: b"), ("GET", "http://a/", "ab")]
    {
        let asked = Question::parse(method, url, &[header.to_owned()], Ipv4Addr::LOCALHOST.into());
        assert!(asked.is_err(), "{method} {url} {header}");
    }
}

proptest! {
    /// The recorder watches the data plane's look-up; it must not lead it elsewhere.
    #[test]
    fn explain_names_the_rule_that_a_request_would_get(
        host in "(shop|a|a\\.b)?\\.?example\\.com|other\\.test",
        path in "/(cart|cart/x|cartoon|x)?/?",
        method in "GET|POST",
        header in proptest::option::of("[bc]"),
    ) {
        let published = PUBLISHED.with(Clone::clone);
        let headers: Vec<_> = header.iter().map(|value| format!("X-A: {value}")).collect();
        let headers: Vec<_> = headers.iter().map(String::as_str).collect();
        let url = format!("http://{}{path}", host.trim_start_matches('.'));
        let answer = ask(&published, &method, &url, &headers);
        let question = Question::parse(&method, &url, &headers.iter().map(|h| (*h).to_owned()).collect::<Vec<_>>(), Ipv4Addr::LOCALHOST.into()).expect("a question");
        let listener = published.snapshot.listeners.values().find(|listener| listener.key.port == 80).expect("web");
        let key = postern_config::snapshot::RequestKey {
            host: &answer.request.host,
            path: &answer.request.path,
            query: None,
            method: &question.method,
            headers: &question.headers,
            peer: question.from,
        };
        let found = listener.find(key).map(|rule| format!("{} {}", rule.source.object, rule.source.rule_index));
        let named = match &answer.outcome {
            Outcome::Route(_) => Some(winner(&answer)),
            _ => None,
        };
        prop_assert_eq!(named, found);
    }
}

thread_local! {
    static PUBLISHED: Published = published();
}
