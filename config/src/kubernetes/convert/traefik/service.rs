//! A reference to a service → where requests go. What asks for less protection than it was given closes the route;
//! what is merely done otherwise is told.

use std::sync::Arc;

use super::{Site, internal, reference};
use crate::{
    kubernetes::{
        convert::{
            service::{self, Asked, PortProblem},
            slot,
        },
        object::{
            traefik::IntOrString,
            traefik_route::{Cookie, ServiceRef},
        },
    },
    model::{
        cluster::StickyCookie,
        id::MiddlewareId,
        route::{Backend, Target},
    },
    report::Finding,
};

/// Where a reference leads.
pub(super) enum Service {
    /// A share of the requests, through middlewares of its own.
    Backend(Backend, Vec<MiddlewareId>),
    /// `noop@internal`: nowhere, since a middleware answers.
    Nowhere,
}

const NOWHERE: &str = "noop@internal";

/// Reads one of the services of a route; a sticky cookie without a name is called `cookie_name`.
pub(super) fn read(
    site: &mut Site<'_, '_>,
    service: &ServiceRef,
    field: &str,
    cookie_name: &str,
) -> Result<Service, Finding> {
    if &*service.name == NOWHERE {
        return Ok(Service::Nowhere);
    }
    let own = internal::read(service, field).transpose()?;
    if own.is_none() {
        check_kind(service, field)?;
        not_carried(site, service, field);
    }
    let weight = weight(service.weight, field)?;
    let middlewares = (service.middlewares.iter().enumerate())
        .map(|(at, one)| reference::middleware(site, one, &format!("{field}.middlewares[{at}]")))
        .collect::<Result<_, _>>()?;
    let target = match own {
        Some(internal) => Target::Internal(internal),
        None => target(site, service, field, cookie_name)?,
    };
    Ok(Service::Backend(Backend { target, weight, filters: Vec::new() }, middlewares))
}

fn check_kind(service: &ServiceRef, field: &str) -> Result<(), Finding> {
    let name = &service.name;
    match &*service.kind {
        _ if name.is_empty() => Err(Finding::refused(format!("{field}.name"), "MissingField", "names no service")),
        _ if name.contains('@') => {
            let message = format!("{name:?} is of a provider that is not carried");
            Err(Finding::refused(format!("{field}.name"), "UnsupportedProvider", message)
                .remedy("name a Service of the cluster"))
        }
        "" | "Service" => Ok(()),
        // The place where services of Traefik's own kind are to be followed.
        "TraefikService" => Err(Finding::refused(
            format!("{field}.kind"),
            "NotCarried",
            format!("TraefikService {name} cannot be followed: the kind is not carried yet"),
        )
        .remedy("name the Services themselves, with their weights")),
        other => {
            let message = format!("{other:?} is neither Service nor TraefikService");
            Err(Finding::refused(format!("{field}.kind"), "UnsupportedBackend", message))
        }
    }
}

/// Options that nobody reads.
fn not_carried(site: &mut Site<'_, '_>, service: &ServiceRef, field: &str) {
    for (option, stated, instead) in [
        ("responseForwarding", service.response_forwarding.is_some(), "answers are sent on at once"),
        ("nativeLB", service.native_lb == Some(true), "endpoints are chosen by Postern"),
        ("nodePortLB", service.node_port_lb == Some(true), "endpoints are reached directly"),
        ("healthCheck", service.health_check.is_some(), "annotations of the Service ask for probes"),
        ("passiveHealthCheck", service.passive_health_check.is_some(), "annotations of the Service set it"),
    ] {
        if stated {
            let message = format!("is not carried out: {instead}");
            site.say(Finding::ignored(format!("{field}.{option}"), "NotCarried", message));
        }
    }
}

fn target(site: &mut Site<'_, '_>, service: &ServiceRef, field: &str, cookie: &str) -> Result<Target, Finding> {
    let own = site.namespace().to_owned();
    let namespace = reference::namespace(site, service.namespace.as_ref(), &own, &format!("{field}.namespace"))?;
    let port = port(&service.port, field)?;
    let mut asked = asked(site, service, field, cookie)?;
    let transport = service.servers_transport.as_deref().filter(|name| !name.is_empty());
    let at_transport = format!("{field}.serversTransport");
    asked.transport = transport.map(|name| reference::transport(site, namespace, name, &at_transport)).transpose()?;
    match service::find(site.view, namespace, &service.name, &port) {
        Ok(found) => asked.suggests_tls = asked.scheme.is_none() && found.suggests_tls(),
        Err(problem) => site.say(unresolved(field, &problem, "answers 503")),
    }
    let cluster = slot::cluster(namespace, &service.name, &port, &asked.variant());
    site.contribution.clusters.push(cluster.clone());
    Ok(Target::Cluster(cluster))
}

fn asked(site: &mut Site<'_, '_>, service: &ServiceRef, field: &str, cookie: &str) -> Result<Asked, Finding> {
    let scheme = service.scheme.clone().filter(|scheme| !scheme.is_empty());
    if let Some(scheme) = scheme.as_ref().filter(|scheme| !["http", "https", "h2c"].contains(&&***scheme)) {
        let message = format!("{:?} is not http, https or h2c", &**scheme);
        return Err(Finding::refused(format!("{field}.scheme"), "InvalidScheme", message));
    }
    let sticky = service.sticky.as_ref().and_then(|sticky| sticky.cookie.as_ref());
    let sticky = sticky
        .map(|options| sticky_cookie(options, cookie))
        .transpose()
        .map_err(|problem| Finding::refused(format!("{field}.sticky.cookie"), "InvalidCookie", problem))?;
    let (balance, pass_host) = (balance(site, service, field)?, service.pass_host_header);
    Ok(Asked { scheme, suggests_tls: false, balance, pass_host, sticky, transport: None })
}

fn balance(site: &mut Site<'_, '_>, service: &ServiceRef, field: &str) -> Result<Option<&'static str>, Finding> {
    let field = format!("{field}.strategy");
    Ok(match service.strategy.as_deref().unwrap_or_default() {
        "" => None,
        "wrr" | "RoundRobin" => Some("round-robin"),
        "p2c" => Some("p2c"),
        "hrw" => Some("client-address"),
        "leasttime" => {
            let message = "leasttime is not carried yet: the less busy one of two is chosen";
            site.say(Finding::ignored(field, "NotCarried", message));
            Some("p2c")
        }
        other => {
            let message = format!("{other:?} is not wrr, p2c, hrw or leasttime");
            return Err(Finding::refused(field, "InvalidStrategy", message));
        }
    })
}

fn sticky_cookie(options: &Cookie, name: &str) -> Result<StickyCookie, String> {
    let name = options.name.as_deref().filter(|name| !name.is_empty()).unwrap_or(name);
    let cookie = Asked::cookie(name, options.same_site.as_deref(), options.path.as_deref(), options.domain.as_deref())?;
    Ok(StickyCookie {
        secure: options.secure.unwrap_or(false),
        http_only: options.http_only.unwrap_or(false),
        max_age: options.max_age.filter(|seconds| *seconds != 0),
        ..cookie
    })
}

/// The port that a reference names.
pub(super) fn port(port: &Option<IntOrString>, field: &str) -> Result<String, Finding> {
    match port {
        Some(IntOrString::Int(number)) if *number != 0 => Ok(number.to_string()),
        Some(IntOrString::Text(text)) if !text.is_empty() => Ok(text.to_string()),
        _ => Err(Finding::refused(format!("{field}.port"), "MissingField", "names no port")),
    }
}

/// Its share; 1 where it names none.
pub(super) fn weight(weight: Option<i64>, field: &str) -> Result<u32, Finding> {
    u32::try_from(weight.unwrap_or(1)).map_err(|_| {
        Finding::refused(format!("{field}.weight"), "InvalidWeight", "must not be negative, nor above 4294967295")
    })
}

/// A backend that is not there, and what its requests or connections come to.
pub(super) fn unresolved(field: &str, problem: &PortProblem, fate: &str) -> Finding {
    let (field, remedy) = match problem {
        PortProblem::NoService(_) => (format!("{field}.name"), "add the Service, or correct the name"),
        PortProblem::NoPort { .. } | PortProblem::NotTcp(_) => (format!("{field}.port"), "name a TCP port of it"),
    };
    Finding::refused(field, "BackendNotFound", format!("{problem}; {fate}")).remedy(remedy)
}

/// The name that Traefik gives the cookie of service `id` of its provider for its own kinds.
pub(super) fn cookie_name(id: &str) -> Arc<str> {
    service::cookie_name(id, "kubernetescrd")
}
