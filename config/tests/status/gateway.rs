//! `Gateway` and its listeners, as the conformance suite asks for them.

use std::sync::Arc;

use postern_config::{
    kubernetes::{convert::exposure::Keeper, object::Kind},
    model::address_map::AddressMap,
};

use crate::world::{World, ip, secret, world, world_with};

const HTTP: &str = "[HTTPRoute GRPCRoute]";

/// Gateway `infra/gw` of class `postern` with these listeners, and `more` of its `spec`.
fn gateway_with(listeners: &str, more: &str) -> String {
    format!(
        "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: gw, namespace: infra, generation: 7}}
spec: {{gatewayClassName: postern, listeners: [{listeners}]{more}}}
"
    )
}

fn gateway(listeners: &str) -> String {
    gateway_with(listeners, "")
}

fn shown(objects: &str) -> Vec<String> {
    world(objects).lines(Kind::Gateway, "infra/gw")
}

fn https(tls: &str) -> String {
    gateway(&format!("{{name: https, port: 443, protocol: HTTPS, hostname: site.example.com, tls: {{{tls}}}}}"))
}

const GOOD: &str = "Accepted Programmed ResolvedRefs";

#[test]
fn a_gateway_that_is_served_says_so_for_its_generation() {
    let world = world(&gateway("{name: http, port: 80, protocol: HTTP}"));
    assert_eq!(world.lines(Kind::Gateway, "infra/gw"), [GOOD.to_owned(), format!("http {HTTP} 0: {GOOD}")]);
    let status = world.status(Kind::Gateway, "infra/gw");
    assert_eq!(status["addresses"], serde_json::json!([{"type": "IPAddress", "value": "192.0.2.1"}]));
    for conditions in [&status["conditions"], &status["listeners"][0]["conditions"]] {
        assert!(conditions.as_array().unwrap().iter().all(|condition| condition["observedGeneration"] == 7));
    }
}

#[test]
fn a_gateway_of_another_class_or_of_none_is_left_alone() {
    for class in ["foreign", "missing"] {
        let objects = gateway("{name: http, port: 80, protocol: HTTP}").replace("postern", class);
        assert_eq!(world(&objects).desired(Kind::Gateway, "infra/gw"), None, "{class}");
    }
}

#[test]
fn protocols_that_are_not_carried_cost_their_listener_and_the_gateway_when_no_other_is_left() {
    let invalid = "{name: invalid, port: 1111, protocol: INVALID}";
    let of_invalid = "invalid [] 0: !Accepted(UnsupportedProtocol) !Programmed(Invalid) ResolvedRefs";
    assert_eq!(
        shown(&gateway(invalid)),
        ["!Accepted(ListenersNotValid) !Programmed(Invalid) ResolvedRefs", of_invalid]
    );
    let both = gateway(&format!("{{name: http, port: 80, protocol: HTTP}}, {invalid}"));
    let whole = "Accepted(ListenersNotValid) Programmed ResolvedRefs";
    assert_eq!(shown(&both), [whole.to_owned(), format!("http {HTTP} 0: {GOOD}"), of_invalid.to_owned()]);
}

#[test]
fn kinds_that_do_not_fit_are_told_and_left_out_of_supported_kinds() {
    let listener = |kinds: &str| {
        gateway(&format!("{{name: http, port: 80, protocol: HTTP, allowedRoutes: {{kinds: [{kinds}]}}}}"))
    };
    let unresolved = "Accepted Programmed !ResolvedRefs(InvalidRouteKinds)";
    let whole = "Accepted Programmed !ResolvedRefs(ListenersNotResolved)";
    let only_invalid = shown(&listener("{kind: InvalidRoute}"));
    assert_eq!(only_invalid, [whole.to_owned(), format!("http [] 0: {unresolved}")]);
    let both = shown(&listener("{kind: InvalidRoute}, {kind: HTTPRoute}"));
    assert_eq!(both, [whole.to_owned(), format!("http [HTTPRoute] 0: {unresolved}")]);
    let one = shown(&listener("{kind: GRPCRoute}"));
    assert_eq!(one, [GOOD.to_owned(), format!("http [GRPCRoute] 0: {GOOD}")]);
    let tls = "{name: tls, port: 443, protocol: TLS, tls: {mode: Passthrough},
      allowedRoutes: {kinds: [{kind: TCPRoute}, {kind: TLSRoute}]}}";
    assert_eq!(shown(&gateway(tls)), [whole.to_owned(), format!("tls [TLSRoute] 0: {unresolved}")]);
}

#[test]
fn certificates_that_cannot_be_used_are_told_for_their_reason() {
    let malformed = "
---
apiVersion: v1
kind: Secret
metadata: {name: malformed, namespace: infra}
type: kubernetes.io/tls
stringData: {tls.crt: none, tls.key: none}
---
";
    let grant = |to: &str| {
        format!(
            "
---
apiVersion: gateway.networking.k8s.io/v1
kind: ReferenceGrant
metadata: {{name: grant, namespace: other}}
spec:
  from: [{{group: gateway.networking.k8s.io, kind: Gateway, namespace: infra}}]
  to: [{{group: \"\", kind: {to}}}]
"
        )
    };
    let elsewhere = "certificateRefs: [{name: site, namespace: other}]";
    let cases = [
        ("a Secret that is not there", "certificateRefs: [{name: missing}]", String::new(), "InvalidCertificateRef"),
        ("another group", "certificateRefs: [{group: x.io, name: site}]", String::new(), "InvalidCertificateRef"),
        ("another kind", "certificateRefs: [{kind: ConfigMap, name: site}]", String::new(), "InvalidCertificateRef"),
        ("no certificate", "certificateRefs: [{name: malformed}]", malformed.to_owned(), "InvalidCertificateRef"),
        ("no grant", elsewhere, String::new(), "RefNotPermitted"),
        ("a grant for something else", elsewhere, grant("Service"), "RefNotPermitted"),
        ("a grant", elsewhere, grant("Secret"), ""),
        ("a certificate", "certificateRefs: [{name: site}]", String::new(), ""),
    ];
    for (name, tls, more, reason) in cases {
        let lines = shown(&(secret("infra", "site") + &secret("other", "site") + &https(tls) + &more));
        let listener = match reason {
            "" => GOOD.to_owned(),
            reason => format!("Accepted !Programmed(Invalid) !ResolvedRefs({reason})"),
        };
        assert_eq!(lines[1], format!("https {HTTP} 0: {listener}"), "{name}");
    }
}

#[test]
fn one_usable_certificate_is_enough_to_serve() {
    let lines = shown(&(secret("infra", "site") + &https("certificateRefs: [{name: missing}, {name: site}]")));
    assert_eq!(lines[0], "Accepted Programmed !ResolvedRefs(ListenersNotResolved)");
    assert_eq!(lines[1], format!("https {HTTP} 0: Accepted Programmed !ResolvedRefs(InvalidCertificateRef)"));
}

#[test]
fn a_listener_that_ends_tls_without_any_certificate_is_not_accepted() {
    let lines = shown(&gateway("{name: https, port: 443, protocol: HTTPS}"));
    let listener = "!Accepted(UnsupportedValue) !Programmed(Invalid) !ResolvedRefs(InvalidCertificateRef)";
    assert_eq!(lines[1], format!("https {HTTP} 0: {listener}"));
}

#[test]
fn what_is_presented_to_backends_is_resolved_without_cost_to_the_gateway() {
    let case = |reference: &str, more: &str| {
        let tls = format!(", tls: {{backend: {{clientCertificateRef: {{{reference}}}}}}}");
        let gateway = gateway_with("{name: http, port: 80, protocol: HTTP}", &tls);
        shown(&(secret("infra", "site") + &gateway + more))[0].clone()
    };
    let refused = |reason: &str| format!("Accepted Programmed !ResolvedRefs({reason})");
    assert_eq!(case("name: site", ""), GOOD);
    assert_eq!(case("name: missing", ""), refused("InvalidClientCertificateRef"));
    assert_eq!(case("name: site, group: x.io", ""), refused("InvalidClientCertificateRef"));
    assert_eq!(case("name: site, kind: ConfigMap", ""), refused("InvalidClientCertificateRef"));
    assert_eq!(case("name: site, namespace: other", &secret("other", "site")), refused("RefNotPermitted"));
}

#[test]
fn listeners_that_cannot_be_told_apart_conflict() {
    let lines = shown(&gateway(
        "{name: a, port: 80, protocol: HTTP, hostname: one.example.com},
         {name: b, port: 80, protocol: HTTP, hostname: one.example.com},
         {name: c, port: 81, protocol: HTTP}",
    ));
    let conflict =
        |reason: &str| format!("!Accepted({reason}) !Programmed({reason}) ResolvedRefs Conflicted({reason})");
    assert_eq!(lines[0], "Accepted(ListenersNotValid) Programmed ResolvedRefs");
    assert_eq!(lines[1], format!("a {HTTP} 0: {}", conflict("HostnameConflict")));
    assert_eq!(lines[2], format!("b {HTTP} 0: {}", conflict("HostnameConflict")));
    assert_eq!(lines[3], format!("c {HTTP} 0: {GOOD}"));
    let lines = shown(&gateway(
        "{name: a, port: 443, protocol: HTTP},
         {name: b, port: 443, protocol: TLS, tls: {mode: Passthrough}}",
    ));
    assert_eq!(lines[0], "!Accepted(ListenersNotValid) !Programmed(Invalid) ResolvedRefs");
    assert_eq!(lines[1], format!("a {HTTP} 0: {}", conflict("ProtocolConflict")));
    assert_eq!(lines[2], format!("b [TLSRoute] 0: {}", conflict("ProtocolConflict")));
}

#[test]
fn a_port_that_an_older_gateway_has_for_another_protocol_is_unavailable() {
    let older = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: older, namespace: infra, creationTimestamp: 2020-01-01T00:00:00Z}
spec: {gatewayClassName: postern, listeners: [{name: tls, port: 8443, protocol: TLS, tls: {mode: Passthrough}}]}
---
";
    let lines = shown(&(older.to_owned() + &gateway("{name: http, port: 8443, protocol: HTTP}")));
    assert_eq!(lines[0], "!Accepted(ListenersNotValid) !Programmed(Invalid) ResolvedRefs");
    assert_eq!(lines[1], format!("http {HTTP} 0: !Accepted(PortUnavailable) !Programmed(Invalid) ResolvedRefs"));
}

#[test]
fn a_listener_that_lost_one_of_its_addresses_is_accepted_and_not_programmed() {
    let older = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: older, namespace: infra, creationTimestamp: 2020-01-01T00:00:00Z}
spec:
  gatewayClassName: postern
  addresses: [{value: 192.0.2.1}]
  listeners: [{name: tls, port: 8443, protocol: TLS, tls: {mode: Passthrough}}]
---
";
    let addresses = ", addresses: [{value: 192.0.2.1}, {value: 192.0.2.2}]";
    let mut world = world(&(older.to_owned() + &gateway_with("{name: http, port: 8443, protocol: HTTP}", addresses)));
    world.addresses.push(ip("192.0.2.2"));
    let lines = world.lines(Kind::Gateway, "infra/gw");
    assert_eq!(lines[0], "Accepted !Programmed(Invalid) ResolvedRefs");
    assert_eq!(lines[1], format!("http {HTTP} 0: Accepted !Programmed(Invalid) ResolvedRefs"));
}

#[test]
fn listeners_that_end_tls_for_some_of_each_others_hosts_overlap() {
    let listener = |name: &str, host: &str| {
        format!("{{name: {name}, port: 443, protocol: HTTPS, {host}tls: {{certificateRefs: [{{name: site}}]}}}}")
    };
    let listeners = [
        listener("a", "hostname: a.example.com, "),
        listener("b", "hostname: b.example.org, "),
        listener("c", "hostname: \"*.example.com\", "),
    ];
    let lines = shown(&(secret("infra", "site") + &gateway(&listeners.join(", "))));
    let overlapping = format!("{GOOD} OverlappingTLSConfig(OverlappingHostnames)");
    assert_eq!(lines[1], format!("a {HTTP} 0: {overlapping}"));
    assert_eq!(lines[2], format!("b {HTTP} 0: {GOOD}"));
    assert_eq!(lines[3], format!("c {HTTP} 0: {overlapping}"));
}

#[test]
fn client_certificates_that_are_not_asked_for_yet_cost_their_listener() {
    let tls =
        ", tls: {frontend: {default: {validation: {caCertificateRefs: [{group: \"\", kind: ConfigMap, name: ca}]}}}}";
    let listeners = "{name: http, port: 80, protocol: HTTP},
      {name: https, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: site}]}},
      {name: more, port: 444, protocol: HTTPS, tls: {certificateRefs: [{name: site}]}}";
    let world = world(&(secret("infra", "site") + &gateway_with(listeners, tls)));
    assert_eq!(world.message(Kind::Gateway, "infra/gw", "/conditions/0").matches("listener more").count(), 1);
    let lines = world.lines(Kind::Gateway, "infra/gw");
    assert_eq!(lines[0], "Accepted(ListenersNotValid) Programmed ResolvedRefs");
    assert_eq!(lines[1], format!("http {HTTP} 0: {GOOD}"));
    assert_eq!(lines[2], format!("https {HTTP} 0: !Accepted(UnsupportedValue) !Programmed(Invalid) ResolvedRefs"));
    let message = world.message(Kind::Gateway, "infra/gw", "/listeners/1/conditions/0");
    assert!(message.starts_with("spec.tls.frontend.default.validation: client certificates are not carried"));
}

/// GatewayStaticAddresses: an unsupported, an unusable and a usable one are taken away in turn.
#[test]
fn addresses_are_refused_by_type_and_by_use() {
    let case = |addresses: &str| -> World {
        world(&gateway_with("{name: http, port: 80, protocol: HTTP}", &format!(", addresses: [{addresses}]")))
    };
    let all = case("{type: x.io/odd, value: odd}, {value: 198.51.100.1}, {value: 192.0.2.1}");
    let lines = all.lines(Kind::Gateway, "infra/gw");
    assert_eq!(lines[0], "!Accepted(UnsupportedAddress) !Programmed(Invalid) ResolvedRefs");
    assert_eq!(lines[1], format!("http {HTTP} 0: !Accepted(UnsupportedAddress) !Programmed(Invalid) ResolvedRefs"));
    assert_eq!(all.status(Kind::Gateway, "infra/gw").get("addresses"), None);
    let unusable = case("{value: 198.51.100.1}, {value: 192.0.2.1}");
    assert_eq!(unusable.lines(Kind::Gateway, "infra/gw")[0], "Accepted !Programmed(AddressNotUsable) ResolvedRefs");
    let message = unusable.message(Kind::Gateway, "infra/gw", "/conditions/1");
    assert!(message.starts_with("spec.addresses: 198.51.100.1 cannot be had here"), "{message}");
    assert_eq!(case("{type: IPAddress, value: 192.0.2.1}").lines(Kind::Gateway, "infra/gw")[0], GOOD);
    assert_eq!(case("{type: IPAddress}").lines(Kind::Gateway, "infra/gw")[0], GOOD);
}

/// By either side of the map, whatever the installation's addresses are.
#[test]
fn an_address_that_is_delivered_to_a_node_is_shown_as_it_is_asked_for() {
    for asked in ["203.0.113.7", "10.0.0.5"] {
        let objects =
            gateway_with("{name: http, port: 80, protocol: HTTP}", &format!(", addresses: [{{value: {asked}}}]"));
        let map = AddressMap::new(["203.0.113.7=10.0.0.5".parse().expect("good")]).expect("good");
        let mut world = world_with(&objects, |settings| settings.addresses.map = Arc::new(map));
        world.addresses = vec![ip("203.0.113.7")];
        assert_eq!(world.lines(Kind::Gateway, "infra/gw")[0], GOOD, "{asked}");
        let shown = serde_json::json!([{"type": "IPAddress", "value": asked}]);
        assert_eq!(world.status(Kind::Gateway, "infra/gw")["addresses"], shown);
    }
}

#[test]
fn a_gateway_without_an_address_or_not_served_everywhere_is_not_programmed() {
    let mut world = world(&gateway("{name: http, port: 80, protocol: HTTP}"));
    world.programmed = false;
    let pending = "Accepted !Programmed(Pending) ResolvedRefs";
    assert_eq!(world.lines(Kind::Gateway, "infra/gw"), [pending.to_owned(), format!("http {HTTP} 0: {pending}")]);
    world.addresses.clear();
    assert_eq!(world.lines(Kind::Gateway, "infra/gw")[0], "Accepted !Programmed(AddressNotAssigned) ResolvedRefs");
    world.addresses = vec![ip("2001:db8::1")];
    assert_eq!(world.status(Kind::Gateway, "infra/gw")["addresses"][0]["value"], "2001:db8::1");
}

#[test]
fn parameters_cost_the_gateway() {
    let parameters = ", infrastructure: {parametersRef: {group: x.io, kind: X, name: x}}";
    let lines = shown(&gateway_with("{name: http, port: 80, protocol: HTTP}", parameters));
    assert_eq!(lines[0], "!Accepted(InvalidParameters) !Programmed(Invalid) ResolvedRefs");
    assert_eq!(lines[1], format!("http {HTTP} 0: !Accepted(InvalidParameters) !Programmed(Invalid) ResolvedRefs"));
}

#[test]
fn what_is_not_carried_beside_the_listeners_is_told_in_the_message() {
    let labels = ", infrastructure: {labels: {a: b}}";
    let world = world(&gateway_with("{name: http, port: 80, protocol: HTTP}", labels));
    assert_eq!(world.lines(Kind::Gateway, "infra/gw")[0], GOOD);
    let message = world.message(Kind::Gateway, "infra/gw", "/conditions/0");
    assert!(message.starts_with("The Gateway is served, except: spec.infrastructure.labels: "), "{message}");
}

#[test]
fn attached_routes_are_those_that_are_accepted() {
    let route = |name: &str, host: &str, rest: &str| {
        format!(
            "
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: {name}, namespace: infra}}
spec:
  parentRefs: [{{name: gw}}]
  hostnames: [{host}]
  rules: [{{backendRefs: [{{name: web, port: 80}}]{rest}}}]
"
        )
    };
    let objects = gateway("{name: http, port: 80, protocol: HTTP, hostname: \"*.example.com\"}")
        + &route("one", "one.example.com", "")
        + &route("two", "two.example.com", "")
        + &route("elsewhere", "one.example.org", "")
        + &route("closed", "three.example.com", ", filters: [{type: CORS, cors: {}}]");
    let world = world(&objects);
    assert_eq!(world.lines(Kind::Gateway, "infra/gw")[1], format!("http {HTTP} 2: {GOOD}"));
    let of = |name: &str| world.lines(Kind::HttpRoute, &format!("infra/{name}")).join("; ");
    assert_eq!(of("one"), "gw: Accepted ResolvedRefs");
    assert_eq!(of("elsewhere"), "gw: !Accepted(NoMatchingListenerHostname) ResolvedRefs");
    assert_eq!(of("closed"), "gw: !Accepted(UnsupportedValue) ResolvedRefs");
}

/// GatewayWithAttachedRoutes: neither the certificate nor the backend is there, and the route is attached all the same.
#[test]
fn a_route_is_attached_to_a_listener_without_certificate() {
    let route = "
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: one, namespace: infra}
spec:
  parentRefs: [{kind: Gateway, name: gw, namespace: infra, sectionName: https}]
  rules: [{backendRefs: [{name: does-not-exist, port: 8080}]}]
";
    let world = world(&(https("mode: Terminate, certificateRefs: [{name: does-not-exist}]") + route));
    let lines = world.lines(Kind::Gateway, "infra/gw");
    assert_eq!(lines[1], format!("https {HTTP} 1: Accepted !Programmed(Invalid) !ResolvedRefs(InvalidCertificateRef)"));
    let route = world.lines(Kind::HttpRoute, "infra/one");
    assert_eq!(route, ["infra/gw/https: Accepted !ResolvedRefs(BackendNotFound)"]);
}

const POOL: &str = "
---
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: home, namespace: infra}
spec: {addresses: [198.51.100.7/32]}
---
";

/// Gateway `infra/gw` that asks for an address of the pool and is given one, with `status`.
fn of_pool(spec: &str, status: &str) -> World {
    let gateway = gateway_with("{name: http, port: 80, protocol: HTTP}", spec);
    world_with(&format!("{POOL}{gateway}{status}"), |settings| settings.addresses.keeper = Keeper::Cluster)
}

const BY_POOL: &str = ", infrastructure: {annotations: {metallb.io/address-pool: home}}";
const RECORD: &str = "status:
  addresses: [{type: IPAddress, value: 198.51.100.7}]
  conditions: [{type: postern.dev/AddressAllocated, status: 'True'}]
";

#[test]
fn a_gateway_is_programmed_at_an_address_of_its_own_once_that_is_on_record() {
    for wish in [BY_POOL, ", addresses: [{value: 198.51.100.7}]"] {
        let given = of_pool(wish, "");
        let waits = "!Programmed(Pending) ResolvedRefs";
        let lines = given.lines(Kind::Gateway, "infra/gw");
        assert_eq!(lines[0], format!("Accepted {waits} postern.dev/AddressAllocated(Allocated)"));
        assert_eq!(lines[1], format!("http {HTTP} 0: Accepted {waits}"));
        let addresses = serde_json::json!([{"type": "IPAddress", "value": "198.51.100.7"}]);
        assert_eq!(
            given.status(Kind::Gateway, "infra/gw")["addresses"],
            addresses,
            "and not those of the installation"
        );

        let recorded = of_pool(wish, RECORD);
        let lines = recorded.lines(Kind::Gateway, "infra/gw");
        assert_eq!(lines[0], format!("{GOOD} postern.dev/AddressAllocated(Allocated)"));
        assert_eq!(lines[1], format!("http {HTTP} 0: {GOOD}"));
        assert_eq!(recorded.status(Kind::Gateway, "infra/gw")["addresses"], addresses);
    }
}

#[test]
fn a_gateway_without_the_address_that_it_asks_for_says_why_and_what_to_do() {
    let taken = "---
apiVersion: v1
kind: Service
metadata: {name: other, namespace: infra}
spec: {type: LoadBalancer, clusterIPs: [10.96.0.1], ports: [{port: 25}]}
status: {loadBalancer: {ingress: [{ip: 198.51.100.7}]}}
";
    let unreadable = ", infrastructure: {annotations: {metallb.io/loadBalancerIPs: nowhere}}";
    for (wish, more, reason, parts) in [
        (BY_POOL, taken, "AddressNotAssigned", ["pool home: 1 of 1 IPv4", "metallb.io/allow-shared-ip"]),
        (
            ", addresses: [{value: 198.51.100.7}]",
            taken,
            "AddressNotUsable",
            ["Service infra/other has 198.51.100.7", "ask for another"],
        ),
        (", addresses: [{value: 203.0.113.1}]", "", "AddressNotUsable", ["203.0.113.1 cannot be had here", "pool"]),
        (unreadable, "", "AddressNotUsable", ["\"nowhere\" is not an IP address", "write an address"]),
    ] {
        let world = of_pool(wish, more);
        let lines = world.lines(Kind::Gateway, "infra/gw");
        assert_eq!(lines[0], format!("Accepted !Programmed({reason}) ResolvedRefs"), "{wish}");
        let message = world.message(Kind::Gateway, "infra/gw", "/conditions/1");
        for part in parts {
            assert!(message.contains(part), "{part}: {message}");
        }
    }
}

#[test]
fn pools_that_nobody_sees_take_no_address_from_a_gateway() {
    let gateway = gateway_with("{name: http, port: 80, protocol: HTTP}", BY_POOL);
    let world = world_with(&format!("{gateway}{RECORD}"), |settings| settings.addresses.keeper = Keeper::Cluster);
    let addresses = serde_json::json!([{"type": "IPAddress", "value": "198.51.100.7"}]);
    assert_eq!(world.status(Kind::Gateway, "infra/gw")["addresses"], addresses);
    let lines = world.lines(Kind::Gateway, "infra/gw");
    assert_eq!(lines[0], format!("{GOOD} postern.dev/AddressAllocated(Allocated)"));
}
