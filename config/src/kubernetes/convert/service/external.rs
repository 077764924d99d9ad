//! Services of type ExternalName: backends outside the cluster, where the operator allows them.
//!
//! What a DNS answer may hold is judged when it is resolved; here only names and addresses written out are refused.

use std::net::{IpAddr, SocketAddr};

use super::{endpoint, port};
use crate::{
    kubernetes::{
        convert::Settings,
        object::{
            Item,
            service::{Service, ServiceType},
        },
        view::View,
    },
    model::{
        cluster::{Endpoint, EndpointAddress},
        host::{HostPattern, WildcardDepth},
    },
};

/// The one endpoint, or those of the Service that the name stands for.
pub(super) fn endpoints(
    view: &View<'_>,
    service: &Item<Service>,
    number: u16,
    settings: &Settings,
) -> Result<Vec<Endpoint>, String> {
    if !settings.allow_external_names {
        return Err("Services of type ExternalName are not allowed (allowExternalNameServices)".to_owned());
    }
    let text = service.body.spec.external_name.as_deref().unwrap_or_default();
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let address = match name.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(address) => literal(address, number, settings)?,
        Err(_) => {
            check_name(&name)?;
            if let Some(endpoints) = inside(view, &name, number, settings)? {
                return Ok(endpoints);
            }
            EndpointAddress::Name(name.into(), number)
        }
    };
    Ok(vec![Endpoint { address, weight: 1, draining: false }])
}

fn literal(address: IpAddr, port: u16, settings: &Settings) -> Result<EndpointAddress, String> {
    // Even from files: a name must not lead to what only this host may reach (its own admin port, for one).
    let strict = Settings { allow_loopback_endpoints: false, ..settings.clone() };
    match endpoint::problem(address, &strict) {
        Some(why) => Err(format!("externalName {address} {why}")),
        None => Ok(EndpointAddress::Socket(SocketAddr::new(address, port))),
    }
}

fn check_name(name: &str) -> Result<(), String> {
    match HostPattern::parse(name, WildcardDepth::One) {
        Ok(HostPattern::Exact(_)) => {}
        Ok(_) => return Err(format!("externalName {name:?} is not a host name")),
        Err(error) => return Err(format!("externalName {name:?} {error}")),
    }
    let forbidden = name == "localhost"
        || name.ends_with(".localhost")
        || name == "metadata"
        || name == "metadata.google.internal"
        || name == "instance-data";
    if forbidden { Err(format!("externalName {name} leads to this host or to a metadata service")) } else { Ok(()) }
}

/// `name.namespace.svc[.cluster.local]` of a Service at hand: its endpoints, without asking DNS.
fn inside(view: &View<'_>, name: &str, number: u16, settings: &Settings) -> Result<Option<Vec<Endpoint>>, String> {
    let name = name.strip_suffix(".cluster.local").unwrap_or(name);
    let Some((service, namespace)) = name.strip_suffix(".svc").and_then(|name| name.split_once('.')) else {
        return Ok(None);
    };
    let Some(target) = view.get::<Service>(namespace, service) else { return Ok(None) };
    if target.body.spec.kind == ServiceType::ExternalName {
        return Err(format!("externalName leads to Service {namespace}/{service}, which is of type ExternalName too"));
    }
    let found = port::of_service(&target.body, &number.to_string())
        .map_err(|problem| format!("externalName leads to Service {namespace}/{service}: {problem}"))?;
    Ok(Some(endpoint::of_service(view, target, found.name, true, settings)))
}
