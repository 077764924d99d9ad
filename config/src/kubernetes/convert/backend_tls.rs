//! `BackendTLSPolicy`: TLS towards a Service's port. A policy that cannot be honoured closes the backend; it never
//! falls back to plain text.

use std::{collections::BTreeSet, sync::Arc};

use jiff::Timestamp;
use rustls_pki_types::CertificateDer;

use super::{
    Contribution, Settings,
    gateway::{hostname, reason},
    secret,
};
use crate::{
    kubernetes::{
        object::{
            Item,
            core::ConfigMap,
            gateway::{BackendTlsPolicy, LocalRef, PolicySubjectAltName, PolicyTargetRef, SubjectAltNameType},
            service::Service,
        },
        view::View,
    },
    model::cluster::{SubjectAltName, UpstreamTls, Verify},
    report::Finding,
};

/// TLS towards port `port` (its name; empty for the only one) of Service `namespace/service`: none where no policy asks
/// for it, and why the backend is closed where a policy asks for what cannot be done.
pub fn upstream(
    view: &View<'_>,
    namespace: &str,
    service: &str,
    port: &str,
) -> Result<Option<Arc<UpstreamTls>>, Arc<str>> {
    let targets = |policy: &Item<BackendTlsPolicy>, section: Option<&str>| {
        policy.body.spec.target_refs.iter().any(|target| aims_at(target, service) && section_of(target) == section)
    };
    let policies: Vec<_> = view.all::<BackendTlsPolicy>(Some(namespace)).collect();
    let oldest = |section: Option<&str>| {
        policies.iter().filter(|policy| targets(policy, section)).min_by_key(|policy| age(policy))
    };
    // What names the port wins over what names the whole Service.
    let named = Some(port).filter(|port| !port.is_empty());
    let Some(policy) = named.and_then(|port| oldest(Some(port))).or_else(|| oldest(None)) else { return Ok(None) };
    let mut findings = Vec::new();
    match read(policy, view, &mut findings) {
        Some(tls) => Ok(Some(Arc::new(tls))),
        None => {
            let why = findings.first().map(|finding| finding.message.as_str()).unwrap_or("it is invalid");
            Err(format!("BackendTLSPolicy {namespace}/{} cannot be honoured: {why}", policy.meta.name).into())
        }
    }
}

/// A policy contributes nothing by itself; clusters read it.
pub(super) fn convert(policy: &Item<BackendTlsPolicy>, view: &View<'_>, _: &Settings) -> Contribution {
    let mut findings = Vec::new();
    read(policy, view, &mut findings);
    check_targets(policy, view, &mut findings);
    Contribution { findings, ..Contribution::default() }
}

/// The TLS that a policy asks for; none, with the reasons in `findings`, where that cannot be done.
fn read(policy: &Item<BackendTlsPolicy>, view: &View<'_>, findings: &mut Vec<Finding>) -> Option<UpstreamTls> {
    let spec = &policy.body.spec;
    let before = findings.len();
    if spec.options.is_some() {
        refuse(findings, "spec.options", "no TLS options are known");
    }
    let server_name = hostname::precise(&spec.validation.hostname)
        .map_err(|problem| {
            refuse(findings, "spec.validation.hostname", &format!("{:?} {problem}", spec.validation.hostname))
        })
        .ok();
    let subject_alt_names = names(&spec.validation.subject_alt_names, findings);
    let clean = findings.len() == before;
    let verify = verify(policy, view, findings)?;
    clean.then_some(UpstreamTls { server_name, verify, subject_alt_names, client_certificate: None })
}

fn refuse(findings: &mut Vec<Finding>, field: impl Into<String>, message: &str) {
    findings.push(Finding::refused(field, reason::INVALID, message));
}

fn verify(policy: &Item<BackendTlsPolicy>, view: &View<'_>, findings: &mut Vec<Finding>) -> Option<Verify> {
    let validation = &policy.body.spec.validation;
    let well_known = validation.well_known_ca_certificates.as_deref().filter(|name| !name.is_empty());
    match (well_known, validation.ca_certificate_refs.as_slice()) {
        (Some("System"), []) => Some(Verify::WellKnown),
        (Some(other), []) => {
            let message = format!("{other:?} is not known; System is");
            refuse(findings, "spec.validation.wellKnownCACertificates", &message);
            None
        }
        (None, refs) if !refs.is_empty() && refs.len() <= 8 => authorities(policy, refs, view, findings),
        _ => {
            let message = "either wellKnownCACertificates or 1 to 8 caCertificateRefs must be given";
            refuse(findings, "spec.validation", message);
            None
        }
    }
}

/// The authorities that can be read: fewer than asked for trust fewer backends, none at all trust none.
fn authorities(
    policy: &Item<BackendTlsPolicy>,
    refs: &[LocalRef],
    view: &View<'_>,
    findings: &mut Vec<Finding>,
) -> Option<Verify> {
    let mut all = Vec::new();
    for (index, reference) in refs.iter().enumerate() {
        match authority(&policy.meta.namespace, reference, view) {
            Ok(certificates) => all.extend(certificates.iter().cloned()),
            Err((reason, message)) => {
                let field = format!("spec.validation.caCertificateRefs[{index}]");
                findings.push(Finding::refused(field, reason, message));
            }
        }
    }
    if all.is_empty() {
        findings.push(Finding::refused(
            "spec.validation.caCertificateRefs",
            reason::NO_VALID_CA_CERTIFICATE,
            "no authority can be read, so the backend is closed",
        ));
        return None;
    }
    Some(Verify::Authorities(all.into()))
}

fn authority(
    namespace: &str,
    reference: &LocalRef,
    view: &View<'_>,
) -> Result<Arc<[CertificateDer<'static>]>, (&'static str, String)> {
    if (&*reference.group, &*reference.kind) != ("", "ConfigMap") {
        let kind = reason::kind(&reference.kind, &reference.group);
        let message = format!("authorities of kind {kind} are not carried; ConfigMap is");
        return Err((reason::INVALID_KIND, message));
    }
    let invalid = |message: String| (reason::INVALID_CA_CERTIFICATE_REF, message);
    let map = view
        .get::<ConfigMap>(namespace, &reference.name)
        .ok_or_else(|| invalid(format!("there is no ConfigMap {namespace}/{}", reference.name)))?;
    secret::authorities_of_config_map(map)
        .map_err(|problem| invalid(format!("ConfigMap {namespace}/{} {problem}", reference.name)))
}

fn names(asked: &[PolicySubjectAltName], findings: &mut Vec<Finding>) -> Vec<SubjectAltName> {
    let field = "spec.validation.subjectAltNames";
    if asked.len() > 5 {
        refuse(findings, field, "at most 5 names are allowed");
    }
    let mut names = Vec::new();
    for (index, entry) in asked.iter().enumerate() {
        match name(entry) {
            Ok(name) => names.push(name),
            Err(problem) => refuse(findings, format!("{field}[{index}]"), &problem),
        }
    }
    names
}

fn name(asked: &PolicySubjectAltName) -> Result<SubjectAltName, String> {
    match (asked.kind, &asked.hostname, &asked.uri) {
        (SubjectAltNameType::Hostname, Some(text), None) => match hostname::parse(text) {
            Ok(_) => Ok(SubjectAltName::Dns(text.clone())),
            Err(problem) => Err(format!("{text:?} {problem}")),
        },
        (SubjectAltNameType::Uri, None, Some(text)) if text.contains("://") => Ok(SubjectAltName::Uri(text.clone())),
        (SubjectAltNameType::Uri, None, Some(text)) => Err(format!("{text:?} is not an absolute URI")),
        _ => Err("the field that type names, and no other, must be there".to_owned()),
    }
}

fn check_targets(policy: &Item<BackendTlsPolicy>, view: &View<'_>, findings: &mut Vec<Finding>) {
    let targets = &policy.body.spec.target_refs;
    if targets.is_empty() || targets.len() > 16 {
        refuse(findings, "spec.targetRefs", "there must be 1 to 16 targets");
    }
    let mut seen = BTreeSet::new();
    for (index, target) in targets.iter().enumerate() {
        let field = format!("spec.targetRefs[{index}]");
        let key = (target.group.clone(), target.kind.clone(), target.name.clone(), section_of(target));
        if !seen.insert(key) {
            refuse(findings, field, "an earlier target is the same");
        } else if let Err((part, reason, message)) = check_target(policy, target, view) {
            findings.push(Finding::refused(format!("{field}{part}"), reason, message));
        }
    }
}

fn check_target(
    policy: &Item<BackendTlsPolicy>,
    target: &PolicyTargetRef,
    view: &View<'_>,
) -> Result<(), (&'static str, &'static str, String)> {
    let namespace = &policy.meta.namespace;
    if (&*target.group, &*target.kind) != ("", "Service") {
        let message =
            format!("targets of kind {} are not carried; Service is", reason::kind(&target.kind, &target.group));
        return Err((".kind", reason::INVALID_KIND, message));
    }
    let Some(service) = view.get::<Service>(namespace, &target.name) else {
        return Err(("", reason::TARGET_NOT_FOUND, format!("there is no Service {namespace}/{}", target.name)));
    };
    if let Some(section) = section_of(target)
        && service.body.spec.ports.iter().all(|port| *port.name != *section)
    {
        let message = format!("Service {namespace}/{} has no port named {section}", target.name);
        return Err((".sectionName", reason::TARGET_NOT_FOUND, message));
    }
    let older = view.all::<BackendTlsPolicy>(Some(namespace)).find(|other| {
        age(other) < age(policy)
            && other
                .body
                .spec
                .target_refs
                .iter()
                .any(|theirs| aims_at(theirs, &target.name) && section_of(theirs) == section_of(target))
    });
    match older {
        Some(other) => {
            Err(("", reason::CONFLICTED, format!("policy {} is older and has this target too", other.meta.name)))
        }
        None => Ok(()),
    }
}

fn aims_at(target: &PolicyTargetRef, service: &str) -> bool {
    (&*target.group, &*target.kind, &*target.name) == ("", "Service", service)
}

fn section_of(target: &PolicyTargetRef) -> Option<&str> {
    target.section_name.as_deref().filter(|name| !name.is_empty())
}

/// The lesser wins: the older, then the name.
fn age(policy: &Item<BackendTlsPolicy>) -> (bool, Option<Timestamp>, &str) {
    (policy.meta.creation_timestamp.is_none(), policy.meta.creation_timestamp, &policy.meta.name)
}
