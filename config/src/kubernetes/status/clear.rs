//! A status without what is ours in it, for when Postern leaves a cluster.

use std::sync::Arc;

use serde_json::Value;

use super::{is_record, shape};
use crate::kubernetes::object::Kind;

/// `.status` of an object of `kind` without our parts; `None` where there are none. Of lists that several controllers
/// share, entries in the name of `controllers` are ours. A record stays: whoever gives addresses next goes by it. What a kind's one controller owns is ours as a whole: to be asked
/// only of objects whose class is ours.
pub fn cleared(kind: Kind, status: &Value, controllers: &[Arc<str>]) -> Option<Value> {
    let shape = shape(kind)?;
    let before = status.as_object()?;
    let mut after = before.clone();
    after.retain(|field, _| is_record(kind) || !shape.fields.contains(&field.as_str()));
    if let Some(Value::Array(conditions)) = after.get_mut("conditions") {
        let is_ours =
            |condition: &Value| condition["type"].as_str().is_some_and(|name| shape.conditions.contains(&name));
        conditions.retain(|condition| !is_ours(condition));
    }
    if let Some((list, Value::Array(entries))) =
        shape.list.as_ref().and_then(|list| Some((list, after.get_mut(list.name)?)))
    {
        let is_ours = |entry: &Value| {
            let controller = entry["controllerName"].as_str();
            !list.shared || controller.is_some_and(|name| controllers.iter().any(|ours| **ours == *name))
        };
        entries.retain(|entry| !is_ours(entry));
    }
    (after != *before).then_some(Value::Object(after))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_is_ours_goes() {
        let ours = [Arc::from("postern.dev/gateway")];
        let parent =
            |controller: &str| json!({"parentRef": {"name": "edge"}, "controllerName": controller, "conditions": []});
        let both = json!({"parents": [parent("other"), parent("postern.dev/gateway")]});
        let left = json!({"parents": [parent("other")]});
        assert_eq!(cleared(Kind::HttpRoute, &both, &ours), Some(left.clone()));
        assert_eq!(cleared(Kind::HttpRoute, &left, &ours), None, "nothing is left to do");
        assert_eq!(cleared(Kind::HttpRoute, &json!({}), &ours), None);
        let given = json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}});
        assert_eq!(cleared(Kind::Service, &given, &ours), None, "whoever gives addresses next goes by it");
        let told = |conditions: Value| json!({"loadBalancer": given["loadBalancer"], "conditions": conditions});
        let ours_too = told(json!([{"type": "postern.dev/Announced"}, {"type": "example.com/Audited"}]));
        let others = told(json!([{"type": "example.com/Audited"}]));
        assert_eq!(cleared(Kind::Service, &ours_too, &ours), Some(others), "what is said of it goes");
        let gateway = json!({
            "addresses": [{"value": "192.0.2.7"}],
            "conditions": [{"type": "Accepted"}, {"type": "example.com/Audited"}],
            "listeners": [{"name": "http"}],
        });
        let left = json!({"conditions": [{"type": "example.com/Audited"}], "listeners": []});
        assert_eq!(cleared(Kind::Gateway, &gateway, &ours), Some(left));
        let ingress = json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}});
        assert_eq!(cleared(Kind::Ingress, &ingress, &ours), Some(json!({})));
    }
}
