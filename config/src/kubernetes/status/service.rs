//! `Service`: which addresses it was given, and of which pool. This is no verdict but the record: what it shows is what
//! nodes announce, and what the next holder of the Lease goes by.
//!
//! The pool stands in an annotation, as MetalLB writes it. Here it is one more field of the status, under a name that no
//! status has: [`shown`] puts it there and [`put`] takes it out again.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{
    Context, Desired,
    announced::{self, ANNOUNCED},
    merge::Shape,
};
use crate::{
    allocation::{Assignment, Outcome, Purpose, Refusal},
    kubernetes::{
        convert::{
            exposure::{ALLOCATED_FROM, Keeper, owner_annotation},
            object_id,
        },
        object::{
            Item,
            service::{Service, ServiceType},
        },
    },
};

const LOAD_BALANCER: &str = "loadBalancer";
const CONDITIONS: &str = "conditions";

pub(super) const SHAPE: Shape =
    Shape { fields: &[LOAD_BALANCER, ALLOCATED_FROM], conditions: &[ANNOUNCED], list: None };

/// What a Service should show; `None`: what it shows is not ours, or there is no telling.
pub(super) fn desired(service: &Item<Service>, context: &Context<'_>) -> Option<Desired> {
    let of = object_id(service);
    let (load_balancer, pool) = match context.ledger.allocation.outcomes.get(&of) {
        Some(Outcome { result: Ok(assignment), .. }) => {
            let purpose = context.ledger.claims.get(&of)?.purpose;
            (points(assignment, purpose), json!(assignment.pool))
        }
        // Pools that nobody can see are no reason to take addresses away.
        Some(Outcome { result: Err(Refusal::NoPools), .. }) => return None,
        Some(Outcome { result: Err(_), .. }) => (Value::Null, Value::Null),
        None if was_given(service, context) => (Value::Null, Value::Null),
        None => return None,
    };
    let mut desired = Desired::of::<Service>(&service.meta, context);
    let has_addresses = !load_balancer.is_null();
    desired.fields = vec![(LOAD_BALANCER, load_balancer), (ALLOCATED_FROM, pool)];
    if has_addresses {
        announced::add(&mut desired, context);
    }
    Some(desired)
}

/// Whether it has an address of a pool, and is of no type any more that has.
fn was_given(service: &Item<Service>, context: &Context<'_>) -> bool {
    context.settings.addresses.keeper == Keeper::Cluster
        && service.body.spec.kind != ServiceType::LoadBalancer
        && owner_annotation(&service.meta).is_some()
}

/// kube-proxy leaves alone what arrives at an address of mode `Proxy`; `VIP` is what the API server fills in (1.30).
fn points(assignment: &Assignment, purpose: Purpose) -> Value {
    let point = |address: &std::net::IpAddr| match purpose {
        Purpose::Served => json!({"ip": address.to_string(), "ipMode": "Proxy"}),
        Purpose::Foreign => json!({"ip": address.to_string()}),
    };
    json!({"ingress": assignment.addresses.iter().map(point).collect::<Vec<_>>()})
}

/// What the cluster shows of a Service that is ours, in one value.
pub(super) fn shown(annotations: Option<&BTreeMap<String, String>>, status: &Value) -> Value {
    let mut shown = Map::new();
    if let Some(load_balancer) = status.get(LOAD_BALANCER) {
        shown.insert(LOAD_BALANCER.to_owned(), without_default(load_balancer.clone()));
    }
    if let Some(conditions) = status.get(CONDITIONS) {
        shown.insert(CONDITIONS.to_owned(), conditions.clone());
    }
    if let Some(pool) = annotations.and_then(|all| all.get(ALLOCATED_FROM)) {
        shown.insert(ALLOCATED_FROM.to_owned(), json!(pool));
    }
    Value::Object(shown)
}

fn without_default(mut load_balancer: Value) -> Value {
    for point in load_balancer.get_mut("ingress").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(fields) = point.as_object_mut().filter(|fields| fields.get("ipMode").is_some_and(|it| it == "VIP"))
        {
            fields.remove("ipMode");
        }
    }
    load_balancer
}

/// Puts `wanted`, made of what [`shown`] says, into annotations and status.
pub(super) fn put(annotations: &mut Option<BTreeMap<String, String>>, status: &mut Value, wanted: &Value) {
    match wanted.get(ALLOCATED_FROM).and_then(Value::as_str) {
        Some(pool) => {
            annotations.get_or_insert_default().insert(ALLOCATED_FROM.to_owned(), pool.to_owned());
        }
        None => {
            annotations.as_mut().and_then(|all| all.remove(ALLOCATED_FROM));
        }
    }
    if !status.is_object() {
        *status = json!({});
    }
    if let Some(fields) = status.as_object_mut() {
        fields.insert(LOAD_BALANCER.to_owned(), wanted.get(LOAD_BALANCER).cloned().unwrap_or_else(|| json!({})));
        if let Some(conditions) = wanted.get(CONDITIONS) {
            fields.insert(CONDITIONS.to_owned(), conditions.clone());
        }
    }
}
