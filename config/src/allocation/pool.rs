//! Pools: named sets of ranges, and the order in which they are tried.

use std::{cmp::Reverse, collections::BTreeMap, net::IpAddr, sync::Arc};

use super::{
    Claim, Family,
    range::{Range, is_buggy},
};

/// A set of addresses that may be given out. No two pools have an address in common; whoever makes them sees to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pool {
    /// Its name, the same for both families.
    pub name: Arc<str>,
    /// Its ranges, in the order in which they are given out.
    pub ranges: Vec<Range>,
    /// Whether claims that name neither it nor an address get one of it.
    pub auto_assign: bool,
    /// Whether IPv4 addresses that end in 0 or 255 stay unused.
    pub avoid_buggy: bool,
    /// `Some`: only claims that it admits get anything of it, and these try it before pools that are open to all.
    pub reserved: Option<Priority>,
}

/// Which of the pools that admit a claim is tried first: the least number. 0 says nothing, and comes last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Priority(pub i64);

/// All pools, by name.
pub type Pools = BTreeMap<Arc<str>, Arc<Pool>>;

/// How much of a pool is in use, by family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Addresses in use, however many share each.
    pub assigned: u128,
    /// Addresses that can be given out.
    pub total: u128,
}

impl Counts {
    /// Addresses that nobody has.
    pub fn available(&self) -> u128 {
        self.total.saturating_sub(self.assigned)
    }
}

impl Pool {
    /// Whether `address` may be given out.
    pub fn contains(&self, address: IpAddr) -> bool {
        !(self.avoid_buggy && is_buggy(address)) && self.ranges.iter().any(|range| range.contains(address))
    }

    /// Its addresses of `family`, in the order in which they are given out.
    pub fn addresses(&self, family: Family) -> impl Iterator<Item = IpAddr> {
        let of_family = self.ranges.iter().filter(move |range| range.family() == family);
        of_family.flat_map(Range::addresses).filter(|address| !(self.avoid_buggy && is_buggy(*address)))
    }

    /// How many addresses of `family` can be given out.
    pub fn count(&self, family: Family) -> u128 {
        let count = |range: &Range| range.count() - if self.avoid_buggy { range.count_buggy() } else { 0 };
        let of_family = self.ranges.iter().filter(|range| range.family() == family);
        of_family.map(count).fold(0, u128::saturating_add)
    }

    /// Whether `claim` may have an address of it.
    pub fn admits(&self, claim: &Claim) -> bool {
        self.reserved.is_none() || claim.admitted_to.contains(&self.name)
    }
}

/// The pools that a claim without a wish is served from, in the order in which they are tried: first those that are
/// reserved and admit it, by priority and then by name; then those that are open to all, by name. (MetalLB leaves the
/// order among equals to chance.)
pub(super) fn in_order<'a>(pools: &'a Pools, claim: &Claim) -> [Vec<&'a Pool>; 2] {
    let fits = |pool: &&Pool| pool.auto_assign && pool.admits(claim);
    let (mut reserved, open): (Vec<_>, Vec<_>) =
        pools.values().map(|pool| &**pool).filter(fits).partition(|pool| pool.reserved.is_some());
    reserved.sort_by_key(|pool| {
        let Priority(priority) = pool.reserved.unwrap_or_default();
        (Reverse(priority > 0), priority, pool.name.clone())
    });
    [reserved, open]
}
