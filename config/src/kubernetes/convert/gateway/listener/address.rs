//! `spec.addresses` of a Gateway → the local ends of its sockets.

use std::{collections::BTreeSet, net::IpAddr};

use crate::{
    kubernetes::{
        convert::gateway::reason,
        object::gateway::{Gateway, GatewayAddress},
    },
    report::Finding,
};

/// The local addresses; none when one of them cannot be had, since the Gateway is refused as a whole then.
pub(super) fn all(gateway: &Gateway, findings: &mut Vec<Finding>) -> Vec<Option<IpAddr>> {
    if gateway.spec.addresses.is_empty() {
        return vec![None];
    }
    let mut read = BTreeSet::new();
    let mut refused = false;
    for (index, address) in gateway.spec.addresses.iter().enumerate() {
        match one(address) {
            Ok(address) => drop(read.insert(address)),
            Err((part, problem)) => {
                refused = true;
                findings.push(
                    Finding::refused(format!("spec.addresses[{index}]{part}"), reason::UNSUPPORTED_ADDRESS, problem)
                        .remedy("use type IPAddress with an address of this host, or no address"),
                );
            }
        }
    }
    if refused { Vec::new() } else { read.into_iter().collect() }
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
