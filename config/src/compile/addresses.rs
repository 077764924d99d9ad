//! Pools and claims of all objects → who has which address, and what is announced.
//!
//! What an object asks for comes from its unit. Who gets what is decided between all of them, again only when a pool or
//! a claim changed; who announces an address is put together again only for addresses whose holders changed, or of whose
//! holders the reach did. So endpoints that come and go cost their own Service.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use imbl::OrdMap;

use super::verdicts::{Source, Verdicts};
use crate::{
    allocation::{Claim, Ledger, Pool, Pools, Purpose, allocate},
    kubernetes::convert::exposure::{Exposed, said},
    model::{address_map::AddressMap, id::ObjectId},
    snapshot::{Announcement, Candidates},
};

type Announcements = OrdMap<IpAddr, Arc<Announcement>>;

/// All pools and claims.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    /// Of nodes, and so announced by nobody.
    of_nodes: Arc<AddressMap>,
    pools: BTreeMap<ObjectId, Arc<Pool>>,
    exposed: OrdMap<ObjectId, Arc<Exposed>>,
    ledger: Ledger,
    /// Who has each address that may be announced, and the address that it is elected as.
    holders: BTreeMap<IpAddr, (IpAddr, Vec<ObjectId>)>,
    /// Whether a pool or a claim changed.
    undecided: bool,
    /// Objects of which anything changed.
    touched: BTreeSet<ObjectId>,
}

impl Addresses {
    /// No pools and no claims.
    pub(super) fn new(of_nodes: Arc<AddressMap>) -> Self {
        Self { of_nodes, ..Self::default() }
    }

    /// Pools and claims, and who has what.
    pub(super) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Replaces the pool of one unit.
    pub(super) fn replace_pool(&mut self, object: &ObjectId, after: Option<Arc<Pool>>) {
        if self.pools.get(object) == after.as_ref() {
            return;
        }
        self.undecided = true;
        match after {
            Some(pool) => drop(self.pools.insert(object.clone(), pool)),
            None => drop(self.pools.remove(object)),
        }
    }

    /// Replaces what one unit wants.
    pub(super) fn replace_claim(&mut self, object: &ObjectId, after: Option<Arc<Exposed>>) {
        let before = self.exposed.get(object);
        if before == after.as_ref() {
            return;
        }
        self.undecided |= before.map(|exposed| &exposed.claim) != after.as_ref().map(|exposed| &exposed.claim);
        self.touched.insert(object.clone());
        match after {
            Some(exposed) => drop(self.exposed.insert(object.clone(), exposed)),
            None => drop(self.exposed.remove(object)),
        }
    }

    /// Decides what was touched; brings `announcements` up to date, and adds those that change to `changed`.
    pub(super) fn settle(
        &mut self,
        verdicts: &mut Verdicts,
        announcements: &mut Announcements,
        changed: &mut BTreeSet<IpAddr>,
    ) {
        let mut touched = std::mem::take(&mut self.touched);
        let mut stale: BTreeSet<IpAddr> = BTreeSet::new();
        if std::mem::take(&mut self.undecided) {
            touched.extend(self.decide());
            stale.extend(self.file());
        }
        for object in &touched {
            let exposed = self.exposed.get(object);
            let outcome = self.ledger.allocation.outcomes.get(object);
            let findings =
                exposed.zip(outcome).map(|(exposed, outcome)| said::findings(exposed, outcome, &self.of_nodes));
            verdicts.tell(object, Source::Allocation, findings.unwrap_or_default());
            stale.extend(outcome.into_iter().flat_map(|outcome| &outcome.result).flat_map(|it| &it.addresses));
        }
        for address in stale {
            let after = self.announcement(address);
            if announcements.get(&address).map(|before| &**before) == after.as_ref() {
                continue;
            }
            changed.insert(address);
            match after {
                Some(after) => drop(announcements.insert(address, Arc::new(after))),
                None => drop(announcements.remove(&address)),
            }
        }
    }

    /// Decides anew; returns whose outcome is another.
    fn decide(&mut self) -> BTreeSet<ObjectId> {
        let by_name = |pool: &Arc<Pool>| (pool.name.clone(), pool.clone());
        let pools: Pools = self.pools.values().map(by_name).collect();
        let claims: OrdMap<ObjectId, Arc<Claim>> =
            self.exposed.iter().map(|(of, it)| (of.clone(), it.claim.clone())).collect();
        let after = allocate(&pools, claims.values().map(|claim| &**claim));
        let before = std::mem::replace(&mut self.ledger.allocation, Arc::new(after));
        self.ledger.pool_objects = Arc::new(self.pools.iter().map(|(of, it)| (of.clone(), it.name.clone())).collect());
        (self.ledger.pools, self.ledger.claims) = (Arc::new(pools), claims);
        self.ledger.allocation.difference(&before)
    }

    /// Notes who has which address; returns those of which that is another.
    fn file(&mut self) -> BTreeSet<IpAddr> {
        let mut holders: BTreeMap<IpAddr, (IpAddr, Vec<ObjectId>)> = BTreeMap::new();
        let mut groups = Groups::default();
        for (of, outcome) in &self.ledger.allocation.outcomes {
            let (Some(claim), Ok(assignment)) = (self.ledger.claims.get(of), &outcome.result) else { continue };
            let announced: Vec<_> = assignment.addresses.iter().filter(|it| is_on_record(claim, **it)).collect();
            for address in &announced {
                holders.entry(**address).or_insert_with(|| (**address, Vec::new())).1.push(of.clone());
                groups.join(announced.first().map_or(**address, |first| **first), **address);
            }
        }
        for (address, (elected_as, _)) in &mut holders {
            *elected_as = groups.of(*address);
        }
        let before = std::mem::replace(&mut self.holders, holders);
        let all: BTreeSet<_> = before.keys().chain(self.holders.keys()).copied().collect();
        all.into_iter().filter(|address| before.get(address) != self.holders.get(address)).collect()
    }

    fn announcement(&self, address: IpAddr) -> Option<Announcement> {
        let (elected_as, of) = self.holders.get(&address).filter(|_| !self.of_nodes.has(address))?;
        let mut announcement = Announcement {
            candidates: Candidates::Named(BTreeMap::new()),
            elected_as: *elected_as,
            purpose: Purpose::Foreign,
            foreign_ports: BTreeSet::new(),
            of: of.iter().cloned().collect(),
        };
        for object in of {
            let Some((exposed, assignment)) = self
                .exposed
                .get(object)
                .zip(self.ledger.allocation.outcomes.get(object).and_then(|outcome| outcome.result.as_ref().ok()))
            else {
                continue;
            };
            match exposed.claim.purpose {
                Purpose::Served => announcement.purpose = Purpose::Served,
                Purpose::Foreign => announcement.foreign_ports.extend(&exposed.claim.ports),
            }
            if let Some(reach) = exposed.reach.get(&assignment.pool) {
                announcement.candidates.merge(&reach.candidates);
            }
        }
        if announcement.purpose == Purpose::Foreign {
            announcement.foreign_ports.clear();
        }
        (!announcement.candidates.is_empty()).then_some(announcement)
    }
}

/// Nothing is announced that is not on record, where there is one: another node may know better.
fn is_on_record(claim: &Claim, address: IpAddr) -> bool {
    !claim.is_recorded || claim.recorded.contains(&address)
}

/// Addresses that must have one owner, since somebody has several of them; each group goes by its least.
#[derive(Debug, Default)]
struct Groups(BTreeMap<IpAddr, IpAddr>);

impl Groups {
    fn of(&self, address: IpAddr) -> IpAddr {
        let mut at = address;
        while let Some(next) = self.0.get(&at).filter(|next| **next != at) {
            at = *next;
        }
        at
    }

    fn join(&mut self, one: IpAddr, other: IpAddr) {
        let (one, other) = (self.of(one), self.of(other));
        if one != other {
            self.0.insert(one.max(other), one.min(other));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_anybody_has_together_are_elected_together() {
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        let mut groups = Groups::default();
        groups.join(ip("2001:db8::1"), ip("192.0.2.7"));
        groups.join(ip("192.0.2.9"), ip("192.0.2.9"));
        groups.join(ip("2001:db8::2"), ip("192.0.2.9"));
        groups.join(ip("192.0.2.9"), ip("2001:db8::1"));
        for address in ["192.0.2.7", "192.0.2.9", "2001:db8::1", "2001:db8::2"] {
            assert_eq!(groups.of(ip(address)), ip("192.0.2.7"), "{address}");
        }
        assert_eq!(groups.of(ip("192.0.2.1")), ip("192.0.2.1"), "alone");
    }
}
