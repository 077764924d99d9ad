//! What of a `.status` is read: where the cluster keeps it nowhere else. Everything else of a status is for readers.

use serde_json::{Value, json};

use super::{Kind, gateway::Gateway, node::Node};

/// The part of `status` that an object of `kind` is read with; `None` where that is nothing.
pub fn record(kind: Kind, status: &Value) -> Option<Value> {
    match kind {
        // The addresses that it was given.
        Kind::Service => {
            let points = status.get("loadBalancer")?.get("ingress").filter(|points| !is_empty(points))?;
            Some(json!({"loadBalancer": {"ingress": points}}))
        }
        // The same, where they are its own.
        Kind::Gateway => {
            let conditions = status.get("conditions")?.as_array()?;
            let says = |condition: &&Value| condition.get("type").is_some_and(|it| it == Gateway::ALLOCATED);
            let holds = conditions.iter().find(says)?.get("status")? == "True";
            let addresses = status.get("addresses").filter(|addresses| holds && !is_empty(addresses))?;
            Some(json!({
                "addresses": addresses,
                "conditions": [{"type": Gateway::ALLOCATED, "status": "True"}],
            }))
        }
        // Times of its heartbeats would make news of every one.
        Kind::Node => {
            let conditions = status.get("conditions")?.as_array()?.iter();
            let read =
                conditions.filter(|condition| condition.get("type").is_some_and(|it| it == Node::NETWORK_UNAVAILABLE));
            let field = |condition: &Value, name| condition.get(name).cloned().unwrap_or_default();
            let read: Vec<_> =
                read.map(|it| json!({"type": field(it, "type"), "status": field(it, "status")})).collect();
            (!read.is_empty()).then(|| json!({"conditions": read}))
        }
        _ => None,
    }
}

fn is_empty(value: &Value) -> bool {
    value.is_null() || value.as_array().is_some_and(Vec::is_empty)
}
