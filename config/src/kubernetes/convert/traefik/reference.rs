//! References of Traefik's kinds to others: whether they may be followed, and where they lead.

use std::sync::Arc;

use super::{Site, transport};
use crate::{
    kubernetes::{
        convert::{
            middleware::{refusal, tcp},
            slot,
        },
        object::{
            traefik::{Middleware, MiddlewareRef, MiddlewareTcp},
            traefik_transport::ServersTransport,
        },
    },
    model::id::MiddlewareId,
    report::Finding,
};

/// What a reference that names a provider ends in when it is of a Traefik kind.
pub(super) const PROVIDER: &str = "@kubernetescrd";

/// The namespace that a reference from `own` leads to, if it may.
pub(super) fn namespace<'r>(
    site: &Site<'_, '_>,
    given: Option<&'r Arc<str>>,
    own: &'r str,
    field: &str,
) -> Result<&'r str, Finding> {
    let namespace = given.map(|namespace| &**namespace).filter(|namespace| !namespace.is_empty()).unwrap_or(own);
    if namespace == own || site.settings.allow_cross_namespace {
        return Ok(namespace);
    }
    let message = format!("leads to namespace {namespace}, and references across namespaces are not allowed");
    Err(Finding::refused(field, "RefNotPermitted", message)
        .remedy("copy what is referred to into this namespace, or allow references across namespaces"))
}

/// The slot of a middleware. One that is refused is told of and stays: its slot closes the route.
pub(super) fn middleware(
    site: &mut Site<'_, '_>,
    reference: &MiddlewareRef,
    field: &str,
) -> Result<MiddlewareId, Finding> {
    let (namespace, name) = target(site, reference, field)?;
    let id = slot::middleware(&namespace, &name);
    let item = site.view.get::<Middleware>(&namespace, &name);
    let Some(item) = item else {
        return Err(Finding::refused(field, "MiddlewareNotFound", format!("there is no Middleware {id}"))
            .remedy("create it; until then the route answers 503"));
    };
    if let Some(reason) = refusal(item, site.view, site.settings) {
        site.say(Finding::refused(field, "MiddlewareRefused", format!("{reason}; answers 503")));
    }
    Ok(id)
}

/// The slot of a middleware of connections, likewise.
pub(super) fn middleware_tcp(
    site: &mut Site<'_, '_>,
    reference: &MiddlewareRef,
    field: &str,
) -> Result<MiddlewareId, Finding> {
    let name = &*reference.name;
    if name.is_empty() || name.contains('@') {
        let message = format!("{name:?} is no name of a MiddlewareTCP");
        return Err(Finding::refused(field, "UnsupportedProvider", message)
            .remedy("write the name and, in a field of its own, the namespace"));
    }
    let namespace = namespace(site, reference.namespace.as_ref(), site.namespace(), field)?.to_owned();
    let Some(item) = site.view.get::<MiddlewareTcp>(&namespace, name) else {
        let message = format!("there is no MiddlewareTCP {namespace}/{name}");
        return Err(Finding::refused(field, "MiddlewareNotFound", message).remedy("create it"));
    };
    if let Some(reason) = tcp::refusal(item, site.view, site.settings) {
        site.say(Finding::refused(field, "MiddlewareRefused", format!("{reason}; its connections are closed")));
    }
    Ok(slot::tcp_middleware(&namespace, name))
}

fn target(site: &Site<'_, '_>, reference: &MiddlewareRef, field: &str) -> Result<(String, String), Finding> {
    let name = &*reference.name;
    if name.is_empty() {
        return Err(Finding::refused(field, "MissingField", "has no name"));
    }
    let Some(joined) = name.strip_suffix(PROVIDER) else {
        if let Some((_, provider)) = name.split_once('@') {
            let message = format!("{name:?} is of provider {provider}, which is not carried");
            return Err(Finding::refused(field, "UnsupportedProvider", message)
                .remedy("write it as a Middleware object, and name that"));
        }
        let namespace = namespace(site, reference.namespace.as_ref(), site.namespace(), field)?;
        return Ok((namespace.to_owned(), name.to_owned()));
    };
    if !site.settings.allow_cross_namespace {
        return Err(may_lead_anywhere(name, field));
    }
    only(site, joined, field)
}

/// The one Middleware that `namespace-name` can mean.
fn only(site: &Site<'_, '_>, joined: &str, field: &str) -> Result<(String, String), Finding> {
    let exists = |(namespace, name): &(&str, &str)| site.view.get::<Middleware>(namespace, name).is_some();
    let found: Vec<_> = splits(joined).filter(exists).collect();
    match found.as_slice() {
        [] => Err(Finding::refused(field, "MiddlewareNotFound", format!("there is no Middleware {joined:?}"))
            .remedy(format!("the form is namespace-name{PROVIDER}"))),
        [(namespace, name)] => Ok(((*namespace).to_owned(), (*name).to_owned())),
        several => {
            let names: Vec<_> = several.iter().map(|(namespace, name)| format!("{namespace}/{name}")).collect();
            let message = format!("{joined:?} may be any of the Middlewares {}", names.join(", "));
            Err(Finding::refused(field, "AmbiguousMiddleware", message).remedy("rename all but one of them"))
        }
    }
}

/// The ServersTransport that a reference from beside a Service of `namespace` names: its namespace and name. One that
/// is refused is told of and stays: it closes the backend.
pub(super) fn transport(
    site: &mut Site<'_, '_>,
    namespace: &str,
    name: &str,
    field: &str,
) -> Result<(String, String), Finding> {
    let (namespace, name) = match name.split_once('@') {
        None => (namespace, name),
        Some((_, provider)) if format!("@{provider}") != PROVIDER => {
            let message = format!("{name:?} is of provider {provider}, which is not carried");
            return Err(Finding::refused(field, "UnsupportedProvider", message)
                .remedy("write it as a ServersTransport object, and name that"));
        }
        Some(_) if !site.settings.allow_cross_namespace => return Err(may_lead_anywhere(name, field)),
        Some(_) => transport::annotated(site.view, site.settings, namespace, name)
            .map_err(|problem| Finding::refused(field, "TransportNotFound", problem))?,
    };
    if site.view.get::<ServersTransport>(namespace, name).is_none() {
        let message = format!("there is no ServersTransport {namespace}/{name}");
        return Err(
            Finding::refused(field, "TransportNotFound", message).remedy("create it; until then the route answers 503")
        );
    }
    if let Err(problem) = transport::find(site.view, namespace, name) {
        site.say(Finding::refused(field, "TransportRefused", problem));
    }
    Ok((namespace.to_owned(), name.to_owned()))
}

fn may_lead_anywhere(name: &str, field: &str) -> Finding {
    let message = format!("{name:?} does not say where the namespace ends, and may lead to another one");
    Finding::refused(field, "RefNotPermitted", message)
        .remedy("write the name and, in a field of its own, the namespace")
}

/// All ways to read `namespace-name`.
pub(in crate::kubernetes::convert) fn splits(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.match_indices('-')
        .filter_map(|(at, _)| Some((text.get(..at)?, text.get(at + 1..)?)))
        .filter(|(namespace, name)| !namespace.is_empty() && !name.is_empty())
}
