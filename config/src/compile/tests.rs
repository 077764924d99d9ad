//! Rules of the engine that no single part can show: it equals a recomputation from nothing, it costs what depends
//! on the change, and who loses a claim is told.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, LazyLock},
};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Changed, Compiler, Output};
use crate::{
    kubernetes::{
        convert::Settings,
        object::{Kind, Meta, Object},
        store::{Change, Key},
    },
    model::{host::HostPattern, id::ObjectId, middleware::MiddlewareSlot},
    report::{Finding, Severity},
    snapshot::{Snapshot, SocketKey, Transport},
};

const WEB: SocketKey = SocketKey { address: None, port: 80 };

fn settings() -> Settings {
    Settings::for_files("2026-06-01T00:00:00Z".parse().expect("a valid time"))
}

fn object(kind: Kind, namespace: &str, name: &str, meta: Value, body: Value) -> Object {
    let mut meta: Meta = serde_json::from_value(meta).expect("valid metadata");
    meta.namespace = if kind.is_namespaced() { namespace.into() } else { "".into() };
    meta.name = name.into();
    Object::deserialize(kind, meta, body).expect("a valid object")
}

fn set(object: Object) -> Change {
    Change::Set { object, origin: None, findings: Vec::new() }
}

fn service(namespace: &str, name: &str) -> Object {
    let body = json!({"spec": {"ports": [{"name": "http", "port": 80}]}});
    object(Kind::Service, namespace, name, json!({}), body)
}

fn slice(namespace: &str, service: &str, address: &str) -> Object {
    let meta = json!({"labels": {"kubernetes.io/service-name": service}});
    let body = json!({
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080}],
        "endpoints": [{"addresses": [address]}],
    });
    object(Kind::EndpointSlice, namespace, &format!("{service}-1"), meta, body)
}

fn ingress(namespace: &str, name: &str, host: &str, path: &str, service: &str) -> Object {
    let backend = json!({"service": {"name": service, "port": {"number": 80}}});
    let paths = json!([{"path": path, "pathType": "Prefix", "backend": backend}]);
    let body = json!({"spec": {"rules": [{"host": host, "http": {"paths": paths}}]}});
    object(Kind::Ingress, namespace, name, json!({}), body)
}

fn host(name: &str) -> HostPattern {
    HostPattern::Exact(name.into())
}

mod cost {
    use super::*;

    const INGRESSES: usize = 10_000;

    fn many() -> (Compiler, Output) {
        let mut compiler = Compiler::new(settings());
        let per_ingress = |n: usize| {
            let name = format!("app{n}");
            [
                set(service("default", &name)),
                set(slice("default", &name, "10.0.0.1")),
                set(ingress("default", &name, &format!("{name}.example.com"), "/", &name)),
            ]
        };
        let output = compiler.apply((0..INGRESSES).flat_map(per_ingress).collect());
        (compiler, output)
    }

    #[test]
    fn a_change_costs_its_dependants_among_ten_thousand_ingresses() {
        let (mut compiler, before) = many();
        assert_eq!(before.snapshot.listeners[&WEB].hosts.len(), INGRESSES);

        let after = compiler.apply(vec![set(slice("default", "app7", "10.0.0.2"))]);
        assert_eq!(after.recomputed, 2, "the slice itself, and the cluster that reads it");
        let clusters = after.changed.clusters.iter().map(|id| id.as_str()).collect::<Vec<_>>();
        assert_eq!(clusters, ["default/app7:80"]);
        assert_eq!(after.changed, Changed { clusters: after.changed.clusters.clone(), ..Changed::default() });
        assert!(Arc::ptr_eq(&before.snapshot.listeners[&WEB], &after.snapshot.listeners[&WEB]));

        let moved = ingress("default", "app7", "app7.example.com", "/moved", "app7");
        let last = compiler.apply(vec![set(moved)]);
        assert_eq!(last.recomputed, 1, "the Ingress");
        let entry = |output: &Output, name: &str| {
            output.snapshot.listeners[&WEB].hosts.get(&host(name)).expect("the host is filed").clone()
        };
        assert!(Arc::ptr_eq(&entry(&after, "app8.example.com"), &entry(&last, "app8.example.com")));
        assert!(!Arc::ptr_eq(&entry(&after, "app7.example.com"), &entry(&last, "app7.example.com")));
    }

    #[test]
    fn a_service_that_is_given_an_address_asks_no_route_again() {
        let (mut compiler, _) = many();
        let exposed = |annotations: Value, status: Value| {
            let ports = json!([{"name": "http", "port": 80}]);
            let body = json!({"spec": {"type": "LoadBalancer", "ports": ports}, "status": status});
            set(object(Kind::Service, "default", "app7", json!({"annotations": annotations}), body))
        };
        let pool = json!({"spec": {"addresses": ["192.0.2.0/24"]}});
        let asked = json!({"metallb.io/loadBalancerIPs": "192.0.2.7"});
        compiler.apply(vec![
            exposed(asked, json!({})),
            set(object(Kind::IpAddressPool, "default", "home", json!({}), pool)),
            set(object(Kind::L2Advertisement, "default", "all", json!({}), json!({}))),
        ]);
        let given = json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.8"}]}});
        let noted = json!({"metallb.io/ip-allocated-from-pool": "home"});
        let after = compiler.apply(vec![exposed(noted, given)]);
        assert_eq!(after.recomputed, 1, "the Service, and neither its Ingress nor its cluster");
        assert_eq!(after.changed.addresses.len(), 2, "one goes and one comes: {:?}", after.changed);
        assert!(after.changed.sockets.is_empty() && after.changed.clusters.is_empty());
        let elsewhere = compiler.apply(vec![set(slice("default", "app8", "10.0.0.2"))]);
        assert!(elsewhere.changed.addresses.is_empty());
    }

    #[test]
    fn the_same_object_again_changes_nothing() {
        let (mut compiler, before) = many();
        let again = compiler.apply(vec![set(ingress("default", "app7", "app7.example.com", "/", "app7"))]);
        assert!(again.changed.is_empty());
        assert!(Arc::ptr_eq(&before.snapshot.listeners[&WEB], &again.snapshot.listeners[&WEB]));
    }

    #[test]
    fn a_renewed_certificate_asks_no_ingress_again() {
        let mut compiler = Compiler::new(settings());
        let with_tls = |n: usize| {
            let backend = json!({"service": {"name": "web", "port": {"number": 80}}});
            let host = format!("app{n}.example.com");
            let body = json!({"spec": {
                "tls": [{"hosts": [host], "secretName": "wild"}],
                "rules": [{"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}],
            }});
            set(object(Kind::Ingress, "default", &format!("app{n}"), json!({}), body))
        };
        compiler.apply((0..100).map(with_tls).collect());
        let first = compiler.apply(vec![set(secret("default", "wild", 0))]);
        assert!(first.recomputed > 100, "all of them learn that the Secret is there");
        let renewed = compiler.apply(vec![set(secret("default", "wild", 1))]);
        assert_eq!(renewed.recomputed, 3, "the Secret, its slot and its own names");
        assert_eq!(renewed.changed.certificates.len(), 1);
        assert!(renewed.changed.sockets.is_empty());
    }
}

/// Two pairs for the same names, as before and after a renewal, and one that is for others.
static PAIRS: LazyLock<Vec<(String, String)>> = LazyLock::new(|| {
    let names = ["*.example.com", "*.example.com", "b.example.com"];
    let make = |name: &str| {
        let pair = rcgen::generate_simple_self_signed(vec![name.to_owned()]).expect("a certificate");
        (pair.cert.pem(), pair.signing_key.serialize_pem())
    };
    names.into_iter().map(make).collect()
});

fn secret(namespace: &str, name: &str, pair: usize) -> Object {
    let (chain, key) = PAIRS.get(pair).cloned().unwrap_or_default();
    let body = json!({"type": "kubernetes.io/tls", "stringData": {"tls.crt": chain, "tls.key": key}});
    object(Kind::Secret, namespace, name, json!({}), body)
}

mod random {
    use super::*;
    use crate::kubernetes::convert::exposure::Keeper;

    /// Those of a cluster, whose Services show their addresses.
    fn settings() -> Settings {
        let mut settings = super::settings();
        settings.addresses.keeper = Keeper::Cluster;
        settings
    }

    /// An object of a small universe, in which references often meet.
    fn any_object() -> impl Strategy<Value = Object> {
        let namespace = prop_oneof![Just("a"), Just("b")];
        let parts = (namespace, 0..3_usize, 0..4_usize, 0..4_usize, 0..6_usize, any::<bool>());
        let date = prop_oneof![Just(None), Just(Some("2026-01-01T00:00:00Z")), Just(Some("2026-02-01T00:00:00Z"))];
        (0..20_usize, parts, date).prop_map(|(kind, (namespace, name, x, y, z, flag), created)| {
            let meta = json!({"creationTimestamp": created});
            let named = |prefix: &str| format!("{prefix}{name}");
            match kind {
                0 => service(namespace, &named("s")),
                1 => slice(namespace, &named("s"), &format!("10.0.0.{x}")),
                2 => secret(namespace, &named("t"), x),
                3 => {
                    let controller = ["postern.dev/ingress", "example.com/other"][x % 2];
                    let default = json!({"ingressclass.kubernetes.io/is-default-class": flag.to_string()});
                    let meta = json!({"annotations": default});
                    object(Kind::IngressClass, "", &named("c"), meta, json!({"spec": {"controller": controller}}))
                }
                4 => {
                    let body = json!({"spec": {"stripPrefix": {"prefixes": [format!("/{x}")]}}});
                    object(Kind::Middleware, namespace, &named("m"), json!({}), body)
                }
                5 => {
                    let controller = ["postern.dev/gateway", "example.com/other"][x % 2];
                    object(
                        Kind::GatewayClass,
                        "",
                        &named("g"),
                        json!({}),
                        json!({"spec": {"controllerName": controller}}),
                    )
                }
                6 => any_gateway(namespace, &named("gw"), meta, [x, y, z], flag),
                7 | 8 => any_http_route(namespace, &named("r"), meta, [x, y, z], flag),
                9 => any_pool(&named("p"), meta, [x, y, z], flag),
                10 => {
                    let spec = if flag { json!({}) } else { json!({"ipAddressPools": [format!("p{}", x % 3)]}) };
                    object(Kind::L2Advertisement, namespace, &named("l"), json!({}), json!({"spec": spec}))
                }
                11 => {
                    let label = json!({"labels": {"node.kubernetes.io/exclude-from-external-load-balancers": ""}});
                    object(Kind::Node, "", &named("n"), if flag { label } else { json!({}) }, json!({}))
                }
                18 | 19 => any_ranked(namespace, &named("k"), meta, [x, y, z], flag),
                12 | 13 => any_exposed(namespace, &named("s"), meta, [x, y, z], flag),
                _ => any_ingress(namespace, &named("i"), meta, [x, y, z], flag),
            }
        })
    }

    fn any_pool(name: &str, meta: Value, [x, y, z]: [usize; 3], flag: bool) -> Object {
        let ranges = ["192.0.2.0/30", "192.0.2.2-192.0.2.9", "2001:db8::/64", "nonsense"];
        let mut spec = json!({"addresses": [ranges[x], ranges[y]], "autoAssign": z != 0});
        if flag {
            spec["serviceAllocation"] = json!({"priority": z, "namespaces": ["a"]});
        }
        object(Kind::IpAddressPool, "a", name, meta, json!({"spec": spec}))
    }

    fn any_exposed(namespace: &str, name: &str, mut meta: Value, [x, y, z]: [usize; 3], flag: bool) -> Object {
        let mut body = json!({
            "spec": {"type": "LoadBalancer", "ports": [{"port": 80 + x}]},
            "status": {"loadBalancer": {"ingress": [{"ip": format!("192.0.2.{y}")}]}},
        });
        meta["annotations"] = match z {
            0 => json!({"metallb.io/loadBalancerIPs": format!("192.0.2.{x}")}),
            1 => json!({"metallb.io/address-pool": "p1"}),
            2 | 3 => json!({"metallb.io/allow-shared-ip": "key"}),
            _ => json!({}),
        };
        if flag {
            body["spec"]["externalTrafficPolicy"] = json!("Local");
            body["spec"]["ipFamilyPolicy"] = json!("PreferDualStack");
        }
        object(Kind::Service, namespace, name, meta, body)
    }

    fn any_ingress(namespace: &str, name: &str, mut meta: Value, [x, y, z]: [usize; 3], flag: bool) -> Object {
        let hosts = ["a.example.com", "b.example.com", "*.example.com", ""];
        let backend = |n: usize| json!({"service": {"name": format!("s{}", n % 3), "port": {"number": 80}}});
        let path = |n: usize| {
            let text = ["/", "/x", "/x/y", "bad"][n % 4];
            json!({"path": text, "pathType": "Prefix", "backend": backend(n)})
        };
        let tls_hosts = if flag { vec![hosts[x % 3]] } else { vec![] };
        let mut spec = json!({
            "rules": [
                {"host": hosts[x], "http": {"paths": [path(y), path(z)]}},
                {"host": hosts[y], "http": {"paths": [path(z)]}},
            ],
            "tls": [{"hosts": tls_hosts, "secretName": format!("t{}", z % 3)}],
        });
        if z % 2 == 0 {
            spec["defaultBackend"] = backend(x);
        }
        if z == 1 {
            spec["rules"] = json!([]);
        }
        if y == 3 {
            spec["ingressClassName"] = json!(format!("c{}", x % 3));
        }
        let list = format!("{namespace}-m{}@kubernetescrd", y % 3);
        meta["annotations"] = match z {
            2 => json!({"traefik.ingress.kubernetes.io/router.middlewares": list}),
            3 => json!({"traefik.ingress.kubernetes.io/router.entrypoints": "websecure"}),
            _ => json!({}),
        };
        object(Kind::Ingress, namespace, name, meta, json!({"spec": spec}))
    }

    fn any_ranked(namespace: &str, name: &str, meta: Value, [x, y, z]: [usize; 3], flag: bool) -> Object {
        let rules = [
            "Host(`a.example.com`)",
            "Host(`a.example.com`) && (PathPrefix(`/x`) || Path(`/x/y`))",
            "Host(`*.example.com`) && !Method(`GET`)",
            "PathPrefix(`/x`)",
            "HostRegexp(`example`)",
            "Host(`b.example.com`, `c.example.com`)",
        ];
        let service = json!([{"name": format!("s{}", y % 3), "port": 80}]);
        let middlewares = json!([{"name": format!("m{}", x % 3)}]);
        let mut spec = json!({"routes": [
            {"match": rules[z], "priority": x, "services": service, "middlewares": middlewares},
            {"match": rules[y], "services": service},
        ]});
        if flag {
            spec["tls"] = json!({"secretName": format!("t{}", x % 3)});
        }
        if y == 3 {
            spec["ingressClassName"] = json!(format!("c{}", x % 3));
        }
        object(Kind::IngressRoute, namespace, name, meta, json!({"spec": spec}))
    }

    fn any_gateway(namespace: &str, name: &str, meta: Value, [x, y, z]: [usize; 3], flag: bool) -> Object {
        let port = [80, 443, 8080, 8080][x % 4];
        let protocol = if flag { "HTTP" } else { "HTTPS" };
        let from = if z > 2 { "All" } else { "Same" };
        let mut listener = json!({
            "name": "main",
            "port": port,
            "protocol": protocol,
            "allowedRoutes": {"namespaces": {"from": from}},
        });
        if !flag {
            listener["tls"] = json!({"certificateRefs": [{"name": format!("t{}", z % 3)}]});
        }
        if let Some(name) = ["a.example.com", "b.example.com", "*.example.com"].get(y) {
            listener["hostname"] = json!(name);
        }
        let mut listeners = vec![listener];
        if z == 0 {
            listeners.push(json!({"name": "more", "port": 80, "protocol": "HTTP"}));
        }
        let body = json!({"spec": {"gatewayClassName": format!("g{}", x % 3), "listeners": listeners}});
        object(Kind::Gateway, namespace, name, meta, body)
    }

    fn any_http_route(namespace: &str, name: &str, meta: Value, [x, y, z]: [usize; 3], flag: bool) -> Object {
        let text = ["/", "/x", "/x/y"][y % 3];
        let prefix = json!({"type": "PathPrefix", "value": text});
        let gateway_namespace = if flag { "a" } else { namespace };
        let mut spec = json!({
            "parentRefs": [{"name": format!("gw{}", z % 3), "namespace": gateway_namespace}],
            "rules": [{
                "matches": [{"path": prefix}, {"path": prefix, "method": "GET"}],
                "backendRefs": [{"name": format!("s{}", x % 3), "port": 80}],
            }],
        });
        if let Some(name) = ["a.example.com", "b.example.com", "*.example.com"].get(x) {
            spec["hostnames"] = json!([name]);
        }
        object(Kind::HttpRoute, namespace, name, meta, json!({"spec": spec}))
    }

    fn any_change() -> impl Strategy<Value = Change> {
        (any_object(), 0..10_u8).prop_map(|(object, fate)| match fate {
            0..7 => set(object),
            7 => Change::Refused {
                key: Key::of(&object),
                origin: None,
                findings: vec![Finding::refused("spec", "WrongType", "is of the wrong type")],
            },
            _ => Change::Remove(Key::of(&object)),
        })
    }

    fn key(change: &Change) -> Key {
        match change {
            Change::Set { object, .. } => Key::of(object),
            Change::Refused { key, .. } | Change::Remove(key) => key.clone(),
        }
    }

    /// What differs between two snapshots, found by comparing everything.
    fn differences(before: &Snapshot, after: &Snapshot) -> Changed {
        fn slots<K: Clone + Ord + std::hash::Hash, V: PartialEq + Clone>(
            before: &crate::snapshot::Map<K, V>,
            after: &crate::snapshot::Map<K, V>,
        ) -> BTreeSet<K> {
            let ids = before.keys().chain(after.keys());
            ids.filter(|id| before.get(*id) != after.get(*id)).cloned().collect()
        }
        let sockets = before.listeners.keys().chain(after.listeners.keys());
        let addresses = before.announcements.keys().chain(after.announcements.keys());
        Changed {
            incomplete: before.incomplete != after.incomplete,
            sockets: sockets.filter(|key| before.listeners.get(*key) != after.listeners.get(*key)).copied().collect(),
            clusters: slots(&before.clusters, &after.clusters),
            middlewares: slots(&before.middlewares, &after.middlewares),
            certificates: slots(&before.certificates, &after.certificates),
            addresses: addresses
                .filter(|it| before.announcements.get(*it) != after.announcements.get(*it))
                .copied()
                .collect(),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

        #[test]
        fn batches_come_to_what_one_recomputation_comes_to(
            batches in prop::collection::vec(prop::collection::vec(any_change(), 1..8), 1..10),
        ) {
            let mut compiler = Compiler::new(settings());
            let mut at_hand: BTreeMap<Key, Change> = BTreeMap::new();
            let mut before = Arc::new(Snapshot::default());
            for batch in batches {
                for change in &batch {
                    match change {
                        Change::Remove(key) => at_hand.remove(key),
                        other => at_hand.insert(key(other), other.clone()),
                    };
                }
                let output = compiler.apply(batch);
                prop_assert_eq!(&output.changed, &differences(&before, &output.snapshot));
                before = output.snapshot.clone();

                // From nothing, in the opposite order, one object at a time.
                let mut fresh = Compiler::new(settings());
                let mut wanted = fresh.apply(Vec::new());
                for change in at_hand.values().rev() {
                    wanted = fresh.apply(vec![change.clone()]);
                }
                prop_assert_eq!(output.snapshot.to_string(), wanted.snapshot.to_string());
                prop_assert_eq!(&output.snapshot, &wanted.snapshot);
                prop_assert_eq!(&output.report, &wanted.report);
            }
        }
    }
}

#[test]
fn entry_points_are_there_without_any_object() {
    let output = Compiler::new(settings()).apply(Vec::new());
    assert_eq!(output.changed.sockets.len(), 2);
    assert_eq!(output.snapshot.listeners.len(), 2);
}

#[test]
fn an_entry_point_keeps_its_transport_and_the_gateway_that_wants_another_is_told() {
    let class = json!({"spec": {"controllerName": "postern.dev/gateway"}});
    let listeners =
        json!([{"name": "tls", "port": 80, "protocol": "HTTPS", "tls": {"certificateRefs": [{"name": "t"}]}}]);
    let gateway = json!({"spec": {"gatewayClassName": "g", "listeners": listeners}});
    let gateway = object(Kind::Gateway, "default", "gw", json!({}), gateway);
    let id = Key::of(&gateway).id();
    let batch =
        vec![set(object(Kind::GatewayClass, "", "g", json!({}), class)), set(gateway), set(secret("default", "t", 0))];
    let output = Compiler::new(settings()).apply(batch);
    assert_eq!(output.snapshot.listeners[&WEB].transport, Transport::Plain);
    let reasons = output.report.objects[&id].findings.iter().map(|finding| finding.reason);
    assert!(reasons.into_iter().any(|reason| reason == "PortUnavailable"), "{:?}", output.report.objects[&id]);
}

#[test]
fn routes_follow_what_becomes_of_the_socket_of_their_listener() {
    let class = json!({"spec": {"controllerName": "postern.dev/gateway"}});
    let gateway = |name: &str, created: &str, listener: Value| {
        let spec = json!({"spec": {"gatewayClassName": "g", "listeners": [listener]}});
        object(Kind::Gateway, "default", name, json!({"creationTimestamp": created}), spec)
    };
    let tls = json!({"name": "tls", "port": 8080, "protocol": "HTTPS", "tls": {"certificateRefs": [{"name": "t"}]}});
    let plain = gateway("plain", "2026-01-01T00:00:00Z", json!({"name": "http", "port": 8080, "protocol": "HTTP"}));
    let route = |name: &str, parent: &str| {
        let spec = json!({"parentRefs": [{"name": parent}], "rules": [{"backendRefs": [{"name": "s", "port": 80}]}]});
        set(object(Kind::HttpRoute, "default", name, json!({}), json!({"spec": spec})))
    };
    let mut compiler = Compiler::new(settings());
    compiler.apply(vec![
        set(object(Kind::GatewayClass, "", "g", json!({}), class)),
        set(service("default", "s")),
        set(secret("default", "t", 0)),
        set(gateway("secure", "2026-02-01T00:00:00Z", tls)),
        route("on-secure", "secure"),
        route("on-plain", "plain"),
    ]);
    let reasons = |output: &Output, name: &str| {
        let id = ObjectId { kind: "HTTPRoute".into(), namespace: "default".into(), name: name.into() };
        output.report.objects[&id].findings.iter().map(|finding| finding.reason).collect::<Vec<_>>()
    };
    let taken = compiler.apply(vec![set(plain.clone())]);
    assert_eq!(reasons(&taken, "on-secure"), ["NoMatchingParent"]);
    assert_eq!(reasons(&taken, "on-plain"), [""; 0]);
    assert_eq!(taken.recomputed, 4, "the Gateway, the route that names it, and both once the socket is settled");
    let back = compiler.apply(vec![Change::Remove(Key::of(&plain))]);
    assert_eq!(reasons(&back, "on-secure"), [""; 0]);
    assert_eq!(reasons(&back, "on-plain"), ["NoMatchingParent"]);
    assert_eq!(back.recomputed, 2, "the two routes");
}

#[test]
fn a_middleware_heals_with_all_that_use_it_when_its_auth_service_comes() {
    let auth = json!({"spec": {"forwardAuth": {"address": "http://auth.default.svc/verify"}}});
    let middleware = object(Kind::Middleware, "default", "auth", json!({}), auth);
    let list =
        json!({"annotations": {"traefik.ingress.kubernetes.io/router.middlewares": "default-auth@kubernetescrd"}});
    let backend = json!({"service": {"name": "web", "port": {"number": 80}}});
    let paths = json!([{"path": "/", "pathType": "Prefix", "backend": backend}]);
    let spec = json!({"spec": {"rules": [{"host": "a.example.com", "http": {"paths": paths}}]}});
    let ingress = object(Kind::Ingress, "default", "i", list, spec);
    let ids = [Key::of(&middleware).id(), Key::of(&ingress).id()];
    let severities = |output: &Output| ids.clone().map(|id| output.report.objects[&id].worst());
    let mut compiler = Compiler::new(settings());
    let closed = compiler.apply(vec![set(service("default", "web")), set(middleware), set(ingress)]);
    assert_eq!(severities(&closed), [Some(Severity::Refused); 2]);
    let open = compiler.apply(vec![set(service("default", "auth"))]);
    assert_eq!(severities(&open), [None; 2]);
    let slot = &**open.snapshot.middlewares.values().next().expect("the slot is there");
    assert!(matches!(slot, MiddlewareSlot::Ready(_)), "{slot:?}");
    let again = compiler.apply(vec![Change::Remove(Key::of(&service("default", "auth")))]);
    assert_eq!(severities(&again), [Some(Severity::Refused); 2]);
}

#[test]
fn a_loser_that_only_changes_its_age_is_still_told() {
    let claim = |name: &str, created: &str, secret: &str| {
        let tls = json!([{"hosts": ["a.example.com"], "secretName": secret}]);
        let meta = json!({"creationTimestamp": created});
        set(object(Kind::Ingress, "default", name, meta, json!({"spec": {"tls": tls}})))
    };
    let mut compiler = Compiler::new(settings());
    compiler.apply(vec![
        set(secret("default", "one", 0)),
        set(secret("default", "two", 1)),
        claim("old", "2026-01-01T00:00:00Z", "one"),
        claim("young", "2026-05-01T00:00:00Z", "two"),
    ]);
    let output = compiler.apply(vec![claim("young", "2026-03-01T00:00:00Z", "two")]);
    let young = ObjectId { kind: "Ingress".into(), namespace: "default".into(), name: "young".into() };
    let told: Vec<_> =
        output.report.objects[&young].findings.iter().map(|found| (found.reason, &*found.field)).collect();
    assert_eq!(told, [("HostnameConflict", "spec.tls[0].hosts[0]")]);
}

#[test]
fn everything_goes_when_the_objects_go() {
    let mut compiler = Compiler::new(settings());
    let empty = compiler.apply(Vec::new());
    let objects = [
        service("default", "web"),
        slice("default", "web", "10.0.0.1"),
        secret("default", "tls", 0),
        ingress("default", "web", "a.example.com", "/", "web"),
    ];
    compiler.apply(objects.iter().cloned().map(set).collect());
    let last = compiler.apply(objects.iter().map(|object| Change::Remove(Key::of(object))).collect());
    assert_eq!(last.snapshot, empty.snapshot);
    assert_eq!(last.report, empty.report);
}

#[test]
fn time_passing_changes_the_verdict_of_a_certificate_and_nothing_else() {
    let mut compiler = Compiler::new(settings());
    let secret = secret("default", "tls", 0);
    let id = Key::of(&secret).id();
    let before = compiler.apply(vec![set(secret)]);
    assert_eq!(before.report.objects[&id].worst(), None);
    let after = compiler.set_now("9998-01-01T00:00:00Z".parse().expect("a valid time"));
    assert!(after.changed.is_empty());
    assert_eq!(after.recomputed, 1);
    assert_eq!(after.report.objects[&id].worst(), Some(Severity::Warning));
}
