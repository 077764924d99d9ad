//! `BackendTLSPolicy`: one entry for each Gateway that leads to a Service which the policy is for.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{
    Context, Desired, Entry,
    condition::{ACCEPTED, Condition, RESOLVED_REFS, entry_of, is_in, refused, said, said_except},
    controller_of_named,
    merge::{List, Shape},
};
use crate::{
    kubernetes::{
        convert::{gateway_of, reason},
        object::{
            Item, Kind,
            gateway::{BackendTlsPolicy, PolicyTargetRef},
        },
    },
    model::id::ObjectId,
    report::{Finding, Severity, Verdict},
};

pub(super) const SHAPE: Shape = Shape {
    fields: &[],
    conditions: &[],
    list: Some(List {
        name: "ancestors",
        identity: &["ancestorRef", "controllerName"],
        shared: true,
        most: MOST_ANCESTORS,
        fields: &[],
        conditions: &[ACCEPTED, RESOLVED_REFS],
    }),
};

/// The most that the API takes, of all controllers together.
const MOST_ANCESTORS: usize = 16;

/// Reasons of the API for a policy that is not in force, the most telling first.
const REASONS: [&str; 4] =
    [reason::CONFLICTED, reason::NO_VALID_CA_CERTIFICATE, reason::INVALID, reason::TARGET_NOT_FOUND];

pub(super) fn desired(policy: &Item<BackendTlsPolicy>, verdict: &Verdict, context: &Context<'_>) -> Desired {
    let mut desired = Desired::of::<BackendTlsPolicy>(&policy.meta, context);
    for ((namespace, name), targets) in ancestors(policy, context) {
        let Some(controller) = controller_of_named(namespace, name, context) else { continue };
        let identity = vec![("ancestorRef", reference(namespace, name)), ("controllerName", json!(controller))];
        let conditions = vec![accepted(verdict, &targets), resolved_refs(verdict)];
        desired.entries.push(Entry { identity, fields: Vec::new(), conditions });
    }
    desired.entries.truncate(MOST_ANCESTORS);
    desired
}

fn reference(namespace: &str, name: &str) -> Value {
    let (group, kind) = (Kind::Gateway.group(), Kind::Gateway.as_str());
    json!({"group": group, "kind": kind, "namespace": namespace, "name": name})
}

/// Namespace and name of the Gateways that lead to a target, each with the indices of these.
fn ancestors<'a>(
    policy: &Item<BackendTlsPolicy>,
    context: &Context<'a>,
) -> BTreeMap<(&'a str, &'a str), BTreeSet<usize>> {
    let mut ancestors: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for (index, target) in policy.body.spec.target_refs.iter().enumerate().filter(|(_, target)| is_service(target)) {
        let (namespace, name) = (policy.meta.namespace.clone(), target.name.clone());
        let service = ObjectId { kind: Kind::Service.shared(), namespace, name };
        let Some(verdict) = context.report.objects.get(&service) else { continue };
        for gateway in verdict.attached.keys().filter_map(|section| gateway_of(section)) {
            ancestors.entry(gateway).or_default().insert(index);
        }
    }
    ancestors
}

/// Whether a target is of the kind that policies are carried for.
pub(super) fn is_service(target: &PolicyTargetRef) -> bool {
    (&*target.group, &*target.kind) == (Kind::Service.group(), Kind::Service.as_str())
}

/// Whether the policy is in force for all of `targets`.
fn accepted(verdict: &Verdict, targets: &BTreeSet<usize>) -> Condition {
    let is_here = |finding: &&Finding| match entry_of(&finding.field, "spec.targetRefs") {
        Some((index, _)) => targets.contains(&index),
        None => !is_authority(finding),
    };
    let here: Vec<_> = refused(&verdict.findings).into_iter().filter(is_here).collect();
    if here.is_empty() {
        return Condition::yes(ACCEPTED, ACCEPTED, said_except("The policy is in force", &beside(verdict, targets)));
    }
    let reason = REASONS.into_iter().find(|reason| here.iter().any(|finding| finding.reason == *reason));
    Condition::no(ACCEPTED, reason.unwrap_or(reason::INVALID), said(&here))
}

/// What is wrong with other targets, and what has no effect.
fn beside<'a>(verdict: &'a Verdict, targets: &BTreeSet<usize>) -> Vec<&'a Finding> {
    let elsewhere = |finding: &Finding| {
        entry_of(&finding.field, "spec.targetRefs").is_some_and(|(index, _)| !targets.contains(&index))
    };
    let told = |finding: &&Finding| finding.severity == Severity::Ignored || elsewhere(finding);
    verdict.findings.iter().filter(told).collect()
}

fn resolved_refs(verdict: &Verdict) -> Condition {
    let unresolved: Vec<_> = refused(&verdict.findings).into_iter().filter(|finding| is_authority(finding)).collect();
    Condition::resolved_refs("policy", &unresolved)
}

/// Whether a finding is about one authority; the others may still do.
fn is_authority(finding: &Finding) -> bool {
    is_in(finding, "spec.validation.caCertificateRefs")
        && entry_of(&finding.field, "spec.validation.caCertificateRefs").is_some()
}
