//! Counts as Traefik's overview has them.

use serde_json::{Value, json};

use super::{list::List, router, service};
use crate::admin::State;

pub(super) fn overview(state: &State) -> Value {
    let none = || section(&List::default());
    json!({
        "http": {
            "routers": section(&router::http(state)),
            "services": section(&service::http(state)),
            "middlewares": section(&service::middlewares(state)),
        },
        "tcp": { "routers": section(&router::tcp(state)), "services": section(&service::tcp(state)), "middlewares": none() },
        "udp": { "routers": none(), "services": none() },
        "features": {
            "tracing": "",
            "metrics": "Prometheus",
            "accessLog": state.shared.settings.access_log.target.is_some(),
            "hub": false,
        },
        "providers": ["KubernetesIngress", "KubernetesCRD", "KubernetesGateway"],
    })
}

fn section(list: &List) -> Value {
    let count = |status: &str| list.0.iter().filter(|item| item["status"] == status).count();
    json!({ "total": list.0.len(), "warnings": count("warning"), "errors": count("disabled") })
}
