//! `backendRefs`: which Service ports a rule's requests go to. A reference that may not be followed keeps its share of
//! the weight, and answers with an error.

use std::sync::Arc;

use super::{
    filter::{self, FilterSource},
    grant::{self, Reference},
    reason,
    rules::Variant,
};
use crate::{
    kubernetes::{
        convert::{
            service::{self, PortProblem},
            slot,
        },
        object::{
            Kind, Meta,
            gateway::{BackendRef, Port},
        },
        view::View,
    },
    model::{
        id::ClusterId,
        route::{Backend, Target},
    },
    report::Finding,
};

/// The API's limit.
const MOST_WEIGHT: u32 = 1_000_000;

/// The rule whose backends are read.
pub(super) struct Rule<'a> {
    /// Kind of the route.
    pub(super) kind: Kind,
    /// Metadata of the route.
    pub(super) meta: &'a Meta,
    /// `spec.rules[i]`.
    pub(super) field: String,
    /// What sets apart how the clusters are reached.
    pub(super) variant: Variant,
    /// Whether the rule has exactly one match, of a path prefix.
    pub(super) one_prefix: bool,
}

impl Rule<'_> {
    /// The backends; cluster slots referred to are added to `clusters`.
    pub(super) fn backends<F: FilterSource>(
        &self,
        refs: &[BackendRef<F>],
        view: &View<'_>,
        clusters: &mut Vec<ClusterId>,
        findings: &mut Vec<Finding>,
    ) -> Vec<Backend> {
        let mut backends = Vec::new();
        for (index, reference) in refs.iter().enumerate() {
            let field = format!("{}.backendRefs[{index}]", self.field);
            let read = filter::read(&reference.filters, &field, filter::Level::Backend, self.one_prefix, findings);
            let target = match (self.target(reference, &field, view, findings), read.closed.clone()) {
                (_, Some(reason)) => Target::Invalid { reason },
                (Ok(id), None) => {
                    clusters.push(id.clone());
                    Target::Cluster(id)
                }
                (Err(reason), None) => Target::Invalid { reason },
            };
            let weight = reference.weight.unwrap_or(1).min(MOST_WEIGHT);
            backends.push(Backend { target, weight, filters: read.stateless() });
        }
        clusters.sort();
        clusters.dedup();
        backends
    }

    /// The cluster slot; the error is why the reference is not followed, and was told.
    fn target<F>(
        &self,
        reference: &BackendRef<F>,
        field: &str,
        view: &View<'_>,
        findings: &mut Vec<Finding>,
    ) -> Result<ClusterId, Arc<str>> {
        let mut refuse = |finding: Finding| {
            let reason: Arc<str> = finding.message.as_str().into();
            findings.push(finding);
            reason
        };
        let namespace = reference.namespace.as_ref().unwrap_or(&self.meta.namespace);
        let port = self.check(reference, field, namespace, view).map_err(&mut refuse)?;
        // The slot says why it cannot be used until the Service is there, so the reference is kept.
        if let Err(finding) = existing(view, namespace, &reference.name, port, field) {
            refuse(finding);
        }
        Ok(slot::cluster(namespace, &reference.name, &port.to_string(), &self.variant))
    }

    fn check<F>(
        &self,
        reference: &BackendRef<F>,
        field: &str,
        namespace: &str,
        view: &View<'_>,
    ) -> Result<Port, Finding> {
        let (group, kind) = (reference.group.as_deref().unwrap_or(""), reference.kind.as_deref().unwrap_or("Service"));
        if (group, kind) != ("", "Service") {
            let message = format!("backends of kind {} are not carried", reason::kind(kind, group));
            return Err(
                Finding::refused(format!("{field}.kind"), reason::INVALID_KIND, message).remedy("name a Service")
            );
        }
        if reference.weight.is_some_and(|weight| weight > MOST_WEIGHT) {
            let message = "a weight is at most 1000000";
            return Err(Finding::refused(format!("{field}.weight"), reason::UNSUPPORTED_VALUE, message));
        }
        let consent = Reference {
            from: self.kind,
            from_namespace: &self.meta.namespace,
            to: Kind::Service,
            to_namespace: namespace,
            to_name: &reference.name,
        };
        if !grant::permits(view, consent) {
            let message =
                format!("namespace {namespace} does not consent to the use of its Service {}", reference.name);
            return Err(Finding::refused(field, reason::REF_NOT_PERMITTED, message).remedy(grant::remedy(consent)));
        }
        reference.port.ok_or_else(|| {
            Finding::refused(format!("{field}.port"), reason::UNSUPPORTED_VALUE, "a Service needs a port")
        })
    }
}

/// Whether the Service and its port are there now.
fn existing(view: &View<'_>, namespace: &str, name: &str, port: Port, field: &str) -> Result<(), Finding> {
    service::find(view, namespace, name, &port.to_string()).map(drop).map_err(|problem| {
        let reason = match &problem {
            PortProblem::NoService(_) | PortProblem::NoPort { .. } => reason::BACKEND_NOT_FOUND,
            PortProblem::NotTcp(_) => reason::UNSUPPORTED_PROTOCOL,
        };
        let message = match &problem {
            PortProblem::NoService(_) => problem.to_string(),
            _ => format!("Service {namespace}/{name}: {problem}"),
        };
        Finding::refused(field, reason, message)
    })
}
