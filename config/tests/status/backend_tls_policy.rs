//! `BackendTLSPolicy`.

use postern_config::{
    kubernetes::{object::Kind, status::dependants},
    model::id::ObjectId,
};

use crate::world::{authority, world};

/// Gateway `infra/gw` with a route to each Service that policies aim at, and `infra/idle` without.
const ROUTES: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: infra}
spec: {gatewayClassName: postern, listeners: [{name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: idle, namespace: infra}
spec: {gatewayClassName: postern, listeners: [{name: http, port: 80, protocol: HTTP}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: one, namespace: infra}
spec:
  parentRefs: [{name: gw}]
  rules: [{backendRefs: [{name: web, port: 80}, {name: tls, port: 443}]}]
---
apiVersion: v1
kind: Service
metadata: {name: tls, namespace: infra}
spec: {ports: [{name: https-1, port: 443}, {name: https-2, port: 8443}]}
---
apiVersion: v1
kind: Service
metadata: {name: unused, namespace: infra}
spec: {ports: [{name: https, port: 443}]}
---
";

const CA: &str = "caCertificateRefs: [{group: \"\", kind: ConfigMap, name: ca}]";

fn policy(name: &str, targets: &str, validation: &str) -> String {
    let validation = format!("{{hostname: abc.example.com, {validation}}}");
    format!(
        "
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {{name: {name}, namespace: infra, generation: 4}}
spec: {{targetRefs: [{targets}], validation: {validation}}}
"
    )
}

fn service(name: &str) -> String {
    format!("{{group: \"\", kind: Service, name: {name}}}")
}

fn port(name: &str, section: &str) -> String {
    format!("{{group: \"\", kind: Service, name: {name}, sectionName: {section}}}")
}

fn shown(policies: &str, name: &str) -> String {
    let world = world(&(ROUTES.to_owned() + &authority("ca") + policies));
    world.lines(Kind::BackendTlsPolicy, &format!("infra/{name}")).join("; ")
}

#[test]
fn a_policy_speaks_to_the_gateways_that_lead_to_its_services() {
    assert_eq!(shown(&policy("p", &service("tls"), CA), "p"), "infra/gw: Accepted ResolvedRefs");
    assert_eq!(shown(&policy("p", &service("unused"), CA), "p"), "");
    let both = format!("{}, {}", service("unused"), service("web"));
    assert_eq!(shown(&policy("p", &both, CA), "p"), "infra/gw: Accepted ResolvedRefs");
    assert_eq!(shown(&policy("p", &service("missing"), CA), "p"), "");
}

#[test]
fn authorities_are_told_for_their_reason() {
    let of = |validation: &str| shown(&policy("p", &service("tls"), validation), "p");
    let reference = |kind: &str, name: &str| format!("{{group: \"\", kind: {kind}, name: {name}}}");
    let refs = |refs: &[String]| format!("caCertificateRefs: [{}]", refs.join(", "));
    assert_eq!(of("wellKnownCACertificates: System"), "infra/gw: Accepted ResolvedRefs");
    assert_eq!(
        of(&refs(&[reference("ConfigMap", "missing")])),
        "infra/gw: !Accepted(NoValidCACertificate) !ResolvedRefs(InvalidCACertificateRef)"
    );
    assert_eq!(
        of(&refs(&[reference("Odd", "ca")])),
        "infra/gw: !Accepted(NoValidCACertificate) !ResolvedRefs(InvalidKind)"
    );
    let one_of_two = refs(&[reference("ConfigMap", "missing"), reference("ConfigMap", "ca")]);
    assert_eq!(of(&one_of_two), "infra/gw: Accepted !ResolvedRefs(InvalidCACertificateRef)");
    assert_eq!(of("wellKnownCACertificates: x.io/Odd"), "infra/gw: !Accepted(Invalid) ResolvedRefs");
}

#[test]
fn of_two_policies_for_one_target_the_first_holds() {
    let first = policy("a", &service("tls"), CA);
    let second = policy("b", &service("tls"), CA);
    let objects = first + &second;
    assert_eq!(shown(&objects, "a"), "infra/gw: Accepted ResolvedRefs");
    assert_eq!(shown(&objects, "b"), "infra/gw: !Accepted(Conflicted) ResolvedRefs");
    let objects = policy("a", &port("tls", "https-1"), CA) + &policy("b", &port("tls", "https-1"), CA);
    assert_eq!(shown(&objects, "b"), "infra/gw: !Accepted(Conflicted) ResolvedRefs");
    let objects = policy("a", &port("tls", "https-1"), CA) + &policy("b", &service("tls"), CA);
    assert_eq!(shown(&objects, "a"), "infra/gw: Accepted ResolvedRefs");
    assert_eq!(shown(&objects, "b"), "infra/gw: Accepted ResolvedRefs");
}

#[test]
fn targets_that_are_not_there_count_where_they_would_be_reached() {
    let of = |targets: &str| shown(&policy("p", targets, CA), "p");
    assert_eq!(of(&port("tls", "odd")), "infra/gw: !Accepted(TargetNotFound) ResolvedRefs");
    let missing = format!("{}, {}", service("tls"), service("missing"));
    assert_eq!(of(&missing), "infra/gw: Accepted ResolvedRefs");
}

#[test]
fn bytes_that_are_tls_already_make_no_ancestor() {
    let routes = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: pass, namespace: infra}
spec: {gatewayClassName: postern, listeners: [{name: tls, port: 443, protocol: TLS, tls: {mode: Passthrough}}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {name: one, namespace: infra}
spec:
  parentRefs: [{name: pass}]
  hostnames: [abc.example.com]
  rules: [{backendRefs: [{name: web, port: 80}]}]
";
    let world = world(&(routes.to_owned() + &authority("ca") + &policy("p", &service("web"), CA)));
    assert_eq!(world.lines(Kind::BackendTlsPolicy, "infra/p"), [""; 0]);
}

#[test]
fn a_policy_is_looked_at_again_with_the_services_it_is_for() {
    let world = world(&(policy("a", &service("tls"), CA) + &policy("b", &port("web", "http"), CA)));
    let of = |kind: &str, namespace: &str, name: &str| {
        let changed = ObjectId { kind: kind.into(), namespace: namespace.into(), name: name.into() };
        dependants(&changed, world.store()).iter().map(|key| key.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(of("Service", "infra", "tls"), ["a"]);
    assert_eq!(of("Service", "infra", "web"), ["b"]);
    assert_eq!(of("Service", "other", "web"), [""; 0]);
    assert_eq!(of("Gateway", "infra", "tls"), [""; 0]);
}
