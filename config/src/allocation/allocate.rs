//! The decision: pools and claims in, what each claim has out.
//!
//! It depends on nothing but its input, and not on the order of that. Claims keep what is on record for them while
//! nothing speaks against it, and only then are the others served: so a restart moves nothing, and neither does a new
//! claim.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use super::{Claim, Counts, Families, Family, Pool, Pools, Refusal, Usage, holdings::Holdings, pool::in_order};
use crate::model::id::ObjectId;

/// Who has what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allocation {
    /// What became of each claim.
    pub outcomes: BTreeMap<ObjectId, Outcome>,
    /// How much of each pool is in use.
    pub counts: BTreeMap<Arc<str>, BTreeMap<Family, Counts>>,
}

/// What became of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What it has, or why it has nothing.
    pub result: Result<Assignment, Refusal>,
    /// Why it does not have what is on record for it, where that is so.
    pub lost: Option<Refusal>,
}

/// What a claim has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// Of this pool.
    pub pool: Arc<str>,
    /// One address, or two of different families, the preferred one first.
    pub addresses: Vec<IpAddr>,
    /// Why there is no second address, where one would be taken.
    pub second_refused: Option<Refusal>,
}

/// Decides. Of two claims with one id the last counts.
pub fn allocate<'a>(pools: &'a Pools, claims: impl IntoIterator<Item = &'a Claim>) -> Allocation {
    let mut order: Vec<_> = claims.into_iter().collect();
    order.sort_by(|a, b| a.standing().cmp(&b.standing()));
    let mut deciding = Deciding { pools, holdings: Holdings::default() };
    let mut outcomes = BTreeMap::new();
    let mut open = Vec::new();
    for claim in order {
        match deciding.keep(claim) {
            Ok(kept) => drop(outcomes.insert(claim.of.clone(), (claim, Outcome { result: Ok(kept), lost: None }))),
            Err(lost) => open.push((claim, lost)),
        }
    }
    for (claim, outcome) in outcomes.values_mut() {
        if let Ok(assignment) = &mut outcome.result {
            deciding.complete(claim, assignment);
        }
    }
    // Who names addresses can have no others.
    open.sort_by_key(|(claim, _)| claim.wish.addresses.is_empty());
    for (claim, lost) in open {
        let result = deciding.assign(claim);
        outcomes.insert(claim.of.clone(), (claim, Outcome { result, lost }));
    }
    let outcomes = outcomes.into_iter().map(|(of, (_, outcome))| (of, outcome)).collect();
    Allocation { outcomes, counts: deciding.holdings.counts(pools) }
}

struct Deciding<'a> {
    pools: &'a Pools,
    holdings: Holdings<'a>,
}

impl<'a> Deciding<'a> {
    /// What is on record for `claim`, if it may keep it; else why not, where there is anything on record.
    fn keep(&mut self, claim: &'a Claim) -> Result<Assignment, Option<Refusal>> {
        let recorded = &claim.recorded;
        if recorded.is_empty() {
            return Err(None);
        }
        let pool = self.fits(claim, recorded).map_err(Some)?;
        let wish = &claim.wish;
        if let Some(asked) = wish.pool.as_ref().filter(|asked| **asked != pool.name) {
            return Err(Some(Refusal::OtherPool { asked: asked.clone(), has: pool.name.clone() }));
        }
        let is_asked = |address: &IpAddr| wish.addresses.contains(address);
        let is_all = wish.addresses.len() == recorded.len() && recorded.iter().all(is_asked);
        if !wish.addresses.is_empty() && !is_all {
            return Err(Some(Refusal::OthersAsked(wish.addresses.clone())));
        }
        Ok(self.give(claim, pool, recorded.clone()))
    }

    /// Gives `claim`, which keeps one address, the second one that it would take.
    fn complete(&mut self, claim: &'a Claim, assignment: &mut Assignment) {
        let (Families::Prefer(_), [one]) = (claim.families, assignment.addresses.as_slice()) else { return };
        let Some(pool) = self.pools.get(&assignment.pool).filter(|_| claim.wish.addresses.is_empty()) else { return };
        let missing = Family::of(*one).other();
        match self.holdings.first(claim, pool, missing) {
            Some(second) => {
                self.holdings.give(claim, &[second]);
                assignment.addresses.push(second);
            }
            None => assignment.second_refused = Some(self.exhausted(&[pool], &[missing])),
        }
    }

    /// Something for `claim`, which has nothing.
    fn assign(&mut self, claim: &'a Claim) -> Result<Assignment, Refusal> {
        if self.pools.is_empty() {
            return Err(Refusal::NoPools);
        }
        let wish = &claim.wish;
        if !wish.addresses.is_empty() {
            return self.assign_asked(claim);
        }
        if let Some(name) = &wish.pool {
            let pool = self.pools.get(name).ok_or_else(|| Refusal::UnknownPool(name.clone()))?;
            if !pool.admits(claim) {
                return Err(Refusal::NotAdmitted(name.clone()));
            }
            return self.assign_from(claim, &[pool]);
        }
        let [reserved, open] = in_order(self.pools, claim);
        match self.assign_from(claim, &reserved) {
            Ok(assignment) => Ok(assignment),
            Err(_) if reserved.is_empty() && open.is_empty() => Err(Refusal::NoneOpen),
            Err(refusal) => self.assign_from(claim, &open).map_err(|of_open| match (&refusal, &of_open) {
                (Refusal::Unpinned(_), _) => refusal,
                (_, Refusal::Unpinned(_)) => of_open,
                _ => {
                    let all: Vec<_> = reserved.iter().chain(&open).copied().collect();
                    self.exhausted(&all, &wanted(claim.families))
                }
            }),
        }
    }

    fn assign_asked(&mut self, claim: &'a Claim) -> Result<Assignment, Refusal> {
        let wish = &claim.wish;
        let pool = self.fits(claim, &wish.addresses)?;
        match &wish.pool {
            Some(asked) if *asked != pool.name => {
                Err(Refusal::OtherPool { asked: asked.clone(), has: pool.name.clone() })
            }
            _ => Ok(self.give(claim, pool, wish.addresses.clone())),
        }
    }

    /// The best of `pools`: the first that has all families that are wanted; where one is enough, the first that has the
    /// preferred one, then the first that has the other.
    fn assign_from(&mut self, claim: &'a Claim, pools: &[&'a Pool]) -> Result<Assignment, Refusal> {
        let families = wanted(claim.families);
        let pools = &pinned(claim, pools, &families)?;
        let (mut preferred, mut other) = (None, None);
        for pool in pools {
            let found: Vec<_> =
                families.iter().filter_map(|family| self.holdings.first(claim, pool, *family)).collect();
            if found.len() == families.len() {
                return Ok(self.give(claim, pool, found));
            }
            if let (Families::Prefer(first), Some(one)) = (claim.families, found.first()) {
                let place = if Family::of(*one) == first { &mut preferred } else { &mut other };
                place.get_or_insert((*pool, found));
            }
        }
        let Some((pool, found)) = preferred.or(other) else { return Err(self.exhausted(pools, &families)) };
        let is_missing = |family: &Family| found.iter().all(|address| Family::of(*address) != *family);
        let missing: Vec<_> = families.into_iter().filter(is_missing).collect();
        let second_refused = Some(self.exhausted(&[pool], &missing));
        Ok(Assignment { second_refused, ..self.give(claim, pool, found) })
    }

    /// The pool that has all of `addresses`, if `claim` may have these.
    fn fits(&self, claim: &Claim, addresses: &[IpAddr]) -> Result<&'a Pool, Refusal> {
        if !are_of(addresses, claim.families) {
            return Err(Refusal::OtherFamilies(addresses.to_vec(), claim.families));
        }
        let has_all = |pool: &&Arc<Pool>| addresses.iter().all(|address| pool.contains(*address));
        let pool = self.pools.values().find(has_all).ok_or_else(|| Refusal::Outside(addresses.to_vec()))?;
        if !pool.admits(claim) {
            return Err(Refusal::NotAdmitted(pool.name.clone()));
        }
        match addresses.iter().find_map(|address| self.holdings.objection(claim, *address)) {
            Some(objection) => Err(objection),
            None => Ok(pool),
        }
    }

    fn give(&mut self, claim: &'a Claim, pool: &Pool, addresses: Vec<IpAddr>) -> Assignment {
        self.holdings.give(claim, &addresses);
        Assignment { pool: pool.name.clone(), addresses, second_refused: None }
    }

    fn exhausted(&self, pools: &[&Pool], families: &[Family]) -> Refusal {
        let usage = |pool: &&Pool| Usage {
            pool: pool.name.clone(),
            counts: families.iter().map(|family| (*family, self.holdings.count(pool, *family))).collect(),
        };
        Refusal::Exhausted(pools.iter().map(usage).collect())
    }
}

/// Those of `pools` that `claim` may have an address of although nobody would remember it.
fn pinned<'a>(claim: &Claim, pools: &[&'a Pool], families: &[Family]) -> Result<Vec<&'a Pool>, Refusal> {
    let is_alone = |pool: &&Pool| families.iter().all(|family| pool.count(*family) <= 1);
    let fitting: Vec<_> = pools.iter().copied().filter(|pool| claim.is_recorded || is_alone(pool)).collect();
    if fitting.is_empty() && !pools.is_empty() {
        return Err(Refusal::Unpinned(pools.iter().map(|pool| pool.name.clone()).collect()));
    }
    Ok(fitting)
}

/// The families to look for, the preferred one first.
fn wanted(families: Families) -> Vec<Family> {
    match families {
        Families::One(family) => vec![family],
        Families::Both(first) | Families::Prefer(first) => vec![first, first.other()],
    }
}

fn are_of(addresses: &[IpAddr], families: Families) -> bool {
    let found: Vec<_> = addresses.iter().map(|address| Family::of(*address)).collect();
    match (families, found.as_slice()) {
        (Families::One(wanted), [one]) => *one == wanted,
        (Families::Prefer(_), [_]) => true,
        (Families::Both(_) | Families::Prefer(_), [one, other]) => one != other,
        _ => false,
    }
}
