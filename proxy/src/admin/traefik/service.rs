//! Clusters as Traefik's services, and middlewares: names, types and states. Options are not shown.

use std::collections::BTreeMap;

use postern_config::model::middleware::MiddlewareSlot;
use serde_json::{Value, json};

use super::{kubernetes::normalise, list::List};
use crate::{
    admin::State,
    view::{
        cluster::{self, ClusterView, Health},
        rule::{OutcomeView, RuleView},
    },
};

/// The service of the cluster `id`.
pub(super) fn name(id: &str) -> String {
    format!("{}@kubernetes", normalise(id))
}

/// The middleware of the slot `id`.
pub(super) fn middleware_name(id: &str) -> String {
    format!("{}@kubernetescrd", normalise(id))
}

/// The service that a rule leads to: the cluster, or a weighted service named after its router.
pub(super) fn of(rule: &RuleView, router: &str) -> String {
    match &rule.outcome {
        OutcomeView::Forward { backends } => match backends.as_slice() {
            [one] if one.internal => one.cluster.clone().unwrap_or_default(),
            [one] => one.cluster.as_deref().map_or_else(|| weighted_name(router), name),
            _ => weighted_name(router),
        },
        _ => "noop@internal".to_owned(),
    }
}

fn weighted_name(router: &str) -> String {
    let (local, provider) = router.split_once('@').unwrap_or((router, "kubernetes"));
    format!("{local}-wrr@{provider}")
}

/// Services of HTTP.
pub(super) fn http(state: &State) -> List {
    let routers = super::router::http(state);
    let mut used: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for router in &routers.0 {
        if let Some(service) = router["service"].as_str() {
            used.entry(service.to_owned()).or_default().push(router["name"].clone());
        }
    }
    let mut all: Vec<_> = views(state).filter(|view| view.protocol != Some("tcp")).map(|view| service(&view)).collect();
    for service in &mut all {
        if let Some(routers) = service["name"].as_str().and_then(|name| used.remove(name)) {
            service["usedBy"] = Value::Array(routers);
        }
    }
    // What is left is named after routers.
    all.extend(used.into_iter().filter(|(name, _)| name.contains("-wrr@")).map(|(name, routers)| {
        let provider = name.split_once('@').map_or("kubernetes", |(_, provider)| provider).to_owned();
        json!({ "weighted": {}, "status": "enabled", "usedBy": routers, "name": name, "provider": provider, "type": "weighted" })
    }));
    List(all)
}

/// Services of bytes.
pub(super) fn tcp(state: &State) -> List {
    List(views(state).filter(|view| view.protocol == Some("tcp")).map(|view| service(&view)).collect())
}

fn views(state: &State) -> impl Iterator<Item = ClusterView> {
    let health = Health::look(&state.shared.live.upstream);
    cluster::clusters(&state.shared.plan.load().snapshot, &health).into_iter()
}

fn service(view: &ClusterView) -> Value {
    let scheme = match (view.protocol, view.tls) {
        (Some("tcp"), _) => "",
        (Some("http2"), false) => "h2c://",
        (_, true) => "https://",
        (_, false) => "http://",
    };
    let url = |address: &str| format!("{scheme}{address}");
    let servers: Vec<_> = view.endpoints.iter().map(|endpoint| json!({ "url": url(&endpoint.address) })).collect();
    let up = |state: &str| if matches!(state, "unhealthy" | "aside") { "DOWN" } else { "UP" };
    let status: BTreeMap<_, _> =
        view.endpoints.iter().map(|endpoint| (url(&endpoint.address), up(&endpoint.state))).collect();
    let mut service = json!({
        "loadBalancer": { "servers": servers, "strategy": strategy(view), "passHostHeader": true },
        "status": "enabled",
        "serverStatus": status,
        "name": name(&view.id),
        "provider": "kubernetes",
        "type": "loadbalancer",
    });
    if let Some(reason) = &view.refused {
        service["status"] = json!("disabled");
        service["error"] = json!([reason]);
    }
    service
}

fn strategy(view: &ClusterView) -> &'static str {
    match view.balance {
        Some("power-of-two") => "p2c",
        Some("consistent-hash") => "hrw",
        _ => "wrr",
    }
}

/// Middlewares of HTTP.
pub(super) fn middlewares(state: &State) -> List {
    let routers = super::router::http(state);
    let mut used: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for router in &routers.0 {
        for name in router["middlewares"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            used.entry(name).or_default().push(&router["name"]);
        }
    }
    let view = |id: &str, slot: &MiddlewareSlot| {
        let name = middleware_name(id);
        let mut middleware = json!({ "name": name, "provider": "kubernetescrd" });
        match slot {
            MiddlewareSlot::Ready(spec) => {
                middleware[spec.kind()] = json!({});
                middleware["type"] = json!(spec.kind().to_lowercase());
                middleware["status"] = json!("enabled");
            }
            MiddlewareSlot::Refused { reason } => {
                middleware["status"] = json!("disabled");
                middleware["error"] = json!([**reason]);
            }
        }
        if let Some(routers) = used.get(name.as_str()) {
            middleware["usedBy"] = json!(routers);
        }
        middleware
    };
    let plan = state.shared.plan.load();
    List(plan.snapshot.middlewares.iter().map(|(id, slot)| view(id.as_str(), slot)).collect())
}
