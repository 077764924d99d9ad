//! Services of Postern's own by the names of Traefik's: what a route may lead to, and whether it says too much to anybody.

use super::Site;
use crate::{
    kubernetes::object::{
        traefik::Middleware,
        traefik_route::{Route, ServiceRef},
    },
    model::{
        id::MiddlewareId,
        internal::Internal,
        route::{Backend, Target},
    },
    report::Finding,
};

const SUFFIX: &str = "@internal";
/// Chains in chains deeper than this are not followed: that a route is taken for open costs a warning.
const DEPTH: u32 = 8;

/// The service of Postern's own that `service` names, if it names one.
pub(super) fn read(service: &ServiceRef, field: &str) -> Option<Result<Internal, Finding>> {
    let name = &*service.name;
    name.ends_with(SUFFIX).then(|| {
        let internal = Internal::find(name).ok_or_else(|| {
            let message = format!("there is no {name}");
            Finding::refused(format!("{field}.name"), "UnknownInternalService", message)
                .remedy("name api@internal, dashboard@internal, ping@internal or prometheus@internal")
        })?;
        match &*service.kind {
            "TraefikService" => Ok(internal),
            _ => {
                let message = format!("{name} is no Service of the cluster");
                Err(Finding::refused(format!("{field}.kind"), "UnsupportedBackend", message)
                    .remedy("write kind: TraefikService"))
            }
        }
    })
}

/// Says so where anybody who reaches the entry points may look inside, as Traefik would let them.
pub(super) fn warn(site: &mut Site<'_, '_>, route: &Route, field: &str, backends: &[Backend], steps: &[MiddlewareId]) {
    let telling = backends.iter().find_map(|backend| match backend.target {
        Target::Internal(internal) if internal.is_telling() => Some(internal),
        _ => None,
    });
    let Some(internal) = telling else { return };
    let guarded = steps.iter().filter_map(|id| id.as_str().split_once('/'));
    if guards(&route.rule) || guarded.into_iter().any(|(namespace, name)| is_guard(site, namespace, name, DEPTH)) {
        return;
    }
    let message = format!("{internal} answers whoever reaches the entry points: nothing before it asks who that is");
    site.say(
        Finding::warning(format!("{field}.services"), "InternalServiceOpen", message)
            .remedy("put an ipAllowList or an authentication before it, or use admin.vip"),
    );
}

/// A rule may judge addresses itself.
fn guards(rule: &str) -> bool {
    rule.to_ascii_lowercase().contains("clientip(")
}

fn is_guard(site: &Site<'_, '_>, namespace: &str, name: &str, depth: u32) -> bool {
    let Some(item) = site.view.get::<Middleware>(namespace, name) else { return false };
    let spec = &item.body.spec;
    let judges = spec.ip_allow_list.is_some()
        || spec.ip_white_list.is_some()
        || spec.basic_auth.is_some()
        || spec.digest_auth.is_some()
        || spec.forward_auth.is_some();
    let members = spec.chain.iter().flat_map(|chain| &chain.middlewares);
    judges
        || depth > 0
            && members.into_iter().any(|member| {
                let of = member.namespace.as_deref().filter(|namespace| !namespace.is_empty()).unwrap_or(namespace);
                is_guard(site, of, &member.name, depth - 1)
            })
}
