//! Which port of a Service is meant.

use std::sync::Arc;

use crate::kubernetes::{
    object::{
        core::Protocol,
        service::{Service, ServiceType},
    },
    view::View,
};

/// A port that was found.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// Name, by which EndpointSlices know it; empty where it has none.
    pub name: &'a str,
    /// Number.
    pub number: u16,
    /// What is spoken, if it is said.
    pub app_protocol: Option<&'a str>,
}

impl Found<'_> {
    /// Whether Traefik would speak TLS to it without being asked.
    pub fn suggests_tls(&self) -> bool {
        self.number == 443 || self.name.starts_with("https")
    }
}

/// Why a reference to a Service's port leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PortProblem {
    /// No such Service.
    #[error("Service {0} does not exist")]
    NoService(String),
    /// The Service has no such port.
    #[error("there is no port {wanted}; it has {known}")]
    NoPort {
        /// What was asked for.
        wanted: String,
        /// What there is.
        known: String,
    },
    /// The port is there, but not over TCP.
    #[error("port {0} is not a TCP port")]
    NotTcp(String),
}

/// The TCP port `wanted` (a number, or a name) of Service `namespace/name`.
pub fn find<'a>(view: &View<'a>, namespace: &str, name: &str, wanted: &str) -> Result<Found<'a>, PortProblem> {
    match view.get::<Service>(namespace, name) {
        Some(service) => of_service(&service.body, wanted),
        None => Err(PortProblem::NoService(format!("{namespace}/{name}"))),
    }
}

/// The port `wanted` (a number, or a name). An ExternalName Service need not list its ports.
pub(super) fn of_service<'a>(service: &'a Service, wanted: &str) -> Result<Found<'a>, PortProblem> {
    let number = wanted.parse::<u16>().ok();
    let fits = |name: &Arc<str>, port| number.map_or(**name == *wanted, |number| number == port);
    let fitting = || service.spec.ports.iter().filter(|port| fits(&port.name, port.port));
    if let Some(port) = fitting().find(|port| port.protocol == Protocol::Tcp) {
        let app_protocol = port.app_protocol.as_deref();
        return Ok(Found { name: &port.name, number: port.port, app_protocol });
    }
    if fitting().next().is_some() {
        return Err(PortProblem::NotTcp(wanted.to_owned()));
    }
    match number {
        Some(number) if service.spec.kind == ServiceType::ExternalName => {
            Ok(Found { name: "", number, app_protocol: None })
        }
        _ => Err(PortProblem::NoPort { wanted: wanted.to_owned(), known: known(service) }),
    }
}

fn known(service: &Service) -> String {
    let ports = service.spec.ports.iter().map(|port| {
        if port.name.is_empty() { port.port.to_string() } else { format!("{} ({})", port.port, port.name) }
    });
    let ports: Vec<_> = ports.collect();
    if ports.is_empty() { "none".to_owned() } else { ports.join(", ") }
}
