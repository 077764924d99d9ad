//! A snapshot as text, sorted, for golden tests and for people who compare two of them. Not a format: it may change.

use std::fmt::{self, Write as _};

use super::{HostEntry, HostTable, Listener, Place, Snapshot, SniAction, SniTable, Transport};
use crate::model::{
    certificate::CertificateSlot,
    cluster::{Balance, Cluster, ClusterSlot, EndpointAddress, PassiveHealth},
    host::HostPattern,
    middleware::MiddlewareSlot,
    route::{Backend, Forward, Outcome, Predicates, Rule, Target, Timeouts, Tunnel, ValueMatch},
};

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.incomplete {
            writeln!(f, "incomplete")?;
        }
        self.listeners.values().try_for_each(|listener| print_listener(f, listener))?;
        self.announcements.iter().try_for_each(|(address, how)| writeln!(f, "announce {address} {how}"))?;
        let mut slots: Vec<String> = Vec::new();
        slots.extend(self.certificates.iter().map(|(id, slot)| format!("certificate {id} {}", certificate(slot))));
        slots.extend(self.clusters.iter().map(|(id, slot)| format!("cluster {id} {}", cluster(slot))));
        slots.extend(self.middlewares.iter().map(|(id, slot)| format!("middleware {id} {}", middleware(slot))));
        slots.sort();
        slots.iter().try_for_each(|slot| writeln!(f, "{slot}"))
    }
}

fn print_listener(f: &mut fmt::Formatter<'_>, listener: &Listener) -> fmt::Result {
    let transport = if listener.transport == Transport::Tls { "tls" } else { "plain" };
    writeln!(f, "listener {} {} {transport}", listener.key, listener.name)?;
    print_sni(f, &listener.sni)?;
    print_hosts(f, &listener.hosts)
}

fn print_sni(f: &mut fmt::Formatter<'_>, table: &SniTable) -> fmt::Result {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by(|a, b| a.pattern.cmp(&b.pattern));
    for entry in entries {
        let action = match &entry.action {
            SniAction::Terminate(candidates) => format!("terminate {candidates:?}"),
            SniAction::Passthrough(to) => format!("passthrough {}", tunnel(to)),
            SniAction::TerminateTcp(candidates, to) => format!("terminate {candidates:?} tcp {}", tunnel(to)),
        };
        writeln!(f, "  sni {} {action} of {}", entry.pattern, entry.owner.object)?;
    }
    Ok(())
}

fn tunnel(tunnel: &Tunnel) -> String {
    let through: String = tunnel.middlewares.iter().map(|id| format!("through {id} ")).collect();
    through + &forward(&tunnel.forward)
}

fn print_hosts(f: &mut fmt::Formatter<'_>, table: &HostTable) -> fmt::Result {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by(|a, b| a.pattern.cmp(&b.pattern));
    entries.into_iter().try_for_each(|entry| print_host(f, entry))
}

fn print_host(f: &mut fmt::Formatter<'_>, entry: &HostEntry) -> fmt::Result {
    for (route_host, paths) in &entry.layers {
        write!(f, "  host {}", entry.pattern)?;
        if *route_host != entry.pattern {
            write!(f, " of {route_host}")?;
        }
        writeln!(f)?;
        let mut rules: Vec<_> = paths.rules().collect();
        // By path as text; rules of one path keep the order in which they are tried.
        rules.sort_by_key(|rule| rule.path.to_string());
        rules.into_iter().try_for_each(|entry| writeln!(f, "    {}", rule(entry)))?;
    }
    let Some(paths) = &entry.ranked else { return Ok(()) };
    writeln!(f, "  host {} ranked", entry.pattern)?;
    let mut rules: Vec<_> = paths.rules().collect();
    rules.sort_by(|a, b| a.cmp(b).then_with(|| a.path.to_string().cmp(&b.path.to_string())));
    rules.into_iter().try_for_each(|entry| writeln!(f, "    {} {}", entry.rank.priority, rule(entry)))
}

fn rule(rule: &Rule) -> String {
    let mut text = rule.path.to_string();
    predicates(&mut text, &rule.predicates);
    if rule.fallback {
        text.push_str(" fallback");
    }
    if !rule.except_hosts.is_empty() {
        let _ = write!(text, " except {:?}", rule.except_hosts);
    }
    for step in &rule.action.steps {
        let _ = write!(text, " | {step:?}");
    }
    let outcome = match &rule.action.outcome {
        Outcome::Forward(to) => forward(to),
        Outcome::Closed { status, reason } => format!("closed {} ({reason})", status.as_u16()),
    };
    let source = &rule.source;
    let _ = write!(text, " -> {outcome}  [{} {}.{}]", source.object, source.rule_index, rule.match_index);
    text
}

fn predicates(text: &mut String, predicates: &Predicates) {
    let value = |value: &ValueMatch| match value {
        ValueMatch::Exact(text) => format!("={text}"),
        ValueMatch::Regex(regex) => format!("~{}", regex.as_str()),
    };
    if let Some(path) = &predicates.path {
        let _ = write!(text, " path~{}", path.as_str());
    }
    if let Some(method) = &predicates.method {
        let _ = write!(text, " {method}");
    }
    for header in &predicates.headers {
        let _ = write!(text, " {}{}", header.name, value(&header.value));
    }
    for query in &predicates.query {
        let _ = write!(text, " ?{}{}", query.name, value(&query.value));
    }
    if let Some(expression) = &predicates.expression {
        let _ = write!(text, " where {expression}");
    }
}

fn forward(forward: &Forward) -> String {
    let mut parts: Vec<_> = forward.backends.iter().map(backend).collect();
    if parts.is_empty() {
        parts.push("nothing".to_owned());
    }
    let mut text = parts.join(", ");
    let _ = write!(text, " else {}", forward.unresolved.as_u16());
    if forward.timeouts != Timeouts::default() {
        let _ = write!(text, " {:?}", forward.timeouts);
    }
    if let Some(retry) = &forward.retry {
        let _ = write!(text, " {retry:?}");
    }
    text
}

fn backend(backend: &Backend) -> String {
    let mut text = match &backend.target {
        Target::Cluster(id) => id.to_string(),
        Target::Internal(service) => service.to_string(),
        Target::Invalid { reason } => format!("invalid ({reason})"),
    };
    if backend.weight != 1 {
        let _ = write!(text, " x{}", backend.weight);
    }
    if !backend.filters.is_empty() {
        let _ = write!(text, " {:?}", backend.filters);
    }
    text
}

fn certificate(slot: &CertificateSlot) -> String {
    match slot {
        CertificateSlot::Ready(certificate) => format!("{:?} until {}", certificate.names, certificate.not_after),
        CertificateSlot::Refused { reason } => format!("refused ({reason})"),
    }
}

fn middleware(slot: &MiddlewareSlot) -> String {
    match slot {
        MiddlewareSlot::Ready(spec) => format!("{spec:?}"),
        MiddlewareSlot::Refused { reason } => format!("refused ({reason})"),
    }
}

fn cluster(slot: &ClusterSlot) -> String {
    let cluster = match slot {
        ClusterSlot::Ready(cluster) => cluster,
        ClusterSlot::Refused { reason } => return format!("refused ({reason})"),
    };
    let mut text = format!("{:?}", cluster.protocol);
    for endpoint in &cluster.endpoints {
        let _ = match &endpoint.address {
            EndpointAddress::Socket(address) => write!(text, " {address}"),
            EndpointAddress::Name(name, port) => write!(text, " {name}:{port}"),
        };
        text.push_str(if endpoint.draining { "(draining)" } else { "" });
        if endpoint.weight != 1 {
            let _ = write!(text, "x{}", endpoint.weight);
        }
    }
    cluster_options(&mut text, cluster);
    text
}

/// What differs from the defaults.
fn cluster_options(text: &mut String, cluster: &Cluster) {
    if let Some(tls) = &cluster.tls {
        let _ = write!(text, " {tls:?}");
    }
    if cluster.balance != Balance::RoundRobin {
        let _ = write!(text, " {:?}", cluster.balance);
    }
    if let Some(sticky) = &cluster.sticky {
        let _ = write!(text, " {sticky:?}");
    }
    if let Some(health) = &cluster.health {
        let _ = write!(text, " {health:?}");
    }
    if cluster.passive != PassiveHealth::default() {
        let _ = write!(text, " {:?}", cluster.passive);
    }
    if !cluster.pass_host {
        text.push_str(" own-host");
    }
    if let Some(timeout) = cluster.connect_timeout {
        let _ = write!(text, " connect {timeout:?}");
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { socket, host, path, .. } = self;
        match host {
            HostPattern::Any => write!(f, "{socket}, any host, path {path}"),
            host => write!(f, "{socket}, host {host}, path {path}"),
        }
    }
}
