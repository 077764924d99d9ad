//! The ServersTransport of a slot: the one that its user names, else the one that the Service's annotation does.

use std::collections::BTreeMap;

use super::{
    option::{Options, TRANSPORT},
    protocol::Spoken,
};
use crate::{
    kubernetes::{
        convert::{
            Settings,
            annotation::{self, SERVICE},
            slot,
            traefik::transport::{self, Transport},
        },
        object::{Item, Meta, service::Service},
        view::View,
    },
    model::cluster::Protocol,
    report::Finding,
};

/// What is wrong with the annotation.
pub(super) fn problem(
    item: &Item<Service>,
    options: &Options,
    view: &View<'_>,
    settings: &Settings,
) -> Option<Finding> {
    let problem = of_annotation(&item.meta, options, view, settings).err()?;
    let field = annotation::field(&format!("{SERVICE}{TRANSPORT}"));
    Some(
        Finding::refused(field, "TransportNotFound", format!("{problem}; its routes answer 503"))
            .remedy("correct the name, or mend the ServersTransport"),
    )
}

/// What is asked for, if anything is; otherwise why the backend is closed.
pub(super) fn find(
    service: &Meta,
    options: &Options,
    variant: &BTreeMap<&str, &str>,
    view: &View<'_>,
    settings: &Settings,
) -> Result<Option<Transport>, String> {
    match variant.get("transport") {
        Some(named) => {
            let (namespace, name) = slot::split(named).ok_or_else(|| format!("{named} is no ServersTransport"))?;
            transport::find(view, namespace, name).map(Some)
        }
        None => of_annotation(service, options, view, settings),
    }
}

fn of_annotation(
    service: &Meta,
    options: &Options,
    view: &View<'_>,
    settings: &Settings,
) -> Result<Option<Transport>, String> {
    let Some(text) = &options.transport else { return Ok(None) };
    let (namespace, name) = transport::annotated(view, settings, &service.namespace, text)?;
    transport::find(view, namespace, name).map(Some)
}

/// Puts it in place of what the port says of itself. What it says of TLS has a say only where TLS is spoken, and
/// nowhere beside a policy: which of the two its owner relies on nobody knows.
pub(super) fn apply(
    asked: Transport,
    spoken: &mut Spoken,
    options: &mut Options,
    has_policy: bool,
) -> Result<Option<Finding>, String> {
    options.connect_timeout = asked.connect_timeout.or(options.connect_timeout);
    let tls = spoken.tls.is_some() || has_policy;
    if asked.http1 && tls && spoken.protocol == Protocol::Http {
        spoken.protocol = Protocol::Http1;
    }
    match asked.tls {
        Some(_) if has_policy => {
            Err("a BackendTLSPolicy and a ServersTransport both say how it is verified: remove one of them".to_owned())
        }
        Some(_) if !tls => {
            let message = "a ServersTransport says how a backend of it is verified, but its scheme is not https: it is \
                           spoken to in the clear";
            Ok(Some(
                Finding::warning("spec.ports", "ClearText", message).remedy("state the scheme https where it is used"),
            ))
        }
        Some(tls) => {
            spoken.tls = Some(tls);
            Ok(None)
        }
        None => Ok(None),
    }
}
