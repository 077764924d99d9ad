//! `TLSRoute`: connections by SNI, passed through or ended here.

use std::sync::Arc;

use super::{
    attach::{Attachment, Guest, attach},
    backend,
    listener::Protocol,
    owner::nowhere,
    reason,
    rules::{self, Variant},
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
    model::route::{Forward, Tunnel},
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
    let mut tunnels: Vec<(Variant, Arc<Tunnel>)> = Vec::new();
    for place in &places {
        let variant = variant(place);
        let made = tunnels.iter().find(|(made, _)| *made == variant).map(|(_, tunnel)| tunnel.clone());
        let tunnel = made.unwrap_or_else(|| {
            let tunnel = Arc::new(forward_of(route, variant.clone(), view, &mut contribution).into());
            tunnels.push((variant, Arc::clone(&tunnel)));
            tunnel
        });
        contribution.certificates.extend(place.certificates.iter().cloned());
        contribution.sni.push(claim(route, place, tunnel));
    }
    if places.is_empty() {
        let mut unused = Contribution::default();
        forward_of(route, Variant::new(), view, &mut unused);
        contribution.findings.extend(unused.findings);
    }
    contribution.findings = rules::unique(std::mem::take(&mut contribution.findings));
    contribution.certificates.sort();
    contribution.certificates.dedup();
    contribution
}

fn claim(route: &Item<TlsRoute>, place: &Attachment, tunnel: Arc<Tunnel>) -> SniClaim {
    SniClaim {
        socket: place.socket,
        pattern: place.host.clone(),
        asked: place.route_host.clone(),
        rank: SniRank::Named,
        owner: OwnerId { object: object_id(route), section: Arc::default() },
        created: route.meta.creation_timestamp,
        action: match place.protocol {
            Protocol::TlsTerminate => SniAction::TerminateTcp(place.certificates.clone(), tunnel),
            _ => SniAction::Passthrough(tunnel),
        },
        certificate: None,
        field: match place.hostname {
            Some(index) => format!("spec.hostnames[{index}]").into(),
            None => "spec.hostnames".into(),
        },
    }
}

/// Bytes that are TLS already must not be wrapped in another TLS, so clusters are set apart by where TLS ends.
fn variant(place: &Attachment) -> Variant {
    if place.protocol != Protocol::TlsTerminate {
        return Variant::from([("protocol", "tls".to_owned())]);
    }
    let mut variant = rules::variant(place.client_certificate.as_ref());
    variant.insert("protocol", "tcp".to_owned());
    variant
}

/// Where the bytes go.
fn forward_of(route: &Item<TlsRoute>, variant: Variant, view: &View<'_>, contribution: &mut Contribution) -> Forward {
    let rule = match the_rule(route) {
        Ok(rule) => rule,
        // As with rules that are all closed: no listener serves any of it.
        Err(finding) => {
            contribution.findings.push(finding);
            contribution.attached.clear();
            return nowhere();
        }
    };
    let reader = backend::Rule {
        kind: Kind::TlsRoute,
        meta: &route.meta,
        field: "spec.rules[0]".to_owned(),
        variant,
        one_prefix: false,
    };
    let backends = reader.backends(&rule.backend_refs, view, &mut contribution.clusters, &mut contribution.findings);
    Forward { backends, ..nowhere() }
}

fn the_rule(route: &Item<TlsRoute>) -> Result<&TlsRule, Finding> {
    let rules = route.body.spec.rules.as_deref().unwrap_or_default();
    let [rule] = rules else {
        let message = format!("a TLSRoute has exactly one rule, not {}; its connections are closed", rules.len());
        return Err(Finding::refused("spec.rules", reason::UNSUPPORTED_VALUE, message));
    };
    if rule.backend_refs.is_empty() {
        let message = "the rule has no backend, so its connections are closed";
        return Err(Finding::refused("spec.rules[0].backendRefs", reason::NO_BACKENDS, message));
    }
    rules::check_backends(rule.backend_refs.len(), "spec.rules[0]").map(|()| rule)
}
