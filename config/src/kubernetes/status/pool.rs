//! `IPAddressPool`: how much of it is in use, as MetalLB 0.16 shows it.

use serde_json::{Value, json};

use super::{Context, Desired, merge::Shape};
use crate::{
    allocation::{Counts, Family},
    kubernetes::{
        convert::{exposure::Keeper, object_id},
        object::{Item, metallb::IpAddressPool},
    },
};

pub(super) const SHAPE: Shape =
    Shape { fields: &["assignedIPv4", "assignedIPv6", "availableIPv4", "availableIPv6"], conditions: &[], list: None };

/// What a pool should show; nothing where it gives nothing out, since another has its name.
pub(super) fn desired(pool: &Item<IpAddressPool>, context: &Context<'_>) -> Option<Desired> {
    if context.settings.addresses.keeper != Keeper::Cluster {
        return None;
    }
    let name = context.ledger.pool_objects.get(&object_id(pool))?;
    let counts = context.ledger.allocation.counts.get(name)?;
    let of = |family| counts.get(&family).copied().unwrap_or_default();
    let (four, six): (Counts, Counts) = (of(Family::V4), of(Family::V6));
    let mut desired = Desired::of::<IpAddressPool>(&pool.meta, context);
    desired.fields = vec![
        ("assignedIPv4", number(four.assigned)),
        ("assignedIPv6", number(six.assigned)),
        ("availableIPv4", number(four.available())),
        ("availableIPv6", number(six.available())),
    ];
    Some(desired)
}

/// The API counts in 63 bits; a pool of more addresses never runs out.
fn number(count: u128) -> Value {
    json!(i64::try_from(count).unwrap_or(i64::MAX))
}
