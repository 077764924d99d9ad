//! The backend of an Ingress path.

use std::{collections::BTreeMap, sync::Arc};

use http::StatusCode;

use super::{class::Product, closed};
use crate::{
    kubernetes::{
        convert::{
            Contribution,
            service::{self, PortProblem},
            slot,
        },
        object::networking::{IngressBackend, ServiceBackend},
        view::View,
    },
    model::route::{Backend, Forward, Outcome, Target, Timeouts},
    report::Finding,
};

/// Where requests go. What does not resolve answers 503, and is reported with `field`.
pub(super) fn outcome(
    view: &View<'_>,
    namespace: &str,
    backend: &IngressBackend,
    field: &str,
    product: Product,
    contribution: &mut Contribution,
) -> Outcome {
    let problem = match (&backend.service, &backend.resource) {
        (Some(service), None) => return to_service(view, namespace, service, field, product, contribution),
        (None, Some(resource)) => {
            let message = format!("{} {} cannot be a backend", resource.kind, resource.name);
            let field = format!("{field}.resource");
            Finding::refused(field, "UnsupportedBackend", message).remedy("use a Service as backend")
        }
        (Some(_), Some(_)) => Finding::refused(field, "InvalidBackend", "names both a service and a resource"),
        (None, None) => Finding::refused(field, "InvalidBackend", "names no service"),
    };
    let reason: Arc<str> = problem.message.as_str().into();
    contribution.findings.push(problem);
    closed(reason)
}

fn to_service(
    view: &View<'_>,
    namespace: &str,
    backend: &ServiceBackend,
    field: &str,
    product: Product,
    contribution: &mut Contribution,
) -> Outcome {
    let port = match (&backend.port.name, backend.port.number) {
        (Some(name), None) => name.to_string(),
        (None, Some(number)) => number.to_string(),
        _ => {
            let message = "must be either a name or a number";
            let finding = Finding::refused(format!("{field}.service.port"), "InvalidBackend", message);
            contribution.findings.push(finding);
            return closed(format!("{field}.service.port {message}").into());
        }
    };
    let mut variant = BTreeMap::new();
    match service::find(view, namespace, &backend.name, &port) {
        Ok(found) if product == Product::Traefik && found.suggests_tls() => {
            variant.insert("protocol", "https".to_owned());
        }
        Ok(_) => {}
        Err(problem) => contribution.findings.push(unresolved(field, &problem)),
    }
    let cluster = slot::cluster(namespace, &backend.name, &port, &variant);
    contribution.clusters.push(cluster.clone());
    Outcome::Forward(Forward {
        backends: vec![Backend { target: Target::Cluster(cluster), weight: 1, filters: Vec::new() }],
        unresolved: StatusCode::SERVICE_UNAVAILABLE,
        timeouts: Timeouts::default(),
        retry: None,
    })
}

fn unresolved(field: &str, problem: &PortProblem) -> Finding {
    let (field, remedy) = match problem {
        PortProblem::NoService(_) => (format!("{field}.service.name"), "add the Service, or correct the name"),
        PortProblem::NoPort { .. } | PortProblem::NotTcp(_) => {
            (format!("{field}.service.port"), "name a TCP port of it")
        }
    };
    Finding::refused(field, "BackendNotFound", format!("{problem}; answers 503")).remedy(remedy)
}
