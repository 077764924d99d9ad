//! Rules as Traefik's routers: one for each match of an object's rule, with the entry points that it is on.

use std::collections::BTreeMap;

use postern_config::{
    model::{
        host::HostPattern,
        path::PathPattern,
        route::{Family, Rule, Target, ValueMatch},
    },
    snapshot::{Listener, SniAction, SniEntry, Transport},
};
use serde_json::{Value, json};

use super::{kubernetes, list::List, service};
use crate::{
    admin::State,
    view::{
        cluster::Health,
        rule::{self, Looker},
    },
};

/// Routers of HTTP.
pub(super) fn http(state: &State) -> List {
    let plan = state.shared.plan.load();
    let looker = Looker { snapshot: &plan.snapshot, health: &Health::look(&state.shared.live.upstream) };
    let mut groups: BTreeMap<_, Group<'_>> = BTreeMap::new();
    for listener in plan.snapshot.listeners.values() {
        for (host, rule) in rule::rules(listener) {
            let text = text(host, rule);
            // Of a rule in Traefik's language, all branches are one router; of any other, each match is.
            let branch = if rule.rank.family == Family::Ranked { String::new() } else { text.clone() };
            let key = (&rule.source.object, rule.source.rule_index, branch);
            let group = groups.entry(key).or_insert_with(|| Group { host, rule, texts: Vec::new(), on: Vec::new() });
            group.add(text, listener);
        }
    }
    List(groups.into_values().map(|group| group.router(&looker)).collect())
}

/// What becomes one router.
struct Group<'s> {
    host: &'s HostPattern,
    rule: &'s Rule,
    texts: Vec<String>,
    on: Vec<&'s Listener>,
}

impl<'s> Group<'s> {
    fn add(&mut self, text: String, listener: &'s Listener) {
        if !self.texts.contains(&text) {
            self.texts.push(text);
        }
        if !self.on.iter().any(|known| known.key == listener.key) {
            self.on.push(listener);
        }
    }

    fn router(self, looker: &Looker<'_>) -> Value {
        let object = &self.rule.source.object;
        let text = self.texts.join(" || ");
        let local = kubernetes::router(object, &written(self.host), raw_path(&self.rule.path), &text);
        let name = format!("{local}@{}", kubernetes::provider(object));
        let rule = looker.rule(self.host, self.rule);
        let middlewares = rule.steps.iter().filter_map(|step| step.middleware.as_deref());
        let middlewares: Vec<_> = middlewares.map(service::middleware_name).collect();
        let mut router = json!({
            "entryPoints": [],
            "service": service::of(&rule, &name),
            "rule": text,
            "priority": self.rule.rank.priority,
            "status": "enabled",
            "using": [],
            "name": name,
            "provider": kubernetes::provider(object),
        });
        if !middlewares.is_empty() {
            router["middlewares"] = json!(middlewares);
        }
        if let Some(reason) = rule.closed_because() {
            router["status"] = json!("disabled");
            router["error"] = json!([reason]);
        }
        self.on.into_iter().for_each(|listener| on(&mut router, listener));
        router
    }
}

fn raw_path(path: &PathPattern) -> &str {
    match path {
        PathPattern::Exact(text) | PathPattern::Start(text) => text,
        PathPattern::Prefix(text) if text.is_empty() => "/",
        PathPattern::Prefix(text) => text,
        PathPattern::Regex(regex) => regex.as_str(),
    }
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
            let (tunnel, passthrough) = match &entry.action {
                SniAction::Terminate(_) => continue,
                SniAction::Passthrough(tunnel) => (tunnel, true),
                SniAction::TerminateTcp(_, tunnel) => (tunnel, false),
            };
            let cluster = tunnel.forward.backends.iter().find_map(|backend| match &backend.target {
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
                    "provider": kubernetes::provider(&entry.owner.object),
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
    let local = kubernetes::normalise(&format!("{} {}", entry.owner.object, entry.pattern));
    format!("{local}@{}", kubernetes::provider(&entry.owner.object))
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
    let path = match &rule.path {
        PathPattern::Exact(text) => Some(format!("Path(`{text}`)")),
        PathPattern::Prefix(text) if text.is_empty() => Some("PathPrefix(`/`)".to_owned()),
        PathPattern::Start(text) if text.is_empty() => None,
        PathPattern::Prefix(text) | PathPattern::Start(text) => Some(format!("PathPrefix(`{text}`)")),
        PathPattern::Regex(regex) => Some(format!("PathRegexp(`{}`)", regex.as_str())),
    };
    let parts: Vec<_> = host.into_iter().chain(path).chain(conditions(rule)).collect();
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
    let expression = predicates.expression.iter().map(ToString::to_string);
    path.chain(method).chain(headers).chain(query).chain(expression).collect()
}
