//! `tls` of a route: which certificate answers for its hosts, and what of it is not carried.

use std::{collections::BTreeSet, sync::Arc};

use super::Site;
use crate::{
    kubernetes::{
        convert::{EntryPoint, SniClaim, SniRank, secret, slot},
        object::traefik_route::RouteTls,
    },
    model::{host::HostPattern, id::CertificateId},
    report::Finding,
    snapshot::{SniAction, Transport},
};

/// Why every rule of the route answers 503; otherwise what is missing is told and nothing is worse protected for it.
pub(super) fn closed(site: &mut Site<'_, '_>, tls: &RouteTls) -> Option<Arc<str>> {
    for (option, stated, message) in [
        ("certResolver", tls.cert_resolver.is_some(), "is not carried yet: nobody orders a certificate for it"),
        ("domains", !tls.domains.is_empty(), "is not carried yet: nobody orders a certificate for them"),
        (
            "store",
            tls.store.as_ref().is_some_and(|store| !["", "default"].contains(&&*store.name)),
            "is ignored: there is one store for all, as in Traefik",
        ),
    ] {
        if stated {
            site.say(Finding::ignored(format!("spec.tls.{option}"), "NotCarried", message));
        }
    }
    let options = tls.options.as_ref().filter(|options| !options.name.is_empty())?;
    // The place where TLS options are to be followed.
    let message =
        format!("TLSOption {} is not carried yet, and it decides how clients are verified; closed", options.name);
    site.say(Finding::refused("spec.tls.options", "NotCarried", message).remedy("remove it to serve without it"));
    Some(format!("TLSOption {} is not carried yet", options.name).into())
}

/// Claims the `hosts` that the certificate is for; its own names it answers for in any case.
pub(super) fn certificate(
    site: &mut Site<'_, '_>,
    tls: &RouteTls,
    hosts: &BTreeSet<HostPattern>,
    entry_points: &[&EntryPoint],
) {
    let Some(name) = tls.secret_name.as_deref().filter(|name| !name.is_empty()) else { return };
    if let Some(names) = secret(site, name) {
        claim(site, &slot::certificate(site.namespace(), name), names, hosts, entry_points);
    }
}

/// Refers to Secret `name` of the route's namespace; the names of its certificate, if it can be used.
pub(super) fn secret<'v>(site: &mut Site<'_, 'v>, name: &str) -> Option<&'v [HostPattern]> {
    let id = slot::certificate(site.namespace(), name);
    site.contribution.certificates.push(id.clone());
    site.contribution.own_names.push(id.clone());
    let (reason, what) = match site.view.certificate_names(site.namespace(), name) {
        Some(Ok(names)) => return Some(names),
        Some(Err(problem)) => (problem.reason(), format!("Secret {id}: {problem}")),
        None => ("SecretNotFound", format!("Secret {id} does not exist")),
    };
    let message = format!("{what}; its hosts get the next best certificate");
    site.say(Finding::refused("spec.tls.secretName", reason, message).remedy("add the Secret, or mend it"));
    None
}

fn claim(
    site: &mut Site<'_, '_>,
    id: &CertificateId,
    names: &[HostPattern],
    hosts: &BTreeSet<HostPattern>,
    entry_points: &[&EntryPoint],
) {
    let candidates: Arc<[CertificateId]> = [id.clone()].into();
    let field: Arc<str> = "spec.tls.secretName".into();
    for host in hosts {
        if !names.iter().any(|name| name.contains(host)) {
            let message = format!("the certificate in Secret {id} is not for {host}, which gets the next best one");
            site.say(Finding::warning(&*field, "CertificateHostMismatch", message));
            continue;
        }
        let terminating = entry_points.iter().filter(|entry| entry.transport == Transport::Tls);
        site.contribution.sni.extend(terminating.map(|entry| SniClaim {
            socket: entry.socket,
            pattern: host.clone(),
            asked: host.clone(),
            rank: SniRank::Named,
            owner: secret::owner(id),
            created: site.meta.creation_timestamp,
            action: SniAction::Terminate(candidates.clone()),
            certificate: None,
            field: field.clone(),
        }));
    }
}
