//! `errors`.

use std::collections::BTreeMap;

use http::StatusCode;

use super::{Result, Site};
use crate::{
    kubernetes::{
        convert::{
            service::{self, PortProblem},
            slot,
        },
        object::traefik,
    },
    model::{
        id::ClusterId,
        middleware::{
            Spec,
            errors::{Errors, Query},
            status::{StatusRange, Statuses},
        },
    },
};

pub(super) fn convert(site: &Site<'_, '_>, options: &traefik::Errors) -> Result<Spec> {
    let statuses = Statuses::parse(&options.status).map_err(|error| site.refuse("status", "InvalidValue", error))?;
    let query = options.query.as_deref().unwrap_or_default();
    let query = Query::parse(query).map_err(|error| site.refuse("query", "InvalidValue", error))?;
    let names = options.error_request_headers.as_ref();
    Ok(Spec::Errors(Box::new(Errors {
        statuses,
        rewrites: rewrites(site, options)?,
        service: service(site, &options.service)?,
        query,
        request_headers: names.map(|names| site.header_names("errorRequestHeaders", names)).transpose()?,
    })))
}

fn rewrites(site: &Site<'_, '_>, options: &traefik::Errors) -> Result<Vec<(StatusRange, StatusCode)>> {
    let mut rewrites = Vec::with_capacity(options.status_rewrites.len());
    for (range, status) in &options.status_rewrites {
        let option = format!("statusRewrites[{range}]");
        let from = StatusRange::parse(range).map_err(|error| site.refuse(&option, "InvalidValue", error))?;
        let to = u16::try_from(*status).ok().filter(|status| (200..600).contains(status));
        let to = to.and_then(|status| StatusCode::from_u16(status).ok());
        let to = to.ok_or_else(|| site.refuse(&option, "InvalidValue", "must be between 200 and 599"))?;
        rewrites.push((from, to));
    }
    // Where ranges overlap Traefik takes any of them.
    rewrites.sort_by_key(|(range, _)| range.width());
    Ok(rewrites)
}

/// A Service that the object names must be at hand, as a backend of a route must.
fn service(site: &Site<'_, '_>, options: &traefik::ErrorService) -> Result<ClusterId> {
    refuse_others(site, options)?;
    let name = site.required("service.name", &options.name)?;
    let namespace = options.namespace.as_deref().filter(|namespace| !namespace.is_empty());
    let namespace = namespace.unwrap_or(site.namespace());
    if namespace != site.namespace() && !site.settings.allow_cross_namespace {
        let finding =
            site.refuse("service", "RefNotPermitted", format!("names Service {namespace}/{name} of another namespace"));
        return Err(finding.remedy("name one of this namespace, or allow references across namespaces").into());
    }
    let port = match &options.port {
        Some(traefik::IntOrString::Int(number)) => number.to_string(),
        Some(traefik::IntOrString::Text(text)) if !text.is_empty() => text.to_string(),
        _ => return Err(site.refuse("service.port", "MissingField", "is required and not set")),
    };
    service::find(site.view, namespace, name, &port).map_err(|problem| {
        let message = match problem {
            PortProblem::NoService(_) => format!("leads nowhere: {problem}"),
            _ => format!("leads nowhere: Service {namespace}/{name}: {problem}"),
        };
        let finding = site.refuse("service", "BackendNotFound", message);
        finding.remedy("add the Service; until then the routes that use this middleware are closed")
    })?;
    Ok(slot::cluster(namespace, name, &port, &BTreeMap::new()))
}

fn refuse_others(site: &Site<'_, '_>, options: &traefik::ErrorService) -> Result<()> {
    if options.kind.as_deref().is_some_and(|kind| !kind.is_empty() && kind != "Service") {
        return Err(site.refuse("service.kind", "NotCarried", "is not Service, and nothing else is carried"));
    }
    let stated: Vec<&str> =
        options.others().into_iter().filter_map(|(name, is_stated)| is_stated.then_some(name)).collect();
    if stated.is_empty() {
        return Ok(());
    }
    let finding =
        site.refuse("service", "NotCarried", format!("has options that are not carried: {}", stated.join(", ")));
    Err(finding.remedy("say it by annotations of the Service").into())
}
