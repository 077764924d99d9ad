//! Where a Gateway is reached: at addresses of its own, where it asks for any, else where everything is.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::{
    Address, Context,
    condition::{Condition, said},
};
use crate::{
    allocation::Refusal,
    kubernetes::{
        convert::{
            exposure::{Asked, Keeper, asked},
            object_id,
        },
        object::{Item, gateway::Gateway},
        view::View,
    },
    report::Verdict,
};

/// The most addresses that the API takes.
const MOST_ADDRESSES: usize = 16;
/// Reasons of findings that stand against addresses of its own.
const AGAINST: [&str; 2] = ["AllocationFailed", "LoadBalancerFailed"];
const NONE_YET: &str = "There is no address for the Gateway yet";

/// See the module.
#[derive(Debug)]
pub(super) struct Reached {
    addresses: Vec<Address>,
    /// Of the node, asked for by value and not had.
    unusable: Vec<IpAddr>,
    own: Option<Own>,
}

/// What became of its wish for addresses of its own.
#[derive(Debug)]
struct Own {
    /// What it has, and of which pool; or the reason why it has nothing, in the API's words, and in ours.
    given: Result<(Vec<IpAddr>, String), (&'static str, String)>,
    /// Whether that is what the object says, so that nodes serve it there.
    is_on_record: bool,
}

impl Reached {
    pub(super) fn of(gateway: &Item<Gateway>, verdict: &Verdict, view: &View<'_>, context: &Context<'_>) -> Self {
        let asked_for = asked(gateway, view, context.settings);
        let beside: Vec<IpAddr> = match &asked_for {
            Asked::Own(own) => own.beside.iter().copied().collect(),
            _ => written(gateway),
        };
        let (usable, unusable): (Vec<_>, Vec<_>) = beside.into_iter().partition(|address| {
            context.addresses.contains(&Address::Ip(*address)) || context.settings.addresses.map.has(*address)
        });
        let own = match asked_for {
            Asked::Nothing => {
                let addresses = match wants_any(gateway) {
                    true => context.addresses.to_vec(),
                    false => usable.into_iter().map(Address::Ip).collect(),
                };
                return Self { addresses, unusable, own: None };
            }
            Asked::Unreadable(finding) => Own { given: Err((NOT_USABLE, said(&[&finding]))), is_on_record: false },
            Asked::Own(own) => {
                let recorded = own.recorded(&gateway.body);
                let reason = if own.is_by_value() { NOT_USABLE } else { NOT_ASSIGNED };
                let given = given(gateway, &recorded, context).ok_or_else(|| (reason, against(verdict)));
                let is_on_record = given.as_ref().is_ok_and(|(addresses, _)| *addresses == recorded);
                Own { given, is_on_record }
            }
        };
        let had = own.given.as_ref().map(|(addresses, _)| addresses.as_slice()).unwrap_or_default();
        let addresses = had.iter().copied().chain(usable).map(Address::Ip).collect();
        Self { addresses, unusable, own: Some(own) }
    }

    /// `status.addresses`. Its own are a record, and stay whatever becomes of the listeners.
    pub(super) fn shown(&self, accepted: bool) -> Value {
        let shown = |address: &Address| match address {
            Address::Ip(ip) => json!({"type": "IPAddress", "value": ip.to_string()}),
            Address::Hostname(name) => json!({"type": "Hostname", "value": name}),
        };
        if !accepted && self.own.is_none() {
            return Value::Array(Vec::new());
        }
        self.addresses.iter().take(MOST_ADDRESSES).map(shown).collect()
    }

    /// That they are its own, where they are: what tells the record from other addresses that a Gateway shows.
    pub(super) fn allocated(&self) -> Option<Condition> {
        let (_, whence) = self.own.as_ref()?.given.as_ref().ok()?;
        Some(Condition::yes(Gateway::ALLOCATED, "Allocated", whence.clone()))
    }

    /// What keeps it from being reached where it wants to be: reason and message.
    pub(super) fn problem(&self) -> Option<(&'static str, String)> {
        if let Some(Err(problem)) = self.own.as_ref().map(|own| &own.given) {
            return Some(problem.clone());
        }
        if !self.unusable.is_empty() {
            let list = self.unusable.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ");
            let message =
                format!("spec.addresses: {list} cannot be had here; name addresses of a pool or of a node, or none");
            return Some((NOT_USABLE, message));
        }
        self.addresses.is_empty().then(|| (NOT_ASSIGNED, NONE_YET.to_owned()))
    }

    /// What nodes do not know yet.
    pub(super) fn pending(&self) -> Option<String> {
        let waits = self.own.as_ref().is_some_and(|own| own.given.is_ok() && !own.is_on_record);
        waits.then(|| "Its addresses are being put on record; nodes serve them then".to_owned())
    }

    /// What a listener lacks.
    pub(super) fn missing(&self) -> Option<String> {
        self.addresses.is_empty().then(|| NONE_YET.to_owned()).or_else(|| self.pending())
    }
}

const NOT_USABLE: &str = "AddressNotUsable";
const NOT_ASSIGNED: &str = "AddressNotAssigned";

/// The addresses of `spec.addresses`.
fn written(gateway: &Item<Gateway>) -> Vec<IpAddr> {
    let values = gateway.body.spec.addresses.iter().filter_map(|address| address.value.as_ref()?.parse().ok());
    values.collect()
}

/// Whether it is reached wherever everything is.
fn wants_any(gateway: &Item<Gateway>) -> bool {
    let mut values = gateway.body.spec.addresses.iter().map(|address| address.value.as_deref().unwrap_or_default());
    gateway.body.spec.addresses.is_empty() || values.any(str::is_empty)
}

/// What it has been given, and in words of which pool.
fn given(gateway: &Item<Gateway>, recorded: &[IpAddr], context: &Context<'_>) -> Option<(Vec<IpAddr>, String)> {
    if context.settings.addresses.keeper != Keeper::Cluster {
        return None;
    }
    match &context.ledger.allocation.outcomes.get(&object_id(gateway))?.result {
        Ok(assignment) => {
            let pool = &assignment.pool;
            Some((assignment.addresses.clone(), format!("Its addresses are its own, of IPAddressPool {pool}")))
        }
        // Pools that nobody can see are no reason to take addresses away.
        Err(Refusal::NoPools) if !recorded.is_empty() => {
            Some((recorded.to_vec(), "Its addresses are its own, and there is no IPAddressPool any more".to_owned()))
        }
        Err(_) => None,
    }
}

fn against(verdict: &Verdict) -> String {
    let finding = verdict.findings.iter().find(|finding| AGAINST.contains(&finding.reason));
    finding.map_or_else(|| NONE_YET.to_owned(), |finding| said(&[finding]))
}
