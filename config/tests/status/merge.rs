//! How what is desired goes into what is there.

use std::sync::Arc;

use jiff::Timestamp;
use postern_config::kubernetes::{
    object::Kind,
    status::{Desired, fingerprint, merge},
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::world::{World, authority, lines, secret, world};

const OBJECTS: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: infra, generation: 2}
spec:
  gatewayClassName: postern
  listeners:
  - {name: http, port: 80, protocol: HTTP}
  - {name: https, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: site}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: one, namespace: infra, generation: 2}
spec:
  parentRefs: [{name: gw, sectionName: http}, {name: gw, sectionName: https}]
  rules: [{backendRefs: [{name: web, port: 80}]}, {backendRefs: [{name: web, weight: 1}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: none-of-ours, namespace: infra, generation: 2}
spec:
  parentRefs: [{name: foreign}]
  rules: [{backendRefs: [{name: web, port: 80}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: foreign, namespace: infra}
spec: {gatewayClassName: foreign, listeners: [{name: http, port: 80, protocol: HTTP}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: policy, namespace: infra, generation: 2}
spec:
  targetRefs: [{group: \"\", kind: Service, name: web}]
  validation: {hostname: abc.example.com, caCertificateRefs: [{group: \"\", kind: ConfigMap, name: ca}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: one, namespace: infra, generation: 2}
spec: {ingressClassName: postern, defaultBackend: {service: {name: web, port: {number: 80}}}}
";

/// Each kind with a status of ours, by an object of it.
const SHOWN: [(Kind, &str); 6] = [
    (Kind::GatewayClass, "postern"),
    (Kind::Gateway, "infra/gw"),
    (Kind::HttpRoute, "infra/one"),
    (Kind::HttpRoute, "infra/none-of-ours"),
    (Kind::BackendTlsPolicy, "infra/policy"),
    (Kind::Ingress, "infra/one"),
];

const THEN: &str = "2026-01-01T00:00:00Z";
const NOW: &str = "2026-06-01T00:00:00Z";

fn all() -> World {
    world(&(secret("infra", "site") + &authority("ca") + OBJECTS))
}

fn at(time: &str) -> Timestamp {
    time.parse().unwrap()
}

fn ours() -> Vec<Arc<str>> {
    ["postern.dev/gateway", "traefik.io/gateway-controller", "kgateway.dev/kgateway"].map(Into::into).to_vec()
}

fn desired(kind: Kind, name: &str) -> Desired {
    all().desired(kind, name).expect("it is ours")
}

fn merged(current: &Value, desired: &Desired) -> Option<Value> {
    merge(current, desired, at(NOW))
}

fn foreign_parent() -> Value {
    json!({
        "controllerName": "example.com/other",
        "parentRef": {"name": "foreign"},
        "conditions": [{"type": "Accepted", "status": "True", "reason": "Accepted", "message": "", "odd": [1]}],
    })
}

#[test]
fn what_is_shown_is_not_written_again() {
    for (kind, name) in SHOWN {
        let desired = desired(kind, name);
        let status = merge(&Value::Null, &desired, at(THEN)).unwrap_or_default();
        assert_eq!(merged(&status, &desired), None, "{kind:?}");
        assert_eq!(fingerprint(kind, &status, &ours()), desired.fingerprint(), "{kind:?}");
    }
}

#[test]
fn the_time_changes_with_the_status_alone() {
    let mut world = all();
    world.programmed = false;
    let pending = world.desired(Kind::Gateway, "infra/gw").unwrap();
    let before = merge(&Value::Null, &pending, at(THEN)).unwrap();
    let after = merged(&before, &desired(Kind::Gateway, "infra/gw")).unwrap();
    assert_eq!(after.pointer("/conditions/0/lastTransitionTime").unwrap(), THEN);
    assert_eq!(after.pointer("/conditions/1/lastTransitionTime").unwrap(), NOW);
    assert_eq!(after.pointer("/conditions/1/status").unwrap(), "True");
    assert_eq!(after.pointer("/listeners/0/conditions/0/lastTransitionTime").unwrap(), THEN);
    assert_eq!(after.pointer("/listeners/0/conditions/1/lastTransitionTime").unwrap(), NOW);
}

#[test]
fn a_new_generation_is_written_without_a_new_time() {
    let desired = desired(Kind::HttpRoute, "infra/one");
    let mut status = merge(&Value::Null, &desired, at(THEN)).unwrap();
    *status.pointer_mut("/parents/0/conditions/0/observedGeneration").unwrap() = json!(1);
    let after = merged(&status, &desired).unwrap();
    assert_eq!(after.pointer("/parents/0/conditions/0/observedGeneration").unwrap(), 2);
    assert_eq!(after.pointer("/parents/0/conditions/0/lastTransitionTime").unwrap(), THEN);
}

#[test]
fn what_is_about_a_newer_generation_is_left_alone() {
    for (kind, name, pointer) in [
        (Kind::Gateway, "infra/gw", "/conditions/0"),
        (Kind::Gateway, "infra/gw", "/listeners/1/conditions/0"),
        (Kind::HttpRoute, "infra/one", "/parents/0/conditions/1"),
        (Kind::BackendTlsPolicy, "infra/policy", "/ancestors/0/conditions/0"),
    ] {
        let desired = desired(kind, name);
        let mut status = merge(&Value::Null, &desired, at(THEN)).unwrap();
        let condition = status.pointer_mut(pointer).unwrap();
        condition["observedGeneration"] = json!(3);
        condition["message"] = json!("newer");
        assert_eq!(merged(&status, &desired), None, "{kind:?} {pointer}");
    }
}

#[test]
fn what_the_api_server_writes_first_is_replaced() {
    let waiting = |kind: &str| {
        json!({"type": kind, "status": "Unknown", "reason": "Pending", "message": "Waiting for controller",
               "lastTransitionTime": "1970-01-01T00:00:00Z"})
    };
    let status = json!({"conditions": [waiting("Accepted"), waiting("Programmed")]});
    let after = merged(&status, &desired(Kind::Gateway, "infra/gw")).unwrap();
    assert_eq!(lines(&after)[0], "Accepted Programmed ResolvedRefs");
}

#[test]
fn conditions_of_other_types_stay_as_they_are_and_where_they_are() {
    let foreign = json!({"type": "example.com/Odd", "status": "True", "reason": "Seeded", "observedGeneration": 99,
                         "lastTransitionTime": THEN});
    let desired = desired(Kind::Gateway, "infra/gw");
    let status = json!({
        "attachedListenerSets": 3,
        "conditions": [&foreign, {"type": "Programmed", "status": "False", "reason": "Old", "message": "",
                                  "lastTransitionTime": THEN}],
        "listeners": [{"name": "https", "attachedRoutes": 9, "odd": 1, "conditions": [&foreign]}],
    });
    let after = merged(&status, &desired).unwrap();
    assert_eq!(after["attachedListenerSets"], 3);
    let types = |pointer: &str| -> Vec<String> {
        let list = after.pointer(pointer).and_then(Value::as_array).unwrap();
        list.iter().map(|condition| condition["type"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(types("/conditions"), ["example.com/Odd", "Programmed", "Accepted", "ResolvedRefs"]);
    assert_eq!(after.pointer("/conditions/0").unwrap(), &foreign);
    assert_eq!(after.pointer("/listeners/0/name").unwrap(), "https");
    assert_eq!(after.pointer("/listeners/0/odd").unwrap(), 1);
    assert_eq!(after.pointer("/listeners/0/attachedRoutes").unwrap(), 1);
    assert_eq!(after.pointer("/listeners/0/conditions/0").unwrap(), &foreign);
    assert_eq!(after.pointer("/listeners/1/name").unwrap(), "http");
    assert_eq!(merged(&after, &desired), None);
}

#[test]
fn listeners_that_have_gone_are_taken_out() {
    let status = json!({"listeners": [{"name": "gone", "attachedRoutes": 1, "conditions": []}]});
    let after = merged(&status, &desired(Kind::Gateway, "infra/gw")).unwrap();
    let names: Vec<_> = after["listeners"].as_array().unwrap().iter().map(|listener| &listener["name"]).collect();
    assert_eq!(names, ["http", "https"]);
}

#[test]
fn entries_of_others_stay_and_ours_of_parents_that_have_gone_are_taken_out() {
    let gone = json!({
        "controllerName": "postern.dev/gateway",
        "parentRef": {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "gone"},
        "conditions": [{"type": "Accepted", "status": "True", "observedGeneration": 1}],
    });
    let status = json!({"parents": [&gone, foreign_parent()]});
    let desired = desired(Kind::HttpRoute, "infra/one");
    let after = merged(&status, &desired).unwrap();
    let parents = after["parents"].as_array().unwrap();
    assert_eq!(parents.len(), 3);
    assert_eq!(parents[0].to_string(), foreign_parent().to_string());
    assert_eq!(parents[1]["parentRef"]["sectionName"], "http");
    assert_eq!(parents[2]["parentRef"]["sectionName"], "https");
    assert_eq!(merged(&after, &desired), None);
}

#[test]
fn all_of_ours_is_taken_out_of_a_route_that_is_no_longer_ours() {
    let ours = merge(&Value::Null, &desired(Kind::HttpRoute, "infra/one"), at(THEN)).unwrap();
    let mut status = ours.clone();
    status["parents"].as_array_mut().unwrap().insert(1, foreign_parent());
    let none = desired(Kind::HttpRoute, "infra/none-of-ours");
    assert_eq!(merged(&status, &none).unwrap(), json!({"parents": [foreign_parent()]}));
    assert_eq!(merged(&ours, &none).unwrap(), json!({"parents": []}));
    for nothing in [Value::Null, json!({}), json!({"parents": []}), json!({"parents": [foreign_parent()]})] {
        assert_eq!(merged(&nothing, &none), None);
        assert_eq!(fingerprint(Kind::HttpRoute, &nothing, &self::ours()), none.fingerprint());
    }
}

#[test]
fn a_condition_that_no_longer_holds_and_must_not_be_false_is_taken_out() {
    let partial = desired(Kind::HttpRoute, "infra/one");
    let status = merge(&Value::Null, &partial, at(THEN)).unwrap();
    assert_eq!(
        lines(&merged(&json!({}), &partial).unwrap())[0],
        "gw/http: Accepted ResolvedRefs PartiallyInvalid(UnsupportedValue)"
    );
    let whole = OBJECTS.replace("{name: web, weight: 1}", "{name: web, port: 80}");
    let whole = world(&(secret("infra", "site") + &authority("ca") + &whole)).desired(Kind::HttpRoute, "infra/one");
    let after = merged(&status, &whole.unwrap()).unwrap();
    assert_eq!(after.pointer("/parents/0/conditions").and_then(Value::as_array).unwrap().len(), 2);
}

#[test]
fn no_more_than_the_api_takes_is_written() {
    let policy = desired(Kind::BackendTlsPolicy, "infra/policy");
    let entry =
        |number: usize| json!({"controllerName": "example.com/other", "ancestorRef": {"name": number.to_string()}});
    let full = json!({"ancestors": (0..16).map(entry).collect::<Vec<_>>()});
    assert_eq!(merged(&full, &policy), None);
    let room = json!({"ancestors": (0..15).map(entry).collect::<Vec<_>>()});
    assert_eq!(merged(&room, &policy).unwrap()["ancestors"].as_array().unwrap().len(), 16);
    let odd = |number: usize| json!({"type": format!("example.com/{number}"), "status": "True"});
    let crowded = json!({"conditions": (0..7).map(odd).collect::<Vec<_>>()});
    let after = merged(&crowded, &desired(Kind::Gateway, "infra/gw")).unwrap();
    assert_eq!(after["conditions"].as_array().unwrap().len(), 8);
    assert_eq!(after["conditions"][7]["type"], "Accepted");
}

#[test]
fn addresses_of_an_ingress_are_replaced_as_a_whole() {
    let desired = desired(Kind::Ingress, "infra/one");
    let status = json!({"loadBalancer": {"ingress": [{"ip": "198.51.100.1"}, {"ip": "192.0.2.1"}]}});
    assert_eq!(merged(&status, &desired), Some(json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}})));
    let mut world = all();
    world.addresses.clear();
    let none = world.desired(Kind::Ingress, "infra/one").unwrap();
    assert_eq!(merged(&json!({"loadBalancer": {}}), &none), None);
    assert_eq!(merged(&status, &none), Some(json!({})));
}

/// What may be found in a cluster: parts of ours and of others, whole or damaged.
fn any_status() -> impl Strategy<Value = Value> {
    let kind = prop::sample::select(vec!["Accepted", "Programmed", "ResolvedRefs", "PartiallyInvalid", "Odd"]);
    let parts = (kind, prop::sample::select(vec!["True", "False", "Unknown"]), 0..4_u8, any::<bool>(), any::<bool>());
    let condition = parts.prop_map(|(kind, status, generation, timed, extra)| {
        let mut condition =
            json!({"type": kind, "status": status, "reason": kind, "message": "", "observedGeneration": generation});
        if timed {
            condition["lastTransitionTime"] = json!(THEN);
        }
        if extra {
            condition["extra"] = json!({});
        }
        condition
    });
    let conditions = prop::collection::vec(condition, 0..4);
    let controller =
        prop::sample::select(vec!["postern.dev/gateway", "traefik.io/gateway-controller", "example.com/other"]);
    let reference = prop::sample::select(vec![
        json!({"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "gw", "sectionName": "http"}),
        json!({"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "gw", "namespace": "infra"}),
        json!({"name": "gw"}),
    ]);
    let name = prop::sample::select(vec!["http", "https", "gone"]);
    let entry = (name, reference, controller, conditions.clone(), any::<bool>());
    let entry = entry.prop_map(|(name, reference, controller, conditions, whole)| match whole {
        true => json!({
            "name": name, "parentRef": reference, "ancestorRef": reference, "controllerName": controller,
            "conditions": conditions, "attachedRoutes": 1, "supportedKinds": [],
        }),
        false => json!({"name": name, "parentRef": reference}),
    });
    let entry = prop_oneof![9 => entry, 1 => Just(json!(7))];
    let list = prop_oneof![
        4 => prop::collection::vec(entry, 0..5).prop_map(Value::from),
        1 => Just(Value::Null),
        1 => Just(json!({})),
    ];
    let addresses = prop::sample::select(vec![
        Value::Null,
        json!([]),
        json!([{"type": "IPAddress", "value": "192.0.2.1"}]),
        json!([{"value": "192.0.2.2"}]),
    ]);
    (conditions, list, addresses, any::<bool>()).prop_map(|(conditions, list, addresses, empty)| match empty {
        true => Value::Null,
        false => json!({
            "conditions": conditions, "listeners": list, "parents": list, "ancestors": list, "addresses": addresses,
            "odd": 1, "loadBalancer": {"ingress": addresses}, "supportedFeatures": addresses,
        }),
    })
}

/// Everything of `status` that is not ours, in order.
fn others(kind: Kind, status: &Value) -> Value {
    let mut status = status.clone();
    let foreign = |entry: &Value| !ours().iter().any(|ours| entry["controllerName"] == **ours);
    let list = match kind {
        Kind::HttpRoute => "parents",
        Kind::BackendTlsPolicy => "ancestors",
        _ => return status["odd"].take(),
    };
    let entries: Vec<_> =
        status[list].as_array().into_iter().flatten().filter(|entry| foreign(entry)).cloned().collect();
    if let Some(fields) = status.as_object_mut() {
        fields.remove(list);
    }
    json!([status.as_object().map(|fields| json!(fields)).unwrap_or(json!({})), entries])
}

/// What comes out of the API server again.
fn stored(status: &Value) -> Value {
    serde_json::from_str(&status.to_string()).unwrap()
}

proptest! {
    #[test]
    fn merging_settles_at_once_and_the_fingerprint_tells(current in any_status(), which in 0..SHOWN.len()) {
        static DESIRED: std::sync::LazyLock<Vec<Desired>> =
            std::sync::LazyLock::new(|| SHOWN.map(|(kind, name)| desired(kind, name)).to_vec());
        let (kind, desired) = (SHOWN[which].0, &DESIRED[which]);
        let before = fingerprint(kind, &current, &ours());
        let after = merged(&current, desired);
        let shown = after.clone().unwrap_or_else(|| current.clone());
        prop_assert_eq!(before == fingerprint(kind, &shown, &ours()), after.is_none());
        prop_assert_eq!(merge(&stored(&shown), desired, at("2026-07-01T00:00:00Z")), None);
        prop_assert_eq!(others(kind, &shown), others(kind, &current));
        if after.is_some() {
            prop_assert_eq!(fingerprint(kind, &shown, &ours()), desired.fingerprint());
        }
    }
}
