//! Host ports: the CNI's portmap sends them to a pod before any socket of the node is asked.

use k8s_openapi::api::core::v1::Pod;

use super::Diagnosis;

const CHECK: &str = "host-ports";

/// `bound` are the ports that Postern binds here, `pods` those of this node.
pub fn check(pods: &[Pod], bound: &[u16]) -> Vec<Diagnosis> {
    let found: Vec<_> = pods.iter().flat_map(|pod| taken(pod, bound)).collect();
    if found.is_empty() { vec![Diagnosis::good(CHECK, "no pod here has a host port of ours")] } else { found }
}

fn taken(pod: &Pod, bound: &[u16]) -> Vec<Diagnosis> {
    let Some(spec) = &pod.spec else { return Vec::new() };
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    if spec.host_network == Some(true) || matches!(phase, Some("Succeeded" | "Failed")) {
        return Vec::new();
    }
    let ports = spec.containers.iter().flat_map(|container| container.ports.iter().flatten());
    let ports =
        ports.filter(|port| port.protocol.as_deref().unwrap_or("TCP") == "TCP").filter_map(|port| port.host_port);
    let ours = ports.filter_map(|port| u16::try_from(port).ok()).filter(|port| bound.contains(port));
    let part = |part: &Option<String>| part.clone().unwrap_or_default();
    let name = format!("{}/{}", part(&pod.metadata.namespace), part(&pod.metadata.name));
    let taken = |port: u16| {
        Diagnosis::breaks(
            CHECK,
            format!("pod {name} has host port {port}: its rule catches connections before Postern's socket"),
            format!("remove that pod, or bind another port and let the Service lead there (mapPort: {port}=…)"),
        )
    };
    ours.map(taken).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::Outcome, *};

    #[test]
    fn a_host_port_of_ours_is_told_unless_its_pod_has_ended_or_has_sockets_itself() {
        let pod = |port: u16, protocol: &str, host_network: bool, phase: &str| {
            let ports = json!([{"containerPort": 80, "hostPort": port, "protocol": protocol}]);
            let spec = json!({"hostNetwork": host_network, "containers": [{"name": "lb", "ports": ports}]});
            let pod =
                json!({"metadata": {"name": "svclb", "namespace": "n"}, "spec": spec, "status": {"phase": phase}});
            serde_json::from_value::<Pod>(pod).expect("a pod")
        };
        for (pod, outcome) in [
            (pod(80, "TCP", false, "Running"), Outcome::Breaks),
            (pod(80, "TCP", false, "Pending"), Outcome::Breaks),
            (pod(80, "UDP", false, "Running"), Outcome::Good),
            (pod(8080, "TCP", false, "Running"), Outcome::Good),
            (pod(80, "TCP", true, "Running"), Outcome::Good),
            (pod(80, "TCP", false, "Succeeded"), Outcome::Good),
        ] {
            assert_eq!(check(std::slice::from_ref(&pod), &[80, 443])[0].outcome, outcome, "{pod:?}");
        }
    }
}
