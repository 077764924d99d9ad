//! Rules as Traefik's routers: one for each match of an object's rule, with the entry points that it is on.

use std::collections::BTreeMap;

use postern_config::{
    model::{
        host::HostPattern,
        route::{Rule, Target, ValueMatch},
    },
    snapshot::{Listener, SniAction, SniEntry, Transport},
};
use serde_json::{Value, json};

use super::{kubernetes, list::List, service};
use crate::{
    admin::State,
    view::{
        cluster::Health,
        rule::{self, Looker, RuleView},
    },
};

/// Routers of HTTP.
pub(super) fn http(state: &State) -> List {
    let plan = state.shared.plan.load();
    let looker = Looker { snapshot: &plan.snapshot, health: &Health::look(&state.shared.live.upstream) };
    let mut routers = BTreeMap::new();
    for listener in plan.snapshot.listeners.values() {
        for (host, rule) in rule::rules(listener) {
            let text = text(host, rule);
            let path = rule.path.to_string();
            let path = path.trim_start_matches(['=', '~']).trim_end_matches("/*");
            let local = kubernetes::router(&rule.source.object, &written(host), path, &text);
            let name = format!("{local}@{}", kubernetes::provider(&rule.source.object));
            let router = routers.entry(name.clone()).or_insert_with(|| {
                router(&name, &text, &looker.rule(host, rule), kubernetes::provider(&rule.source.object))
            });
            on(router, listener);
        }
    }
    List(routers.into_values().collect())
}

fn router(name: &str, text: &str, rule: &RuleView, provider: &str) -> Value {
    let middlewares = rule.steps.iter().filter_map(|step| step.middleware.as_deref());
    let middlewares: Vec<_> = middlewares.map(service::middleware_name).collect();
    let mut router = json!({
        "entryPoints": [],
        "service": service::of(rule, name),
        "rule": text,
        "priority": text.len(),
        "status": "enabled",
        "using": [],
        "name": name,
        "provider": provider,
    });
    if !middlewares.is_empty() {
        router["middlewares"] = json!(middlewares);
    }
    if let Some(reason) = rule.closed_because() {
        router["status"] = json!("disabled");
        router["error"] = json!([reason]);
    }
    router
}

/// Notes that it is on `listener` too.
fn on(router: &mut Value, listener: &Listener) {
    for field in ["entryPoints", "using"] {
        let Some(names) = router[field].as_array_mut() else { continue };
        if !names.iter().any(|name| *name == *listener.name) {
            names.push(json!(*listener.name));
        }
    }
    if listener.transport == Transport::Tls {
        router["tls"] = json!({ "options": "default" });
    }
}

/// Routers of TLS connections that go to a backend, chosen by server name.
pub(super) fn tcp(state: &State) -> List {
    let plan = state.shared.plan.load();
    let mut routers = BTreeMap::new();
    for listener in plan.snapshot.listeners.values() {
        for entry in listener.sni.iter() {
            let (forward, passthrough) = match &entry.action {
                SniAction::Terminate(_) => continue,
                SniAction::Passthrough(forward) => (forward, true),
                SniAction::TerminateTcp(_, forward) => (forward, false),
            };
            let cluster = forward.backends.iter().find_map(|backend| match &backend.target {
                Target::Cluster(id) => Some(service::name(id.as_str())),
                _ => None,
            });
            let name = tcp_name(entry);
            let router = routers.entry(name.clone()).or_insert_with(|| {
                json!({
                    "entryPoints": [],
                    "service": cluster.unwrap_or_default(),
                    "rule": sni(&entry.pattern),
                    "tls": { "passthrough": passthrough },
                    "status": "enabled",
                    "using": [],
                    "name": name,
                    "provider": "kubernetesgateway",
                })
            });
            let tls = router["tls"].clone();
            on(router, listener);
            router["tls"] = tls;
        }
    }
    List(routers.into_values().collect())
}

fn tcp_name(entry: &SniEntry) -> String {
    format!("{}@kubernetesgateway", kubernetes::normalise(&format!("{} {}", entry.owner.object, entry.pattern)))
}

fn sni(pattern: &HostPattern) -> String {
    match pattern {
        HostPattern::Any => "HostSNI(`*`)".to_owned(),
        HostPattern::Exact(name) => format!("HostSNI(`{name}`)"),
        HostPattern::OneLabel(suffix) => format!("HostSNI(`*.{suffix}`)"),
        HostPattern::Subdomains(suffix) => format!("HostSNIRegexp(`^.+\\.{}$`)", suffix.replace('.', "\\.")),
    }
}

fn written(host: &HostPattern) -> String {
    match host {
        HostPattern::Any => String::new(),
        HostPattern::Exact(name) => name.to_string(),
        HostPattern::OneLabel(suffix) | HostPattern::Subdomains(suffix) => format!("*.{suffix}"),
    }
}

/// The rule in Traefik's language.
fn text(host: &HostPattern, rule: &Rule) -> String {
    let host = match host {
        HostPattern::Any => None,
        HostPattern::Exact(name) => Some(format!("Host(`{name}`)")),
        HostPattern::OneLabel(suffix) => Some(format!("Host(`*.{suffix}`)")),
        HostPattern::Subdomains(suffix) => Some(format!("HostRegexp(`^.+\\.{}$`)", suffix.replace('.', "\\."))),
    };
    let path = rule.path.to_string();
    let path = match (path.strip_prefix('='), path.strip_prefix('~'), path.strip_suffix("/*")) {
        (Some(exact), ..) => format!("Path(`{exact}`)"),
        (_, Some(regex), _) => format!("PathRegexp(`{regex}`)"),
        (.., Some("")) => "PathPrefix(`/`)".to_owned(),
        (.., prefix) => format!("PathPrefix(`{}`)", prefix.unwrap_or(&path)),
    };
    let parts: Vec<_> = host.into_iter().chain([path]).chain(conditions(rule)).collect();
    parts.join(" && ")
}

fn conditions(rule: &Rule) -> Vec<String> {
    let predicates = &rule.predicates;
    let pair = |matcher: &str, name: &str, value: &ValueMatch| match value {
        ValueMatch::Exact(text) => format!("{matcher}(`{name}`, `{text}`)"),
        ValueMatch::Regex(regex) => format!("{matcher}Regexp(`{name}`, `{}`)", regex.as_str()),
    };
    let path = predicates.path.iter().map(|path| format!("PathRegexp(`{}`)", path.as_str()));
    let method = predicates.method.iter().map(|method| format!("Method(`{method}`)"));
    let headers = predicates.headers.iter().map(|header| pair("Header", header.name.as_str(), &header.value));
    let query = predicates.query.iter().map(|query| pair("Query", &query.name, &query.value));
    path.chain(method).chain(headers).chain(query).collect()
}
