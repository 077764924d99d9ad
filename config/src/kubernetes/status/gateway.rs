//! `Gateway`: the Gateway as a whole, and each of its listeners.

use std::collections::BTreeSet;

use serde_json::json;

use super::{
    Context, Desired, Entry,
    announced::{self, ANNOUNCED},
    condition::{ACCEPTED, Condition, RESOLVED_REFS, entry_of, is_in, refused, said, said_except, shortened},
    controller_of, group_kind,
    merge::{List, Shape},
    reached::Reached,
};
use crate::{
    kubernetes::{
        convert::{Facts, facts, reason},
        object::{Item, gateway::Gateway},
        view::{Holders, View},
    },
    report::{Finding, Severity, Verdict},
    snapshot::SocketKey,
};

pub(super) const SHAPE: Shape = Shape {
    fields: &["addresses"],
    conditions: &[ACCEPTED, PROGRAMMED, RESOLVED_REFS, Gateway::ALLOCATED, ANNOUNCED],
    list: Some(List {
        name: "listeners",
        identity: &["name"],
        shared: false,
        most: 64,
        fields: &["supportedKinds", "attachedRoutes"],
        conditions: &[ACCEPTED, PROGRAMMED, RESOLVED_REFS, CONFLICTED, OVERLAPPING],
    }),
};

const PROGRAMMED: &str = "Programmed";
const CONFLICTED: &str = "Conflicted";
const OVERLAPPING: &str = "OverlappingTLSConfig";

/// Reasons that keep a Gateway as a whole from being served.
const WHOLE: [&str; 2] = [reason::INVALID_PARAMETERS, reason::UNSUPPORTED_ADDRESS];
/// Reasons of two listeners that cannot be told apart.
const CONFLICTS: [&str; 2] = [reason::HOSTNAME_CONFLICT, reason::PROTOCOL_CONFLICT];
/// Reasons for which a listener's references lead nowhere.
const REFS: [&str; 5] = [
    reason::INVALID_CERTIFICATE_REF,
    reason::REF_NOT_PERMITTED,
    reason::INVALID_ROUTE_KINDS,
    reason::INVALID_CA_CERTIFICATE_REF,
    "InvalidCACertificateKind",
];
/// Other reasons for which a listener is not served, the most telling first.
const LISTENER: [&str; 3] = [reason::UNSUPPORTED_PROTOCOL, reason::NO_VALID_CA_CERTIFICATE, reason::UNSUPPORTED_VALUE];

pub(super) fn desired(gateway: &Item<Gateway>, verdict: &Verdict, context: &Context<'_>) -> Option<Desired> {
    controller_of(gateway, context)?;
    let judged = Judged::of(gateway, verdict, context);
    let accepted = judged.accepted();
    let addresses = judged.reached.shown(accepted.holds);
    let mut desired = Desired::of::<Gateway>(&gateway.meta, context);
    desired.fields = vec![("addresses", addresses)];
    desired.conditions = vec![judged.programmed(&accepted), judged.resolved_refs()];
    desired.conditions.insert(0, accepted);
    let allocated = judged.reached.allocated();
    let has_own = allocated.is_some();
    desired.conditions.extend(allocated);
    if has_own {
        announced::add(&mut desired, context);
    }
    let mut names = BTreeSet::new();
    let unique = judged.listeners.iter().filter(|listener| names.insert(listener.facts.name.clone()));
    desired.entries = unique.map(|listener| listener.entry(verdict)).collect();
    Some(desired)
}

/// A Gateway and what is known of it.
struct Judged<'a> {
    reached: Reached,
    context: &'a Context<'a>,
    verdict: &'a Verdict,
    /// What keeps it from being served at all.
    whole: Vec<&'a Finding>,
    listeners: Vec<Listener<'a>>,
}

/// A listener with its own findings and conditions.
struct Listener<'a> {
    facts: Facts,
    findings: Vec<&'a Finding>,
    accepted: Condition,
    programmed: Condition,
}

impl<'a> Judged<'a> {
    fn of(gateway: &'a Item<Gateway>, verdict: &'a Verdict, context: &'a Context<'a>) -> Self {
        let refused = refused(&verdict.findings);
        let whole: Vec<_> = refused.iter().copied().filter(|finding| WHOLE.contains(&finding.reason)).collect();
        let holders = Holders::new();
        let view = View::new(context.store, &holders);
        let reached = Reached::of(gateway, verdict, &view, context);
        let listener = |facts: Facts| {
            let is_own = |finding: &&Finding| facts.fields.iter().any(|field| is_in(finding, field));
            let findings: Vec<_> = refused.iter().copied().filter(is_own).collect();
            let accepted = accepted(&facts, &findings, &whole);
            let programmed = programmed(&facts, &findings, &accepted, &reached, context);
            Listener { facts, findings, accepted, programmed }
        };
        let listeners = facts(gateway, &view, context.settings).into_iter().map(listener).collect();
        Self { reached, context, verdict, whole, listeners }
    }

    fn accepted(&self) -> Condition {
        if let Some(refused) = Condition::refused(ACCEPTED, &self.whole) {
            return refused;
        }
        let not_valid: Vec<_> = self.listeners.iter().filter(|listener| !listener.accepted.holds).collect();
        let served = self.listeners.len() - not_valid.len();
        if served == 0 {
            let of_all = self.verdict.findings.iter().filter(|finding| finding.reason == reason::LISTENERS_NOT_VALID);
            let own = not_valid.iter().flat_map(|listener| listener.findings.iter().copied());
            return Condition::no(ACCEPTED, reason::LISTENERS_NOT_VALID, said(&of_all.chain(own).collect::<Vec<_>>()));
        }
        let own: Vec<_> = not_valid.iter().flat_map(|listener| listener.findings.iter().copied()).collect();
        let message = said_except("The Gateway is served", &[own.as_slice(), &self.beside_listeners()].concat());
        let reason = if not_valid.is_empty() { ACCEPTED } else { reason::LISTENERS_NOT_VALID };
        Condition::yes(ACCEPTED, reason, message)
    }

    /// What is not carried, and costs no listener.
    fn beside_listeners(&self) -> Vec<&'a Finding> {
        let is_of_listener = |finding: &Finding| {
            let fields = self.listeners.iter().flat_map(|listener| &listener.facts.fields);
            fields.into_iter().any(|field| is_in(finding, field))
        };
        let told = |finding: &&Finding| finding.severity <= Severity::Ignored && !is_of_listener(finding);
        self.verdict.findings.iter().filter(told).filter(|finding| !is_in(finding, "spec.tls.backend")).collect()
    }

    fn programmed(&self, accepted: &Condition) -> Condition {
        let no = |reason, message: String| Condition::no(PROGRAMMED, reason, shortened(message));
        if !accepted.holds {
            no(reason::INVALID, format!("The Gateway is not accepted: {}", accepted.message))
        } else if let Some((reason, message)) = self.reached.problem() {
            no(reason, message)
        } else if let Some(pending) = self.reached.pending() {
            no(PENDING, pending)
        } else if !self.context.programmed {
            no(PENDING, self.context.nodes.not_on_all())
        } else if let Some(unbound) = self.context.nodes.unbound_of(self.sockets()) {
            no(PENDING, unbound)
        } else if let Some(first) = self.none_programmed() {
            no(reason::INVALID, format!("No listener is served: {}", first.message))
        } else {
            let message = self.context.nodes.except_silent("The Gateway is served");
            Condition::yes(PROGRAMMED, PROGRAMMED, shortened(message))
        }
    }

    /// The sockets of all listeners.
    fn sockets(&self) -> impl Iterator<Item = &SocketKey> {
        self.listeners.iter().flat_map(|listener| &listener.facts.sockets)
    }

    /// What the first listener says, when none is programmed.
    fn none_programmed(&self) -> Option<&Condition> {
        let none = self.listeners.iter().all(|listener| !listener.programmed.holds);
        self.listeners.first().filter(|_| none).map(|listener| &listener.programmed)
    }

    /// References of the Gateway itself, then those of its listeners.
    fn resolved_refs(&self) -> Condition {
        let refused = refused(&self.verdict.findings);
        let own: Vec<_> = refused.into_iter().filter(|finding| is_in(finding, "spec.tls.backend")).collect();
        let of_listeners: Vec<_> = self.listeners.iter().flat_map(Listener::unresolved).collect();
        if own.is_empty() && !of_listeners.is_empty() {
            return Condition::no(RESOLVED_REFS, "ListenersNotResolved", said(&of_listeners));
        }
        Condition::resolved_refs("Gateway", &own)
    }
}

const PENDING: &str = "Pending";

/// Whether a listener is served, as far as its configuration goes.
fn accepted(facts: &Facts, findings: &[&Finding], whole: &[&Finding]) -> Condition {
    let with = |reasons: &[&str]| {
        let find = |reason: &&str| findings.iter().copied().find(|finding| finding.reason == *reason);
        reasons.iter().find_map(find)
    };
    let no = |reason| Condition::no(ACCEPTED, reason, said(findings));
    if let Some(first) = whole.first() {
        return Condition::no(ACCEPTED, first.reason, format!("The Gateway is not accepted: {}", said(whole)));
    }
    if let Some(conflict) = with(&CONFLICTS) {
        return no(conflict.reason);
    }
    if !facts.accepted {
        return no(with(&LISTENER).map_or(reason::UNSUPPORTED_VALUE, |finding| finding.reason));
    }
    if !facts.sockets.is_empty() && lost(findings) >= facts.sockets.len() {
        return no(reason::PORT_UNAVAILABLE);
    }
    let beside: Vec<_> = findings.iter().copied().filter(|finding| !REFS.contains(&finding.reason)).collect();
    Condition::yes(ACCEPTED, ACCEPTED, said_except("The listener is accepted", &beside))
}

/// On how many sockets somebody else is.
fn lost(findings: &[&Finding]) -> usize {
    findings.iter().filter(|finding| finding.reason == reason::PORT_UNAVAILABLE).count()
}

/// Whether a listener serves its hosts.
fn programmed(
    facts: &Facts,
    findings: &[&Finding],
    accepted: &Condition,
    reached: &Reached,
    context: &Context<'_>,
) -> Condition {
    let no = |reason, message: &str| Condition::no(PROGRAMMED, reason, message);
    let invalid = || no(reason::INVALID, &said(findings));
    if !accepted.holds {
        let reason = if CONFLICTS.contains(&accepted.reason) { accepted.reason } else { reason::INVALID };
        no(reason, &accepted.message)
    } else if lost(findings) > 0 || has_no_certificate(facts, findings) {
        invalid()
    } else if let Some(pending) = reached.missing() {
        no(PENDING, &pending)
    } else if !context.programmed {
        no(PENDING, &shortened(context.nodes.not_on_all()))
    } else if let Some(unbound) = context.nodes.unbound_of(&facts.sockets) {
        no(PENDING, &shortened(unbound))
    } else {
        Condition::yes(PROGRAMMED, PROGRAMMED, "The listener is served")
    }
}

/// Whether every certificate of a listener that ends TLS is refused.
fn has_no_certificate(facts: &Facts, findings: &[&Finding]) -> bool {
    let list = facts.fields.first().map(|field| format!("{field}.tls.certificateRefs")).unwrap_or_default();
    let refused: BTreeSet<_> = findings.iter().filter_map(|finding| entry_of(&finding.field, &list)).collect();
    facts.certificates > 0 && refused.len() >= facts.certificates
}

impl<'a> Listener<'a> {
    fn unresolved(&self) -> Vec<&'a Finding> {
        self.findings.iter().copied().filter(|finding| REFS.contains(&finding.reason)).collect()
    }

    fn entry(&self, verdict: &Verdict) -> Entry {
        let Self { facts, accepted, programmed, .. } = self;
        let kinds: Vec<_> = facts.kinds.iter().copied().map(group_kind).collect();
        let attached = verdict.attached.get(&facts.name).copied().unwrap_or_default();
        let resolved = Condition::resolved_refs("listener", &self.unresolved());
        let mut conditions = vec![accepted.clone(), programmed.clone(), resolved, self.conflicted()];
        conditions.extend(self.overlapping());
        Entry {
            identity: vec![("name", json!(facts.name))],
            fields: vec![("supportedKinds", kinds.into()), ("attachedRoutes", json!(attached))],
            conditions,
        }
    }

    fn conflicted(&self) -> Condition {
        let conflicts: Vec<_> =
            self.findings.iter().copied().filter(|finding| CONFLICTS.contains(&finding.reason)).collect();
        match conflicts.first() {
            Some(first) => Condition::yes(CONFLICTED, first.reason, said(&conflicts)),
            None => Condition::no(CONFLICTED, "NoConflicts", "It can be told from every other listener"),
        }
    }

    /// There only when it holds, as the API has it.
    fn overlapping(&self) -> Option<Condition> {
        let others = &self.facts.overlapping;
        let names = others.iter().map(|name| &**name).collect::<Vec<_>>().join(", ");
        let message = format!("Listeners of this port have some of its hosts too: {names}");
        (!others.is_empty()).then(|| Condition::yes(OVERLAPPING, "OverlappingHostnames", shortened(message)))
    }
}
