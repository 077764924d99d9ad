//! Traefik's `MiddlewareTCP` → a middleware slot that connections go through before their bytes do.

use std::sync::Arc;

use super::{Result, Site, concluded, several_types, source};
use crate::{
    kubernetes::{
        convert::Settings,
        object::{Item, traefik},
        view::View,
    },
    model::middleware::{MiddlewareSlot, Spec, tcp::Tcp},
    report::Finding,
};

/// The slot of `item`, and what is to be said of it.
pub fn convert(
    item: &Item<traefik::MiddlewareTcp>,
    view: &View<'_>,
    settings: &Settings,
) -> (MiddlewareSlot, Vec<Finding>) {
    let mut site = Site { meta: &item.meta, view, settings, kind: "", findings: Vec::new() };
    let made = spec(&mut site, &item.body.spec);
    concluded(site, "MiddlewareTCP", made.map(Spec::Tcp))
}

/// Why `item` cannot be honoured, for those whose routes it closes; `None` when it can.
pub fn refusal(item: &Item<traefik::MiddlewareTcp>, view: &View<'_>, settings: &Settings) -> Option<Arc<str>> {
    match convert(item, view, settings).0 {
        MiddlewareSlot::Ready(_) => None,
        MiddlewareSlot::Refused { reason } => Some(reason),
    }
}

/// The one type that the object states.
fn spec(site: &mut Site<'_, '_>, spec: &traefik::MiddlewareTcpSpec) -> Result<Tcp> {
    let all = [
        ("ipAllowList", spec.ip_allow_list.is_some()),
        ("ipWhiteList", spec.ip_white_list.is_some()),
        ("inFlightConn", spec.in_flight_conn.is_some()),
    ];
    let stated: Vec<_> = all.into_iter().filter(|(_, stated)| *stated).map(|(kind, _)| kind).collect();
    let [kind] = *stated.as_slice() else { return Err(several_types(&stated)) };
    site.kind = kind;
    if let Some(options) = &spec.in_flight_conn {
        return in_flight_conn(site, options);
    }
    match spec.ip_allow_list.as_ref().or(spec.ip_white_list.as_ref()) {
        Some(options) => allow_list(site, options),
        None => Err(several_types(&[])),
    }
}

fn allow_list(site: &mut Site<'_, '_>, options: &traefik::TcpIpAllowList) -> Result<Tcp> {
    source::warn_of_old_name(site);
    source::required_ranges(site, &options.source_range).map(Tcp::IpAllowList)
}

fn in_flight_conn(site: &mut Site<'_, '_>, options: &traefik::InFlightConn) -> Result<Tcp> {
    let amount = u64::try_from(options.amount.unwrap_or(0))
        .map_err(|_| site.refuse("amount", "InvalidValue", "must not be negative"))?;
    if amount == 0 {
        site.warn("amount", "NothingPasses", "is 0 or not set: every connection is closed");
    }
    Ok(Tcp::InFlightConn { amount })
}
