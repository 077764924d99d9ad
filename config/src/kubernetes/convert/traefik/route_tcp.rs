//! IngressRouteTCP → what happens to TLS connections by server name: passed through, or ended here.
//!
//! Only names decide. A rule that asks for more (who connects, which protocols are offered) closes the names that it is
//! for, so that they never lead to where a narrower rule would not have let them.

use std::{collections::BTreeSet, sync::Arc};

use http::StatusCode;

use super::{
    Site, class, entry, priority, reference,
    rule::{self, TcpCondition},
    service::unresolved,
    tls,
};
use crate::{
    kubernetes::{
        convert::{Contribution, EntryPoint, Settings, SniClaim, SniRank, object_id, service, slot},
        object::{
            Item,
            traefik_route::{IngressRouteTcp, RouteTcp, RouteTls, ServiceTcpRef},
        },
        view::View,
    },
    model::{
        expression::Expression,
        host::HostPattern,
        id::CertificateId,
        route::{Backend, Forward, Target, Timeouts, Tunnel},
    },
    report::Finding,
    snapshot::{OwnerId, SniAction},
};

/// What an IngressRouteTCP contributes.
pub fn convert(item: &Item<IngressRouteTcp>, view: &View<'_>, settings: &Settings) -> Contribution {
    let spec = &item.body.spec;
    let class = match class::judge(&item.meta, spec.ingress_class_name.as_ref(), view, settings) {
        Ok(class) => class,
        Err(finding) => return Contribution { findings: vec![finding], ..Contribution::default() },
    };
    let (entry_points, findings) = entry::points(settings, class, &spec.entry_points, spec.tls.is_some());
    let contribution = Contribution { findings, ..Contribution::default() };
    let mut site = Site { meta: &item.meta, view, settings, contribution };
    let Some(tls) = &spec.tls else {
        let message = "connections that are not TLS are not carried yet: an entry point speaks HTTP or TLS; not served";
        site.say(
            Finding::refused("spec.tls", "NotCarried", message)
                .remedy("where clients speak TLS, set tls.passthrough, or a secretName for Postern to end it"),
        );
        return site.contribution;
    };
    let closed = tls::closed(&mut site, tls).is_some();
    let certificates = certificates(&mut site, tls);
    let mut maker = Maker { item, tls, closed, certificates, entry_points, site };
    for (index, route) in spec.routes.iter().enumerate() {
        maker.route(index, route);
    }
    maker.site.contribution
}

/// The certificates that are shown where TLS ends here; none is the default one.
fn certificates(site: &mut Site<'_, '_>, tls: &RouteTls) -> Arc<[CertificateId]> {
    let Some(name) = tls.secret_name.as_deref().filter(|name| !name.is_empty()) else { return Arc::default() };
    if tls.passthrough == Some(true) {
        let message = "is ignored: the backend ends TLS, with a certificate of its own";
        site.say(Finding::ignored("spec.tls.secretName", "Contradiction", message));
        return Arc::default();
    }
    tls::secret(site, name);
    [slot::certificate(site.namespace(), name)].into()
}

struct Maker<'a, 'v> {
    item: &'a Item<IngressRouteTcp>,
    tls: &'a RouteTls,
    /// Whether every connection is closed.
    closed: bool,
    certificates: Arc<[CertificateId]>,
    entry_points: Vec<&'a EntryPoint>,
    site: Site<'a, 'v>,
}

impl Maker<'_, '_> {
    fn route(&mut self, index: usize, route: &RouteTcp) {
        let field = format!("spec.routes[{index}]");
        let at_match = format!("{field}.match");
        let read = rule::tcp(&route.rule).map_err(|error| error.to_string());
        let read = read.and_then(|read| match &*route.syntax {
            "" | "v3" => Ok(read),
            other => Err(format!("is written in {other}, and only v3 is read")),
        });
        let read = match read {
            Ok(read) => read,
            Err(error) => {
                let message = format!("{error}; not served");
                return self.site.say(Finding::refused(at_match, "InvalidRule", message));
            }
        };
        let (names, only_names) = names(&read.expression);
        if !only_names {
            let message = "rules that ask for more than HostSNI are not carried yet; its connections are closed";
            self.site.say(Finding::refused(&*at_match, "NotCarried", message));
        }
        if names.contains(&HostPattern::Any) {
            let message = "takes every server name that no route or certificate names, also of hosts of an IngressRoute \
                           that has no certificate of its own";
            self.site.say(Finding::warning(&*at_match, "TakesEveryName", message).remedy(
                "give the other hosts a certificate (tls.secretName), or this route an entry point of its own",
            ));
        }
        let tunnel = match self.tunnel(route, &field) {
            Ok(tunnel) if only_names && !self.closed => tunnel,
            Ok(_) => nowhere().into(),
            Err(mut finding) => {
                finding.message.push_str("; its connections are closed");
                self.site.say(finding);
                nowhere().into()
            }
        };
        self.claim(route, names, &at_match, &Arc::new(tunnel));
    }

    fn tunnel(&mut self, route: &RouteTcp, field: &str) -> Result<Tunnel, Finding> {
        let middlewares = (route.middlewares.iter().enumerate())
            .map(|(at, one)| reference::middleware_tcp(&mut self.site, one, &format!("{field}.middlewares[{at}]")))
            .collect::<Result<Vec<_>, _>>()?;
        if route.priority > priority::MOST {
            let message = format!("must not be above {}", priority::MOST);
            return Err(Finding::refused(format!("{field}.priority"), "InvalidPriority", message));
        }
        let mut backends = Vec::new();
        for (at, service) in route.services.iter().enumerate() {
            backends.push(self.backend(service, &format!("{field}.services[{at}]"))?);
        }
        if backends.is_empty() {
            return Err(Finding::refused(format!("{field}.services"), "MissingField", "names no service"));
        }
        self.site.contribution.middlewares.extend(middlewares.iter().cloned());
        Ok(Tunnel { middlewares, forward: Forward { backends, ..nowhere() } })
    }

    fn backend(&mut self, service: &ServiceTcpRef, field: &str) -> Result<Backend, Finding> {
        check(&mut self.site, service, field)?;
        let own = self.item.meta.namespace.clone();
        let at_namespace = format!("{field}.namespace");
        let namespace = reference::namespace(&self.site, service.namespace.as_ref(), &own, &at_namespace)?;
        let port = super::service::port(&service.port, field)?;
        let weight = super::service::weight(service.weight, field)?;
        if let Err(problem) = service::find(self.site.view, namespace, &service.name, &port) {
            self.site.say(unresolved(field, &problem, "its connections are closed"));
        }
        // Bytes that are TLS already must not be wrapped in another TLS.
        let protocol = if self.tls.passthrough == Some(true) { "tls" } else { "tcp" };
        let variant = [("protocol", protocol.to_owned())].into();
        let cluster = slot::cluster(namespace, &service.name, &port, &variant);
        self.site.contribution.clusters.push(cluster.clone());
        Ok(Backend { target: Target::Cluster(cluster), weight, filters: Vec::new() })
    }

    fn claim(&mut self, route: &RouteTcp, names: BTreeSet<HostPattern>, field: &str, tunnel: &Arc<Tunnel>) {
        let action = match self.tls.passthrough {
            Some(true) => SniAction::Passthrough(tunnel.clone()),
            _ => SniAction::TerminateTcp(self.certificates.clone(), tunnel.clone()),
        };
        let rank = priority::of_text(route.priority, &route.rule);
        for name in names {
            let claims = self.entry_points.iter().map(|entry| SniClaim {
                socket: entry.socket,
                pattern: name.clone(),
                asked: name.clone(),
                rank: SniRank::Stream(std::cmp::Reverse(rank.priority)),
                owner: OwnerId { object: object_id(self.item), section: Arc::default() },
                created: self.item.meta.creation_timestamp,
                action: action.clone(),
                certificate: None,
                field: field.into(),
            });
            self.site.contribution.sni.extend(claims);
        }
    }
}

/// The server names that the rule cannot hold without, and whether it asks for nothing else. A rule that asks for more
/// and is for every name gives none: to close every name would harm others.
fn names(expression: &Expression<TcpCondition>) -> (BTreeSet<HostPattern>, bool) {
    let name = |condition: &TcpCondition| match condition {
        TcpCondition::Sni(name) => Some(name.clone()),
        _ => None,
    };
    let names = rule::needed(expression, &name).unwrap_or_default();
    let only = asks_for_names_alone(expression);
    let kept = |name: &HostPattern| only || *name != HostPattern::Any;
    (names.into_iter().filter(kept).collect(), only)
}

fn asks_for_names_alone(expression: &Expression<TcpCondition>) -> bool {
    match expression {
        Expression::Is(condition) => matches!(condition, TcpCondition::Sni(_)),
        Expression::Any(parts) => parts.iter().all(asks_for_names_alone),
        Expression::Not(_) | Expression::All(_) => false,
    }
}

/// What of a reference is not carried: what decides how the backend is spoken to closes the route.
fn check(site: &mut Site<'_, '_>, service: &ServiceTcpRef, field: &str) -> Result<(), Finding> {
    if service.name.is_empty() || service.name.contains('@') {
        let message = "names no Service of the cluster";
        return Err(Finding::refused(format!("{field}.name"), "MissingField", message));
    }
    for (option, stated) in [
        ("tls", service.tls == Some(true)),
        ("serversTransport", service.servers_transport.as_ref().is_some_and(|name| !name.is_empty())),
        ("proxyProtocol", service.proxy_protocol.is_some()),
    ] {
        if stated {
            let message = format!("{option} is not carried yet, and it decides how the backend is spoken to");
            return Err(Finding::refused(format!("{field}.{option}"), "NotCarried", message));
        }
    }
    for (option, stated) in [
        ("terminationDelay", service.termination_delay.is_some()),
        ("nativeLB", service.native_lb == Some(true)),
        ("nodePortLB", service.node_port_lb == Some(true)),
    ] {
        if stated {
            site.say(Finding::ignored(format!("{field}.{option}"), "NotCarried", "is not carried out"));
        }
    }
    Ok(())
}

/// A forward that has no backend: the connection is closed.
fn nowhere() -> Forward {
    Forward {
        backends: Vec::new(),
        unresolved: StatusCode::SERVICE_UNAVAILABLE,
        timeouts: Timeouts::default(),
        retry: None,
    }
}
