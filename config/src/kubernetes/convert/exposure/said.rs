//! What came of a claim, in words of the objects that made it.

use std::net::IpAddr;

use super::{Exposed, Fields, Nobody, Reach};
use crate::{
    allocation::{Assignment, Outcome, Purpose, Refusal},
    model::address_map::AddressMap,
    report::Finding,
};

/// What is to be said of a Service or a Gateway that has `outcome`; `of_nodes` are announced by nobody.
pub fn findings(exposed: &Exposed, outcome: &Outcome, of_nodes: &AddressMap) -> Vec<Finding> {
    match &outcome.result {
        // Nobody gives addresses here: whatever it has is somebody else's.
        Err(Refusal::NoPools) if exposed.fields.is_optional => vec![Finding::note(
            "spec.type",
            "NoPools",
            "no IPAddressPool says which addresses there are, so Postern gives it none",
        )],
        Err(refusal) => vec![failed(exposed, refusal)],
        Ok(assignment) => held(exposed, assignment, outcome.lost.as_ref(), of_nodes),
    }
}

fn failed(exposed: &Exposed, refusal: &Refusal) -> Finding {
    let by_class = exposed.fields.by_class.as_ref();
    let asks = by_class.map(|class| format!(" (GatewayClass {class} asks for it)")).unwrap_or_default();
    let message = format!("it gets no address: {refusal}{asks}");
    Finding::refused(field(exposed, refusal), "AllocationFailed", message).remedy(remedy(refusal))
}

fn field<'a>(exposed: &'a Exposed, refusal: &Refusal) -> &'a str {
    let Fields { general, pool, families, .. } = &exposed.fields;
    match refusal {
        Refusal::UnknownPool(_) | Refusal::OtherPool { .. } => pool,
        Refusal::NotAdmitted(_) if exposed.claim.wish.addresses.is_empty() => pool,
        Refusal::OtherFamilies(..) => families,
        _ => general,
    }
}

fn remedy(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::NoPools => "add an IPAddressPool",
        Refusal::UnknownPool(_) => "correct the name, or add the IPAddressPool",
        Refusal::NoneOpen => {
            "name a pool in the annotation metallb.io/address-pool, or set autoAssign, or admit it by serviceAllocation"
        }
        Refusal::Outside(_) => "ask for addresses of one IPAddressPool, or add them to one",
        Refusal::NotAdmitted(_) => "admit it by serviceAllocation of the IPAddressPool, or use another",
        Refusal::OtherPool { .. } => "ask for addresses of that pool, or name none",
        Refusal::OtherFamilies(..) => "ask for addresses of the families that it has",
        Refusal::OthersAsked(_) => "",
        Refusal::Taken { .. } => {
            "ask for another address, or give both the same annotation metallb.io/allow-shared-ip and ports of their own"
        }
        Refusal::Exhausted(_) => {
            "add addresses to a pool, free one, or share one: give both the same annotation metallb.io/allow-shared-ip and ports of their own"
        }
        Refusal::Unpinned(_) => {
            "pin it: write the annotation metallb.io/loadBalancerIPs, or name a pool with a single address"
        }
    }
}

fn held(exposed: &Exposed, assignment: &Assignment, lost: Option<&Refusal>, of_nodes: &AddressMap) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(lost) = lost {
        let message = format!("what it had it cannot keep: {lost}");
        findings.push(Finding::note(&*exposed.fields.given, "ClearAssignment", message));
    }
    if let (Some(refusal), Some(field)) = (&assignment.second_refused, &exposed.fields.second) {
        let message = format!("it has one address and would take a second: {refusal}");
        findings.push(Finding::note(&**field, "AdditionalAssignFailed", message));
    }
    if assignment.addresses.iter().any(|address| !of_nodes.has(*address)) {
        let why = exposed.reach.get(&assignment.pool).and_then(|Reach { nobody, .. }| nobody.as_ref());
        findings.extend(why.map(|why| unannounced(&exposed.fields, why)));
    }
    if exposed.claim.purpose == Purpose::Foreign {
        let mapped = assignment.addresses.iter().find(|address| of_nodes.has(**address));
        findings.extend(mapped.map(|address| not_for_others(&exposed.fields, *address)));
    }
    findings
}

fn not_for_others(fields: &Fields, address: IpAddr) -> Finding {
    let message = format!(
        "{address} is of a node (addressMap): it is not announced, and nothing but Postern's own listeners serves there"
    );
    Finding::refused(&*fields.general, "NotAnnounced", message).remedy(
        "take it out of the pool or out of addressMap, or serve by Postern: a Gateway, or class postern.dev/proxy",
    )
}

fn unannounced(fields: &Fields, why: &Nobody) -> Finding {
    let (reason, general) = ("NotAnnounced", &*fields.general);
    match why {
        Nobody::NoAdvertisement(pool, namespace) => {
            Finding::refused(general, reason, format!("no L2Advertisement is for pool {pool}, so nobody announces its addresses"))
                .remedy(format!(
                    "create an L2Advertisement in namespace {namespace} with spec.ipAddressPools: [{pool}] (BGP is not carried)"
                ))
        }
        Nobody::SharedWithSelectors(name) => {
            let message = format!(
                "L2Advertisement {name} has serviceSelectors, which cannot be told apart on an address that is shared, so nobody announces it (as in MetalLB)"
            );
            Finding::refused("metadata.annotations[metallb.io/allow-shared-ip]", reason, message)
                .remedy("remove the annotation, or the serviceSelectors")
        }
        Nobody::NoEndpoint => {
            Finding::warning("spec.selector", reason, "no endpoint serves, so nobody announces its addresses")
        }
        Nobody::NoNode { local: true } => Finding::warning(
            "spec.externalTrafficPolicy",
            reason,
            "no node that may announce has an endpoint that serves, so nobody does",
        )
        .remedy("let an L2Advertisement select the nodes of the endpoints, or use externalTrafficPolicy: Cluster"),
        Nobody::NoNode { local: false } => {
            Finding::refused(general, reason, "no node may announce its addresses").remedy(
                "let an L2Advertisement select nodes that have a network and not the label node.kubernetes.io/exclude-from-external-load-balancers",
            )
        }
    }
}
