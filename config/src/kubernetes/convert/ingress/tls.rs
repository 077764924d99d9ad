//! `spec.tls` of an Ingress: which certificate answers for which host.
//!
//! A host whose certificate cannot be used is not claimed, so that a wider certificate of somebody else may answer.

use std::sync::Arc;

use super::router::Router;
use crate::{
    kubernetes::{
        convert::{Contribution, SniClaim, SniRank, secret, slot},
        object::{
            Item,
            networking::{Ingress, IngressTls},
        },
        view::View,
    },
    model::{
        host::{HostPattern, WildcardDepth},
        id::CertificateId,
    },
    report::Finding,
    snapshot::{SniAction, Transport},
};

/// Claims for the hosts named, and for the certificates' own names.
pub(super) fn certificates(
    item: &Item<Ingress>,
    view: &View<'_>,
    router: &Router<'_>,
    contribution: &mut Contribution,
) {
    for (index, tls) in item.body.spec.tls.iter().enumerate() {
        let Some(name) = tls.secret_name.as_deref().filter(|name| !name.is_empty()) else { continue };
        let id = slot::certificate(&item.meta.namespace, name);
        contribution.certificates.push(id.clone());
        contribution.own_names.push(id.clone());
        match view.certificate_names(&item.meta.namespace, name) {
            Some(Ok(names)) => claim(item, index, tls, (&id, names), router, contribution),
            Some(Err(problem)) => {
                let message = format!("Secret {id}: {problem}; its hosts get the next best certificate");
                let field = format!("spec.tls[{index}].secretName");
                contribution.findings.push(Finding::refused(field, problem.reason(), message));
            }
            None => {
                let message = format!("Secret {id} does not exist; its hosts get the next best certificate");
                let field = format!("spec.tls[{index}].secretName");
                contribution.findings.push(Finding::refused(field, "SecretNotFound", message).remedy("add the Secret"));
            }
        }
    }
}

fn claim(
    item: &Item<Ingress>,
    index: usize,
    tls: &IngressTls,
    (id, names): (&CertificateId, &[HostPattern]),
    router: &Router<'_>,
    contribution: &mut Contribution,
) {
    let candidates: Arc<[CertificateId]> = [id.clone()].into();
    for (at, text) in tls.hosts.iter().enumerate() {
        let field = format!("spec.tls[{index}].hosts[{at}]");
        let pattern = match HostPattern::parse(text, WildcardDepth::One) {
            Ok(pattern) => pattern,
            Err(error) => {
                contribution.findings.push(Finding::refused(field, "InvalidHost", format!("{text:?} {error}")));
                continue;
            }
        };
        let field: Arc<str> = field.into();
        if !names.iter().any(|name| name.contains(&pattern)) {
            let message = format!("the certificate in Secret {id} is not for {pattern}: clients will refuse it");
            contribution.findings.push(Finding::warning(&*field, "CertificateHostMismatch", message));
        }
        let entry_points = router.entry_points.iter().filter(|entry| entry.transport == Transport::Tls);
        contribution.sni.extend(entry_points.map(|entry| SniClaim {
            socket: entry.socket,
            pattern: pattern.clone(),
            asked: pattern.clone(),
            rank: SniRank::Named,
            owner: secret::owner(id),
            created: item.meta.creation_timestamp,
            action: SniAction::Terminate(candidates.clone()),
            certificate: None,
            field: field.clone(),
        }));
    }
}
