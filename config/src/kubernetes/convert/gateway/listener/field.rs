//! The fields of one listener, each by itself.

use std::sync::Arc;

use super::{Listener, Protocol};
use crate::{
    kubernetes::{
        convert::{
            gateway::{hostname, reason},
            selector,
        },
        object::{
            Kind,
            gateway::{self, FromNamespaces, TlsMode},
        },
    },
    model::host::HostPattern,
    report::Finding,
};

/// Entry `index` of `spec.listeners`; accepted unless something is wrong with it.
pub(super) fn read<'a>(index: usize, spec: &'a gateway::Listener, findings: &mut Vec<Finding>) -> Listener<'a> {
    let before = findings.len();
    let field = format!("spec.listeners[{index}]");
    let protocol = protocol(spec, &field, findings);
    let host = host(spec, &field, findings);
    let accepted = findings.len() == before;
    let kinds = protocol.map(|protocol| kinds(spec, protocol, &field, findings)).unwrap_or_default();
    check_namespaces(spec, &field, findings);
    Listener { spec, index, protocol, host, kinds, accepted, except_hosts: Arc::default() }
}

/// The protocol; what keeps the listener from being served is told, and may come beside a known protocol.
fn protocol(spec: &gateway::Listener, field: &str, findings: &mut Vec<Finding>) -> Option<Protocol> {
    if spec.filters.is_some() {
        findings.push(
            Finding::refused(
                format!("{field}.filters"),
                reason::UNSUPPORTED_VALUE,
                "filters of listeners are not carried, so the listener is not served without them",
            )
            .remedy("move the filters into the routes"),
        );
    }
    match &*spec.protocol {
        "HTTP" => {
            if spec.tls.is_some() {
                findings.push(Finding::refused(
                    format!("{field}.tls"),
                    reason::UNSUPPORTED_VALUE,
                    "a listener of protocol HTTP may not have tls",
                ));
            }
            Some(Protocol::Http)
        }
        "HTTPS" => {
            if mode(spec) == Some(TlsMode::Passthrough) {
                findings.push(
                    Finding::refused(
                        format!("{field}.tls.mode"),
                        reason::UNSUPPORTED_VALUE,
                        "a listener of protocol HTTPS ends TLS itself",
                    )
                    .remedy("use protocol TLS and a TLSRoute to pass TLS through"),
                );
            }
            check_tls(spec, field, findings);
            Some(Protocol::Https)
        }
        "TLS" if mode(spec) == Some(TlsMode::Passthrough) => {
            check_options(spec, field, findings);
            Some(Protocol::TlsPassthrough)
        }
        "TLS" => {
            check_tls(spec, field, findings);
            Some(Protocol::TlsTerminate)
        }
        other => {
            findings.push(
                Finding::refused(
                    format!("{field}.protocol"),
                    reason::UNSUPPORTED_PROTOCOL,
                    format!("listeners of protocol {other} are not carried"),
                )
                .remedy("use HTTP, HTTPS or TLS"),
            );
            None
        }
    }
}

fn mode(spec: &gateway::Listener) -> Option<TlsMode> {
    spec.tls.as_ref().and_then(|tls| tls.mode)
}

fn check_tls(spec: &gateway::Listener, field: &str, findings: &mut Vec<Finding>) {
    if spec.tls.as_ref().is_none_or(|tls| tls.certificate_refs.is_empty()) {
        findings.push(
            Finding::refused(
                format!("{field}.tls.certificateRefs"),
                reason::INVALID_CERTIFICATE_REF,
                "a listener that ends TLS needs a certificate",
            )
            .remedy("name a Secret of type kubernetes.io/tls"),
        );
    }
    check_options(spec, field, findings);
}

fn check_options(spec: &gateway::Listener, field: &str, findings: &mut Vec<Finding>) {
    if spec.tls.as_ref().is_some_and(|tls| tls.options.is_some()) {
        findings.push(
            Finding::refused(
                format!("{field}.tls.options"),
                reason::UNSUPPORTED_VALUE,
                "no TLS options are known, so the listener is not served without them",
            )
            .remedy("remove the options"),
        );
    }
}

fn host(spec: &gateway::Listener, field: &str, findings: &mut Vec<Finding>) -> Option<HostPattern> {
    let Some(text) = spec.hostname.as_deref().filter(|text| !text.is_empty()) else { return Some(HostPattern::Any) };
    match hostname::parse(text) {
        Ok(pattern) => Some(pattern),
        Err(problem) => {
            findings.push(Finding::refused(
                format!("{field}.hostname"),
                reason::UNSUPPORTED_VALUE,
                format!("{text:?} {problem}"),
            ));
            None
        }
    }
}

/// `allowedRoutes.kinds`, as far as the protocol can carry them; all that it can carry where none are named.
fn kinds(spec: &gateway::Listener, protocol: Protocol, field: &str, findings: &mut Vec<Finding>) -> Vec<Kind> {
    let asked = spec.allowed_routes.as_ref().map(|allowed| allowed.kinds.as_slice()).unwrap_or_default();
    if asked.is_empty() {
        return protocol.kinds().to_vec();
    }
    let mut kinds = Vec::new();
    for (index, entry) in asked.iter().enumerate() {
        let group = entry.group.as_deref().unwrap_or(Kind::Gateway.group());
        match protocol.kinds().iter().find(|kind| kind.group() == group && *kind.as_str() == *entry.kind) {
            Some(kind) => kinds.push(*kind),
            None => findings.push(Finding::refused(
                format!("{field}.allowedRoutes.kinds[{index}]"),
                reason::INVALID_ROUTE_KINDS,
                format!("routes of kind {} do not fit protocol {}", entry.kind, spec.protocol),
            )),
        }
    }
    kinds
}

fn check_namespaces(spec: &gateway::Listener, field: &str, findings: &mut Vec<Finding>) {
    let Some(namespaces) = spec.allowed_routes.as_ref().and_then(|allowed| allowed.namespaces.as_ref()) else { return };
    let field = format!("{field}.allowedRoutes.namespaces");
    let problem = match (namespaces.from, &namespaces.selector) {
        (Some(FromNamespaces::Selector), None) => Some("from Selector needs a selector; no route is let in"),
        (Some(FromNamespaces::Selector), Some(selector)) => selector::problem(selector),
        (Some(FromNamespaces::None), _) => Some("from must be All, Same or Selector; no route is let in"),
        _ => None,
    };
    findings.extend(problem.map(|problem| Finding::refused(field, reason::UNSUPPORTED_VALUE, problem)));
}
