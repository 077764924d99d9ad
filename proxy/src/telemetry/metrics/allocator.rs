//! How much of the pools of addresses is in use, as samples under MetalLB's names.

use postern_config::allocation::{Allocation, Counts, Family};

use super::{exposition::Writer, family};

/// How a number of addresses is shown of a pool: of one family, or of both.
type Number = fn(&Counts) -> u128;

pub(super) fn write(writer: &mut Writer, allocation: &Allocation) {
    let (total, in_use): (Number, Number) = (|counts| counts.total, |counts| counts.assigned);
    for (shown, of, number) in [
        (family::ALLOCATOR_TOTAL, None, total),
        (family::ALLOCATOR_TOTAL_V4, Some(Family::V4), total),
        (family::ALLOCATOR_TOTAL_V6, Some(Family::V6), total),
        (family::ALLOCATOR_IN_USE, None, in_use),
        (family::ALLOCATOR_IN_USE_V4, Some(Family::V4), in_use),
        (family::ALLOCATOR_IN_USE_V6, Some(Family::V6), in_use),
    ] {
        let mut samples = writer.family(shown);
        for (pool, counts) in &allocation.counts {
            let counted = counts.iter().filter(|(family, _)| of.is_none_or(|of| of == **family));
            let sum = counted.map(|(_, counts)| number(counts)).fold(0, u128::saturating_add);
            samples.count(&[pool], u64::try_from(sum).unwrap_or(u64::MAX));
        }
    }
    let mut holders = writer.family(family::ALLOCATOR_SERVICES);
    for pool in allocation.counts.keys() {
        let has = |outcome: &&postern_config::allocation::Outcome| {
            outcome.result.as_ref().is_ok_and(|assignment| assignment.pool == *pool)
        };
        holders.count(&[pool], allocation.outcomes.values().filter(has).count() as u64);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::telemetry::metrics::exposition::Format;

    #[test]
    fn a_pool_is_shown_by_family_and_together() {
        let counts = BTreeMap::from([
            (Family::V4, Counts { assigned: 1, total: 4 }),
            (Family::V6, Counts { assigned: 2, total: 1 << 40 }),
        ]);
        let allocation = Allocation { counts: [("home".into(), counts)].into(), ..Allocation::default() };
        let mut writer = Writer::new(Format::Text);
        write(&mut writer, &allocation);
        let text = writer.finish();
        for line in [
            "metallb_allocator_addresses_total{pool=\"home\"} 1099511627780",
            "metallb_allocator_ipv4_addresses_total{pool=\"home\"} 4",
            "metallb_allocator_ipv6_addresses_in_use_total{pool=\"home\"} 2",
            "metallb_allocator_addresses_in_use_total{pool=\"home\"} 3",
            "metallb_allocator_services_allocated_total{pool=\"home\"} 0",
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line} in\n{text}");
        }
    }
}
