//! `TLSRoute`: connections by SNI, passed through or ended here.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    attach::{Attachment, Guest, attach},
    backend,
    listener::Protocol,
    owner::nowhere,
    reason, rules,
};
use crate::{
    kubernetes::{
        convert::{Contribution, Settings, SniClaim, SniRank, object_id},
        object::{
            Item, Kind,
            gateway::{TlsRoute, TlsRule},
        },
        view::View,
    },
    model::route::Forward,
    report::Finding,
    snapshot::{OwnerId, SniAction},
};

/// What a TLSRoute contributes.
pub(super) fn convert(route: &Item<TlsRoute>, view: &View<'_>, settings: &Settings) -> Contribution {
    let spec = &route.body.spec;
    let guest = Guest::of(route, spec, 1024);
    let (mut contribution, places) = attach(&guest, view, settings).into_parts();
    let Some(places) = places else { return contribution };
    // A route is read even where it attaches to nothing, so that what is wrong with it is told.
    let mut passthrough = None;
    let mut terminate = None;
    for place in &places {
        let ended = place.protocol == Protocol::TlsTerminate;
        let forward = if ended { &mut terminate } else { &mut passthrough };
        let forward =
            forward.get_or_insert_with(|| Arc::new(forward_of(route, ended, view, &mut contribution))).clone();
        contribution.certificates.extend(place.certificates.iter().cloned());
        contribution.sni.push(claim(route, place, forward));
    }
    if places.is_empty() {
        let mut unused = Contribution::default();
        forward_of(route, false, view, &mut unused);
        contribution.findings.extend(unused.findings);
    }
    contribution.findings = unique(std::mem::take(&mut contribution.findings));
    contribution.certificates.sort();
    contribution.certificates.dedup();
    contribution
}

fn claim(route: &Item<TlsRoute>, place: &Attachment, forward: Arc<Forward>) -> SniClaim {
    let forward = if place.closed.is_some() { Arc::new(nowhere()) } else { forward };
    SniClaim {
        socket: place.socket,
        pattern: place.host.clone(),
        asked: place.route_host.clone(),
        rank: SniRank::Named,
        owner: OwnerId { object: object_id(route), section: Arc::default() },
        created: route.meta.creation_timestamp,
        action: match place.protocol {
            Protocol::TlsTerminate => SniAction::TerminateTcp(place.certificates.clone(), forward),
            _ => SniAction::Passthrough(forward),
        },
        certificate: None,
        field: match place.hostname {
            Some(index) => format!("spec.hostnames[{index}]").into(),
            None => "spec.hostnames".into(),
        },
    }
}

/// Where the bytes go. Bytes that are TLS already must not be wrapped in another TLS, so clusters are set apart by
/// where TLS ends.
fn forward_of(route: &Item<TlsRoute>, ended: bool, view: &View<'_>, contribution: &mut Contribution) -> Forward {
    let rules = route.body.spec.rules.as_deref().unwrap_or_default();
    let [rule] = rules else {
        contribution.findings.push(Finding::refused(
            "spec.rules",
            reason::UNSUPPORTED_VALUE,
            format!("a TLSRoute has exactly one rule, not {}; its connections are closed", rules.len()),
        ));
        return nowhere();
    };
    if let Err(finding) = check(rule) {
        contribution.findings.push(finding);
        return nowhere();
    }
    let protocol = if ended { "tcp" } else { "tls" };
    let reader = backend::Rule {
        kind: Kind::TlsRoute,
        meta: &route.meta,
        field: "spec.rules[0]".to_owned(),
        variant: BTreeMap::from([("protocol", protocol.to_owned())]),
        one_prefix: false,
    };
    let backends = reader.backends(&rule.backend_refs, view, &mut contribution.clusters, &mut contribution.findings);
    Forward { backends, ..nowhere() }
}

fn check(rule: &TlsRule) -> Result<(), Finding> {
    if rule.backend_refs.is_empty() {
        let message = "the rule has no backend, so its connections are closed";
        return Err(Finding::refused("spec.rules[0].backendRefs", reason::NO_BACKENDS, message));
    }
    rules::check_backends(rule.backend_refs.len(), "spec.rules[0]")
}

/// The same rule is read for each place where TLS may end; what is wrong with it is told once.
fn unique(findings: Vec<Finding>) -> Vec<Finding> {
    let mut kept: Vec<Finding> = Vec::new();
    for finding in findings {
        if !kept.contains(&finding) {
            kept.push(finding);
        }
    }
    kept
}
