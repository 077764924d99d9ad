//! `spec.addresses` of a Gateway → the local ends of its sockets.

use std::{collections::BTreeSet, net::IpAddr};

use crate::{
    kubernetes::{
        convert::{
            Settings,
            exposure::{self, Asked},
            gateway::reason,
        },
        object::{
            Item,
            gateway::{Gateway, GatewayAddress},
        },
        view::View,
    },
    report::Finding,
};

/// The local addresses.
#[derive(Debug)]
pub(super) struct Local {
    /// Each that it is served at now, as the node has it; `None` is every one. Those of its own only once they are on record, and then
    /// nowhere else.
    pub(super) addresses: Vec<Option<IpAddr>>,
    /// Whether one that is written cannot be had: the Gateway is refused as a whole then.
    pub(super) refused: bool,
}

/// Where a Gateway is served.
pub(super) fn local(
    gateway: &Item<Gateway>,
    view: &View<'_>,
    settings: &Settings,
    findings: &mut Vec<Finding>,
) -> Local {
    let Some(written) = written(&gateway.body, findings) else {
        return Local { addresses: Vec::new(), refused: true };
    };
    let addresses: Vec<_> = match exposure::asked(gateway, view, settings) {
        Asked::Nothing if written.is_empty() => vec![None],
        Asked::Nothing => written.into_iter().collect(),
        Asked::Own(own) => own.served_at(gateway, view, settings).into_iter().map(Some).collect(),
        Asked::Unreadable(_) => Vec::new(),
    };
    let map = &settings.addresses.map;
    let bound: BTreeSet<_> = addresses.into_iter().map(|address| address.map(|address| map.private(address))).collect();
    Local { addresses: bound.into_iter().collect(), refused: false }
}

/// `spec.addresses`; `None` where one of them cannot be had.
fn written(gateway: &Gateway, findings: &mut Vec<Finding>) -> Option<BTreeSet<Option<IpAddr>>> {
    let mut read = BTreeSet::new();
    let mut refused = false;
    for (index, address) in gateway.spec.addresses.iter().enumerate() {
        match one(address) {
            Ok(address) => drop(read.insert(address)),
            Err((part, problem)) => {
                refused = true;
                findings.push(
                    Finding::refused(format!("spec.addresses[{index}]{part}"), reason::UNSUPPORTED_ADDRESS, problem)
                        .remedy("use type IPAddress with an address of this host or of a pool, or no address"),
                );
            }
        }
    }
    (!refused).then_some(read)
}

fn one(address: &GatewayAddress) -> Result<Option<IpAddr>, (&'static str, String)> {
    let kind = address.kind.as_deref().unwrap_or("IPAddress");
    if kind != "IPAddress" {
        return Err((".type", format!("addresses of type {kind} are not carried")));
    }
    if address.routability.is_some() {
        return Err((".routability", "routability is not carried".to_owned()));
    }
    match address.value.as_deref().unwrap_or_default() {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| (".value", format!("{text:?} is not an IP address"))),
    }
}
