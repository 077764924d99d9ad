//! `HTTPRoute`, `GRPCRoute` and `TLSRoute`: one entry for each parent that is ours.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{
    Context, Desired, Entry,
    condition::{ACCEPTED, Condition, RESOLVED_REFS, entry_of, is_in, refused, said, said_except, shortened},
    controller_of_named,
    merge::{List, Shape},
};
use crate::{
    kubernetes::{
        convert::reason,
        object::{
            Item, Kind, Meta, Resource,
            gateway::{ParentRef, RouteSpec},
        },
    },
    report::{Finding, Severity, Verdict},
};

pub(super) const SHAPE: Shape = Shape {
    fields: &[],
    conditions: &[],
    list: Some(List {
        name: "parents",
        identity: &["parentRef", "controllerName"],
        shared: true,
        most: 32,
        fields: &[],
        conditions: &[ACCEPTED, RESOLVED_REFS, PARTIALLY_INVALID],
    }),
};

const PARTIALLY_INVALID: &str = "PartiallyInvalid";

/// Reasons for which a reference of a rule leads nowhere.
const REFS: [&str; 5] = [
    reason::REF_NOT_PERMITTED,
    reason::INVALID_KIND,
    reason::BACKEND_NOT_FOUND,
    reason::UNSUPPORTED_PROTOCOL,
    reason::FILTER_NOT_FOUND,
];

/// `default_rules`: how many rules stand for a list that was left out.
pub(super) fn desired<T: Resource, R>(
    route: &Item<T>,
    spec: &RouteSpec<R>,
    default_rules: usize,
    verdict: &Verdict,
    context: &Context<'_>,
) -> Desired {
    let rules = spec.rules.as_ref().map_or(default_rules, Vec::len);
    let mut desired = Desired::of::<T>(&route.meta, context);
    for (index, parent) in spec.parent_refs.iter().enumerate() {
        let Some(identity) = identity(parent, &route.meta, context) else { continue };
        // The API server lets no reference be there twice; if it did, the second would say the same.
        if desired.entries.iter().all(|entry| entry.identity != identity) {
            let conditions = conditions(verdict, index, rules);
            desired.entries.push(Entry { identity, fields: Vec::new(), conditions });
        }
    }
    desired
}

/// The parent as written, with what the API server fills in, and the controller that speaks for it; none where that is not
/// ours, or the parent is not there: then there is nobody to speak.
fn identity(parent: &ParentRef, route: &Meta, context: &Context<'_>) -> Option<Vec<(&'static str, Value)>> {
    let group = parent.group.as_deref().unwrap_or(Kind::Gateway.group());
    let kind = parent.kind.as_deref().unwrap_or(Kind::Gateway.as_str());
    if (group, kind) != (Kind::Gateway.group(), Kind::Gateway.as_str()) {
        return None;
    }
    let controller = controller_of_named(parent.namespace.as_ref().unwrap_or(&route.namespace), &parent.name, context)?;
    let fields = [
        ("group", Some(json!(group))),
        ("kind", Some(json!(kind))),
        ("namespace", parent.namespace.as_ref().map(|namespace| json!(namespace))),
        ("name", Some(json!(parent.name))),
        ("sectionName", parent.section_name.as_ref().map(|section| json!(section))),
        ("port", parent.port.map(|port| json!(port.get()))),
    ];
    let reference: Map<_, _> = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
    Some(vec![("parentRef", reference.into()), ("controllerName", json!(controller))])
}

fn conditions(verdict: &Verdict, parent: usize, rules: usize) -> Vec<Condition> {
    let refused = refused(&verdict.findings);
    let closed = Closed::of(&refused, rules);
    let field = format!("spec.parentRefs[{parent}]");
    let of_parent: Vec<_> = refused.iter().copied().filter(|finding| is_in(finding, &field)).collect();
    let unresolved: Vec<_> =
        refused.iter().copied().filter(|f| is_in(f, "spec.rules") && REFS.contains(&f.reason)).collect();
    let resolved = Condition::resolved_refs("route", &unresolved);
    if let Some(refused) = Condition::refused(ACCEPTED, &of_parent) {
        return vec![refused, resolved];
    }
    if closed.is_whole() {
        return vec![Condition::no(ACCEPTED, closed.reason(), said(&closed.findings)), resolved];
    }
    let accepted = Condition::yes(ACCEPTED, ACCEPTED, said_except("The route is served", &beside(verdict, &field)));
    [accepted, resolved].into_iter().chain(closed.partially()).collect()
}

/// What is refused, ignored or warned of beside the rules, for this parent.
fn beside<'a>(verdict: &'a Verdict, field: &str) -> Vec<&'a Finding> {
    let told = |finding: &&Finding| {
        finding.severity <= Severity::Ignored && !is_in(finding, "spec.parentRefs") && !is_in(finding, "spec.rules")
            || finding.severity <= Severity::Warning && is_in(finding, field)
    };
    verdict.findings.iter().filter(told).collect()
}

/// What of a route's rules answers with an error because of what is written in it.
struct Closed<'a> {
    findings: Vec<&'a Finding>,
    /// Whether every rule is closed by one thing.
    all: bool,
    /// Rules that are closed.
    rules: BTreeSet<usize>,
    /// Rules of which a backend is closed.
    partly: BTreeSet<usize>,
    /// How many rules there are.
    count: usize,
}

impl<'a> Closed<'a> {
    /// A finding at a rule closes it, one at a backend closes that alone, and one at the list closes all. References that
    /// lead nowhere may yet come to lead somewhere: they are no fault of the rule.
    fn of(refused: &[&'a Finding], count: usize) -> Self {
        let mut closed =
            Self { findings: Vec::new(), all: false, rules: BTreeSet::new(), partly: BTreeSet::new(), count };
        for finding in refused.iter().copied().filter(|finding| is_in(finding, "spec.rules")) {
            let entry = entry_of(&finding.field, "spec.rules");
            let in_backend = entry.is_some_and(|(_, rest)| rest.starts_with(".backendRefs["));
            let is_ref = REFS.contains(&finding.reason) && (finding.reason != reason::INVALID_KIND || in_backend);
            if is_ref {
                continue;
            }
            match entry {
                // Limits of the route as a whole, told where they are passed.
                None | Some((_, ".name" | ".matches")) => closed.all = true,
                Some((rule, _)) if in_backend => drop(closed.partly.insert(rule)),
                Some((rule, _)) => drop(closed.rules.insert(rule)),
            }
            closed.findings.push(finding);
        }
        closed
    }

    fn is_whole(&self) -> bool {
        self.all || (self.count > 0 && self.rules.len() >= self.count)
    }

    fn reason(&self) -> &'static str {
        let is_incompatible = |finding: &&Finding| finding.reason == reason::INCOMPATIBLE_FILTERS;
        let all = !self.findings.is_empty() && self.findings.iter().all(is_incompatible);
        if all { reason::INCOMPATIBLE_FILTERS } else { reason::UNSUPPORTED_VALUE }
    }

    /// There only when it holds, and with the words that the API wants first.
    fn partially(&self) -> Option<Condition> {
        let part = |rule: &usize| format!("{rule} (in part)");
        let names = self.rules.iter().map(usize::to_string);
        let names: Vec<_> = names.chain(self.partly.difference(&self.rules).map(part)).collect();
        let message = format!("Dropped Rule {}: {}", names.join(", "), said(&self.findings));
        (!names.is_empty()).then(|| Condition::yes(PARTIALLY_INVALID, self.reason(), shortened(message)))
    }
}
