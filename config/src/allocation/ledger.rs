//! Who wants what and who has what, all together: what whoever keeps the record writes by.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use imbl::OrdMap;

use super::{Allocation, Claim, Pools, allocate};
use crate::model::id::ObjectId;

/// See the module. A copy shares everything with the original.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ledger {
    /// The pools, by name.
    pub pools: Arc<Pools>,
    /// The object that each pool is written in.
    pub pool_objects: Arc<BTreeMap<ObjectId, Arc<str>>>,
    /// Who wants what.
    pub claims: OrdMap<ObjectId, Arc<Claim>>,
    /// Who has what, by what is on record.
    pub allocation: Arc<Allocation>,
}

impl Ledger {
    /// The objects of which anything is decided otherwise than `before`.
    pub fn difference(&self, before: &Self) -> BTreeSet<ObjectId> {
        let of_claims = self.allocation.difference(&before.allocation);
        let counts = |ledger: &Self, name| ledger.allocation.counts.get(name).cloned();
        let of_pools = self.pool_objects.iter().filter(|(_, name)| counts(self, *name) != counts(before, *name));
        of_claims.into_iter().chain(of_pools.map(|(object, _)| object.clone())).collect()
    }

    /// What is decided where `given` is on record too: what was written, and is not yet seen. Without it a claim that
    /// comes in between might be given the same.
    #[must_use]
    pub fn with(&self, given: &BTreeMap<ObjectId, Vec<IpAddr>>) -> Self {
        let mut claims = self.claims.clone();
        for (of, addresses) in given {
            if let Some(claim) = claims.get_mut(of) {
                *claim = Arc::new(Claim { recorded: addresses.clone(), ..(**claim).clone() });
            }
        }
        let allocation = Arc::new(allocate(&self.pools, claims.values().map(|claim: &Arc<Claim>| &**claim)));
        Self { claims, allocation, ..self.clone() }
    }
}

impl Allocation {
    /// Those whose outcome is another than `before`, or that are new or gone.
    pub fn difference(&self, before: &Self) -> BTreeSet<ObjectId> {
        let all = before.outcomes.keys().chain(self.outcomes.keys());
        all.filter(|object| before.outcomes.get(object) != self.outcomes.get(object)).cloned().collect()
    }
}
