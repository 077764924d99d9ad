//! `HTTPRoute`, `GRPCRoute`, `TLSRoute`.

use postern_config::kubernetes::object::Kind;

use crate::world::{secret, world};

/// Gateways of namespace `infra`: `gw` (ours), `tls`, `taken-over`, `foreign`.
const GATEWAYS: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: infra}
spec:
  gatewayClassName: postern
  listeners:
  - {name: http, port: 80, protocol: HTTP}
  - {name: other, port: 8080, protocol: HTTP, hostname: \"*.example.com\", allowedRoutes: {kinds: [{kind: GRPCRoute}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: tls, namespace: infra}
spec:
  gatewayClassName: postern
  listeners:
  - {name: tls, port: 443, protocol: TLS, hostname: \"*.example.com\", tls: {mode: Passthrough}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: taken-over, namespace: infra}
spec: {gatewayClassName: taken-over, listeners: [{name: http, port: 80, protocol: HTTP}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: foreign, namespace: infra}
spec: {gatewayClassName: foreign, listeners: [{name: http, port: 80, protocol: HTTP}]}
---
";

fn route(kind: &str, namespace: &str, parents: &str, rest: &str) -> String {
    format!(
        "
apiVersion: gateway.networking.k8s.io/v1
kind: {kind}
metadata: {{name: one, namespace: {namespace}, generation: 2}}
spec:
  parentRefs: [{parents}]
  {rest}
"
    )
}

/// HTTPRoute `infra/one` with these rules on `gw`.
fn shown(rules: &str) -> String {
    let objects = GATEWAYS.to_owned()
        + &route("HTTPRoute", "infra", "{name: gw, sectionName: http}", &format!("rules: [{rules}]"));
    let lines = world(&objects).lines(Kind::HttpRoute, "infra/one");
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines[0].strip_prefix("gw/http: ").expect("the parent").to_owned()
}

const BACKEND: &str = "backendRefs: [{name: web, port: 80}]";

#[test]
fn each_parent_of_ours_has_an_entry_with_both_conditions() {
    let cases = [
        ("infra", "{name: gw}", "gw: Accepted ResolvedRefs"),
        ("infra", "{name: gw, namespace: infra, sectionName: http}", "infra/gw/http: Accepted ResolvedRefs"),
        ("infra", "{name: gw, port: 80}", "gw/80: Accepted ResolvedRefs"),
        ("infra", "{name: taken-over}", "taken-over by traefik.io/gateway-controller: Accepted ResolvedRefs"),
        ("infra", "{name: gw, sectionName: http1, port: 80}", "gw/http1/80: !Accepted(NoMatchingParent) ResolvedRefs"),
        ("infra", "{name: gw, port: 81}", "gw/81: !Accepted(NoMatchingParent) ResolvedRefs"),
        ("infra", "{name: gw, sectionName: http, port: 81}", "gw/http/81: !Accepted(NoMatchingParent) ResolvedRefs"),
        ("infra", "{name: gw, sectionName: other}", "gw/other: !Accepted(NotAllowedByListeners) ResolvedRefs"),
        ("infra", "{name: tls}", "tls: !Accepted(NotAllowedByListeners) ResolvedRefs"),
        ("other", "{name: gw, namespace: infra}", "infra/gw: !Accepted(NotAllowedByListeners) ResolvedRefs"),
        ("infra", "{name: foreign}", ""),
        ("infra", "{name: missing}", ""),
        ("infra", "{name: gw, kind: ListenerSet}", ""),
        ("infra", "{name: web, kind: Service, group: \"\"}", ""),
        ("infra", "{name: foreign}, {name: gw}", "gw: Accepted ResolvedRefs"),
        (
            "infra",
            "{name: gw, sectionName: http}, {name: tls}",
            "gw/http: Accepted ResolvedRefs; tls: !Accepted(NotAllowedByListeners) ResolvedRefs",
        ),
        (
            "infra",
            "{name: gw}, {name: gw, sectionName: http}",
            "gw: !Accepted(UnsupportedValue) ResolvedRefs; gw/http: !Accepted(UnsupportedValue) ResolvedRefs",
        ),
    ];
    for (namespace, parents, wanted) in cases {
        let rest = format!("rules: [{{{BACKEND}}}]");
        let world = world(&(GATEWAYS.to_owned() + &route("HTTPRoute", namespace, parents, &rest)));
        let lines = world.lines(Kind::HttpRoute, &format!("{namespace}/one"));
        assert_eq!(lines.join("; "), wanted, "{parents}");
    }
}

#[test]
fn references_that_lead_nowhere_are_told_for_their_reason_and_cost_no_acceptance() {
    let cases = [
        ("{name: web, port: 80}", "Accepted ResolvedRefs"),
        ("{name: missing, port: 80}", "Accepted !ResolvedRefs(BackendNotFound)"),
        ("{name: web, port: 8080}", "Accepted !ResolvedRefs(BackendNotFound)"),
        ("{name: web, port: 53}", "Accepted !ResolvedRefs(UnsupportedProtocol)"),
        ("{name: web, port: 80, kind: NonExistent, group: x.io}", "Accepted !ResolvedRefs(InvalidKind)"),
        ("{name: web, port: 80, namespace: other}", "Accepted !ResolvedRefs(RefNotPermitted)"),
        ("{name: web, port: 80}, {name: web, port: 80, namespace: other}", "Accepted !ResolvedRefs(RefNotPermitted)"),
    ];
    for (backends, wanted) in cases {
        assert_eq!(shown(&format!("{{backendRefs: [{backends}]}}")), wanted, "{backends}");
    }
}

#[test]
fn rules_that_are_closed_are_dropped_and_a_route_of_nothing_else_is_not_accepted() {
    let cors = "filters: [{type: CORS, cors: {}}]";
    let both = "filters: [{type: RequestRedirect, requestRedirect: {port: 1}}, {type: URLRewrite, urlRewrite: {}}]";
    let middleware = "filters: [{type: ExtensionRef, extensionRef: {group: traefik.io, kind: Middleware, name: none}}]";
    let extension = "filters: [{type: ExtensionRef, extensionRef: {group: x.io, kind: Odd, name: none}}]";
    let bad_backend = "backendRefs: [{name: web, port: 80}, {name: web, port: 80, filters: [{type: CORS, cors: {}}]}]";
    let many = vec!["{path: {value: /}}"; 65].join(", ");
    let cases = [
        (format!("{{{cors}}}"), "!Accepted(UnsupportedValue) ResolvedRefs"),
        (format!("{{{both}}}"), "!Accepted(IncompatibleFilters) ResolvedRefs"),
        (format!("{{{both}}}, {{{cors}}}"), "!Accepted(UnsupportedValue) ResolvedRefs"),
        (format!("{{{BACKEND}}}, {{{cors}}}"), "Accepted ResolvedRefs PartiallyInvalid(UnsupportedValue)"),
        (format!("{{{BACKEND}}}, {{{both}}}"), "Accepted ResolvedRefs PartiallyInvalid(IncompatibleFilters)"),
        (format!("{{{bad_backend}}}"), "Accepted ResolvedRefs PartiallyInvalid(UnsupportedValue)"),
        (format!("{{{middleware}}}"), "Accepted !ResolvedRefs(FilterNotFound)"),
        (format!("{{{extension}}}"), "!Accepted(UnsupportedValue) !ResolvedRefs(InvalidKind)"),
        (format!("{{{BACKEND}}}, {{{BACKEND}, matches: [{many}]}}"), "!Accepted(UnsupportedValue) ResolvedRefs"),
        (format!("{{name: same, {BACKEND}}}, {{name: same, {BACKEND}}}"), "!Accepted(UnsupportedValue) ResolvedRefs"),
        (String::new(), "!Accepted(UnsupportedValue) ResolvedRefs"),
        // A rule without backends is legal, and answers 500.
        ("{}".to_owned(), "Accepted ResolvedRefs"),
    ];
    for (rules, wanted) in cases {
        assert_eq!(shown(&rules), wanted, "{}", &rules[..rules.len().min(200)]);
    }
}

#[test]
fn the_message_of_a_partial_route_begins_as_the_api_wants_it() {
    let rules = format!(
        "{{{BACKEND}}}, {{filters: [{{type: CORS, cors: {{}}}}]}},
         {{backendRefs: [{{name: web, port: 80}}, {{name: web, weight: 1}}]}}"
    );
    let rest = format!("rules: [{rules}]");
    let world = world(&(GATEWAYS.to_owned() + &route("HTTPRoute", "infra", "{name: gw}", &rest)));
    let message = world.message(Kind::HttpRoute, "infra/one", "/parents/0/conditions/2");
    assert_eq!(
        message,
        "Dropped Rule 1, 2 (in part): \
         spec.rules[1].filters[0]: filters of type CORS are not carried; remove the filter | \
         spec.rules[2].backendRefs[1].port: a Service needs a port"
    );
    assert_eq!(world.status(Kind::HttpRoute, "infra/one")["parents"][0]["conditions"][2]["observedGeneration"], 2);
}

#[test]
fn a_message_stays_short_however_much_is_wrong() {
    let rules = vec![format!("{{backendRefs: [{{name: {}, port: 1}}]}}", "x".repeat(250)); 16].join(", ");
    let objects = GATEWAYS.to_owned() + &route("HTTPRoute", "infra", "{name: gw}", &format!("rules: [{rules}]"));
    let message = world(&objects).message(Kind::HttpRoute, "infra/one", "/parents/0/conditions/1");
    assert!(message.len() <= 4096 && message.ends_with("and 8 more"), "{message}");
}

#[test]
fn hostnames_beside_those_of_the_listeners_are_told_in_the_message() {
    let hosts = |hosts: &str| {
        let rest = format!("hostnames: [{hosts}]\n  rules: [{{backendRefs: [{{name: web, port: 80}}]}}]");
        world(&(GATEWAYS.to_owned() + &route("TLSRoute", "infra", "{name: tls}", &rest)))
    };
    let of = |hosts_of: &str| hosts(hosts_of).lines(Kind::TlsRoute, "infra/one").join("; ");
    assert_eq!(of("a.example.com"), "tls: Accepted ResolvedRefs");
    assert_eq!(of("a.example.org"), "tls: !Accepted(NoMatchingListenerHostname) ResolvedRefs");
    assert_eq!(of("a.example.com, a.example.org"), "tls: Accepted ResolvedRefs");
    let message = hosts("a.example.com, a.example.org").message(Kind::TlsRoute, "infra/one", "/parents/0/conditions/0");
    assert!(message.starts_with("The route is served, except: spec.hostnames[1]: no listener has"), "{message}");
}

#[test]
fn tls_routes_are_judged_as_the_others() {
    let of = |parents: &str, backends: &str| {
        let rest = format!("hostnames: [a.example.com]\n  rules: [{{backendRefs: [{backends}]}}]");
        world(&(GATEWAYS.to_owned() + &route("TLSRoute", "infra", parents, &rest)))
            .lines(Kind::TlsRoute, "infra/one")
            .join("; ")
    };
    let web = "{name: web, port: 80}";
    assert_eq!(of("{name: gw}", web), "gw: !Accepted(NotAllowedByListeners) ResolvedRefs");
    assert_eq!(of("{name: tls, sectionName: odd}", web), "tls/odd: !Accepted(NoMatchingParent) ResolvedRefs");
    assert_eq!(of("{name: tls}", "{name: missing, port: 1}"), "tls: Accepted !ResolvedRefs(BackendNotFound)");
    assert_eq!(of("{name: tls}", "{name: web, kind: Odd, port: 1}"), "tls: Accepted !ResolvedRefs(InvalidKind)");
    let elsewhere = "{name: web, port: 80, namespace: other}";
    assert_eq!(of("{name: tls}", elsewhere), "tls: Accepted !ResolvedRefs(RefNotPermitted)");
    assert_eq!(of("{name: tls}", ""), "tls: !Accepted(UnsupportedValue) ResolvedRefs");
}

#[test]
fn grpc_routes_are_judged_as_the_others() {
    let of = |rules: &str| {
        world(&(GATEWAYS.to_owned() + &route("GRPCRoute", "infra", "{name: gw}", rules)))
            .lines(Kind::GrpcRoute, "infra/one")
            .join("; ")
    };
    assert_eq!(of(""), "gw: Accepted ResolvedRefs");
    assert_eq!(of("rules: [{backendRefs: [{name: web, port: 80}]}]"), "gw: Accepted ResolvedRefs");
    assert_eq!(
        of("rules: [{backendRefs: [{name: missing, port: 80}]}]"),
        "gw: Accepted !ResolvedRefs(BackendNotFound)"
    );
    assert_eq!(of("rules: [{matches: [{method: {}}]}]"), "gw: !Accepted(UnsupportedValue) ResolvedRefs");
}

#[test]
fn a_reference_to_a_listener_that_lost_its_socket_is_refused_though_another_is_served() {
    let lost = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: lost, namespace: infra}
spec:
  gatewayClassName: postern
  listeners: [{name: https, port: 80, protocol: HTTPS, tls: {certificateRefs: [{name: site}]}}]
---
";
    let rest = format!("rules: [{{{BACKEND}}}]");
    let route = route("HTTPRoute", "infra", "{name: lost}, {name: gw}", &rest);
    let world = world(&(secret("infra", "site") + lost + GATEWAYS + &route));
    let lines = world.lines(Kind::HttpRoute, "infra/one");
    assert_eq!(lines, ["lost: !Accepted(NoMatchingParent) ResolvedRefs", "gw: Accepted ResolvedRefs"]);
    assert!(world.lines(Kind::Gateway, "infra/lost")[1].starts_with("https [HTTPRoute GRPCRoute] 0: "));
}

#[test]
fn a_route_says_nothing_new_until_it_is_served() {
    let rest = format!("rules: [{{{BACKEND}}}]");
    let mut world = world(&(GATEWAYS.to_owned() + &route("HTTPRoute", "infra", "{name: gw}", &rest)));
    world.programmed = false;
    assert_eq!(world.desired(Kind::HttpRoute, "infra/one"), None);
}
