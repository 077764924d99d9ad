//! Who has which address, while it is being decided.

use std::{
    collections::{BTreeMap, HashMap},
    iter::Peekable,
    net::IpAddr,
    sync::Arc,
};

use super::{Claim, Clash, Counts, Family, Pool, Pools, Purpose, Refusal};

type Addresses<'a> = Peekable<Box<dyn Iterator<Item = IpAddr> + 'a>>;

/// See the module.
#[derive(Default)]
pub(super) struct Holdings<'a> {
    by_address: BTreeMap<IpAddr, Vec<&'a Claim>>,
    /// Per pool and family, the addresses from the first that may be free: nothing is given back while deciding.
    free: HashMap<(&'a str, Family), Addresses<'a>>,
}

impl<'a> Holdings<'a> {
    /// `claim` has `addresses` from now on.
    pub(super) fn give(&mut self, claim: &'a Claim, addresses: &[IpAddr]) {
        for address in addresses {
            self.by_address.entry(*address).or_default().push(claim);
        }
    }

    /// What keeps `claim` from having `address` too.
    pub(super) fn objection(&self, claim: &Claim, address: IpAddr) -> Option<Refusal> {
        let others = self.by_address.get(&address)?.iter().filter(|other| other.of != claim.of);
        let clash = |other: &&Claim| Some((other.of.clone(), clash(claim, other)?));
        let (by, why) = others.copied().find_map(|other| clash(&other))?;
        Some(Refusal::Taken { address, by, why })
    }

    /// The first address of `pool` that `claim` may have. With a key: in order, whether others have it or not, as MetalLB
    /// does. Who serves by itself and could share with all of its like goes where the key is the same, and to others only
    /// when nothing is free.
    pub(super) fn first(&mut self, claim: &Claim, pool: &'a Pool, family: Family) -> Option<IpAddr> {
        match (claim.purpose, &claim.sharing.key) {
            (Purpose::Foreign, Some(_)) => {
                pool.addresses(family).find(|address| self.objection(claim, *address).is_none())
            }
            (Purpose::Foreign, None) => self.first_free(pool, family),
            (Purpose::Served, key) => {
                let same_key = |others: &[&Claim]| others.iter().any(|other| other.sharing.key == *key);
                key.as_ref()
                    .and_then(|_| self.first_in_use(claim, pool, family, same_key))
                    .or_else(|| self.first_free(pool, family))
                    .or_else(|| self.first_in_use(claim, pool, family, |_| true))
            }
        }
    }

    /// The first address that others have, if they are `fitting`, and `claim` may have too.
    fn first_in_use(
        &self,
        claim: &Claim,
        pool: &Pool,
        family: Family,
        fitting: impl Fn(&[&Claim]) -> bool,
    ) -> Option<IpAddr> {
        let held = self.by_address.iter().filter(|(_, others)| fitting(others)).map(|(address, _)| *address);
        let mut of_pool = held.filter(|address| Family::of(*address) == family && pool.contains(*address));
        of_pool.find(|address| self.objection(claim, *address).is_none())
    }

    fn first_free(&mut self, pool: &'a Pool, family: Family) -> Option<IpAddr> {
        let all = || -> Addresses<'a> {
            let addresses: Box<dyn Iterator<Item = IpAddr> + 'a> = Box::new(pool.addresses(family));
            addresses.peekable()
        };
        let left = self.free.entry((&*pool.name, family)).or_insert_with(all);
        while left.next_if(|address| self.by_address.contains_key(address)).is_some() {}
        left.peek().copied()
    }

    /// How much of each pool is in use, by family.
    pub(super) fn counts(&self, pools: &Pools) -> BTreeMap<Arc<str>, BTreeMap<Family, Counts>> {
        let of_pool = |pool: &Pool| [Family::V4, Family::V6].map(|family| (family, self.count(pool, family))).into();
        pools.iter().map(|(name, pool)| (name.clone(), of_pool(pool))).collect()
    }

    /// How much of `pool` is in use.
    pub(super) fn count(&self, pool: &Pool, family: Family) -> Counts {
        let assigned = |range: &super::Range| {
            let held = self.by_address.range(range.first()..=range.last());
            held.filter(|(address, _)| pool.contains(**address)).count() as u128
        };
        let of_family = pool.ranges.iter().filter(|range| range.family() == family);
        Counts { assigned: of_family.map(assigned).sum(), total: pool.count(family) }
    }
}

/// Why two claims cannot have one address.
fn clash(a: &Claim, b: &Claim) -> Option<Clash> {
    // Its listeners settle between themselves who has which port.
    if a.purpose == Purpose::Served && b.purpose == Purpose::Served {
        return None;
    }
    match (&a.sharing.key, &b.sharing.key) {
        (Some(one), Some(other)) if one == other => {}
        (Some(_), Some(_)) => return Some(Clash::OtherKey),
        _ => return Some(Clash::NotShared),
    }
    if a.sharing.backend != b.sharing.backend {
        return Some(Clash::OtherBackend);
    }
    a.ports.intersection(&b.ports).next().map(|port| Clash::SamePort(*port))
}
