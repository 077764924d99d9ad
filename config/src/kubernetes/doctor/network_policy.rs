//! NetworkPolicies that let the old edge's pods in and nobody else: Postern comes from the nodes' addresses, which no
//! selector of pods holds.

use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicyPeer};

use super::Diagnosis;
use crate::kubernetes::takeover::Product;

const CHECK: &str = "network-policies";

/// One diagnosis for each policy that names an edge's pods.
pub fn check(policies: &[NetworkPolicy]) -> Vec<Diagnosis> {
    let found: Vec<_> = policies.iter().filter_map(of).collect();
    if found.is_empty() { vec![Diagnosis::good(CHECK, "no policy lets an edge in by its pods")] } else { found }
}

fn of(policy: &NetworkPolicy) -> Option<Diagnosis> {
    let rules = policy.spec.as_ref()?.ingress.as_deref().unwrap_or_default();
    let product = rules.iter().flat_map(|rule| rule.from.iter().flatten()).find_map(edge)?;
    // An address block beside it may hold the nodes.
    let blocks = rules.iter().flat_map(|rule| rule.from.iter().flatten()).any(|peer| peer.ip_block.is_some());
    let open = rules.iter().any(|rule| rule.from.as_ref().is_none_or(Vec::is_empty));
    if open {
        return None;
    }
    let part = |part: &Option<String>| part.clone().unwrap_or_default();
    let name = format!("{}/{}", part(&policy.metadata.namespace), part(&policy.metadata.name));
    let message =
        format!("NetworkPolicy {name} lets {}'s pods in; Postern comes from the nodes' addresses", product.name());
    let remedy = "add an ipBlock with the nodes' addresses (and those of their pod bridges) to its `from`";
    Some(if blocks {
        Diagnosis::careful(CHECK, message, "see that its ipBlock holds the nodes' addresses")
    } else {
        Diagnosis::breaks(CHECK, message, remedy)
    })
}

fn edge(peer: &NetworkPolicyPeer) -> Option<Product> {
    let labels = peer.pod_selector.as_ref()?.match_labels.as_ref()?;
    Product::of_labels(labels).filter(|product| product.is_edge())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{super::Outcome, *};

    #[test]
    fn policies_that_name_the_old_pods_alone_break() {
        let traefik = json!({"podSelector": {"matchLabels": {"app.kubernetes.io/name": "traefik"}}});
        let policy = |ingress: Value| {
            let spec = json!({"podSelector": {}, "ingress": ingress});
            serde_json::from_value(json!({"metadata": {"name": "web", "namespace": "shop"}, "spec": spec}))
                .expect("a policy")
        };
        for (ingress, outcome) in [
            (json!([{"from": [traefik]}]), Outcome::Breaks),
            (json!([{"from": [traefik, {"ipBlock": {"cidr": "10.0.0.0/8"}}]}]), Outcome::Careful),
            (json!([{"from": [traefik]}, {}]), Outcome::Good),
            (json!([{"from": [{"podSelector": {"matchLabels": {"app": "web"}}}]}]), Outcome::Good),
            (json!([]), Outcome::Good),
        ] {
            assert_eq!(check(&[policy(ingress.clone())])[0].outcome, outcome, "{ingress}");
        }
    }
}
