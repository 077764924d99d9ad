//! `Ingress`: where it is reached. The whole of `status.loadBalancer` is that of the class's controller, which does not
//! sign it; so an Ingress that is no longer ours is left to whoever has it now.

use serde_json::{Value, json};

use super::{Address, Context, Desired, merge::Shape};
use crate::{
    kubernetes::object::{Item, networking::Ingress},
    report::Verdict,
};

pub(super) const SHAPE: Shape = Shape { fields: &["loadBalancer"], conditions: &[], list: None };

/// Of an Ingress whose class is not ours, or not there, the verdict says nothing else.
const NOT_SERVED: [&str; 2] = ["NotOurs", "NoIngressClass"];

pub(super) fn desired(ingress: &Item<Ingress>, verdict: &Verdict, context: &Context<'_>) -> Option<Desired> {
    if verdict.findings.iter().any(|finding| NOT_SERVED.contains(&finding.reason)) {
        return None;
    }
    let points: Vec<_> = context.addresses.iter().map(point).collect();
    let load_balancer = if points.is_empty() { json!({}) } else { json!({"ingress": points}) };
    let mut desired = Desired::of::<Ingress>(&ingress.meta, context);
    desired.fields = vec![("loadBalancer", load_balancer)];
    Some(desired)
}

fn point(address: &Address) -> Value {
    match address {
        Address::Ip(ip) => json!({"ip": ip.to_string()}),
        Address::Hostname(name) => json!({"hostname": name}),
    }
}
