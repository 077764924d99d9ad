//! One thing, several who want it: the one that stands first has it.

use std::{cmp::Ordering, collections::BTreeMap, sync::Arc};

use jiff::Timestamp;

use crate::{
    kubernetes::convert::SniRank,
    model::{host::HostPattern, id::ObjectId},
};

/// Where a claim stands among others on the same thing; the least wins: rank, how specific the asked name is, age, name,
/// then order in the object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) rank: SniRank,
    /// The name that the object wrote; `Any` where names play no part.
    pub(super) asked: HostPattern,
    pub(super) created: Option<Timestamp>,
    /// Who is told about a defeat.
    pub(super) object: ObjectId,
    /// Place among the claims of the object.
    pub(super) nth: usize,
    /// Where the object makes the claim.
    pub(super) field: Arc<str>,
}

impl Ord for Standing {
    fn cmp(&self, other: &Self) -> Ordering {
        fn key(standing: &Standing) -> impl Ord + '_ {
            let Standing { rank, asked, created, object, nth, field } = standing;
            (*rank, asked, created.is_none(), *created, (&object.namespace, &object.name, &object.kind), *nth, field)
        }
        key(self).cmp(&key(other))
    }
}

impl PartialOrd for Standing {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// All claims on one thing.
#[derive(Debug)]
pub(super) struct Contest<V> {
    // Shared, since a tree's node has room for eleven of them and most things are claimed once.
    claims: BTreeMap<Arc<Standing>, V>,
    /// Who won when it was last settled.
    winner: Option<(Arc<Standing>, V)>,
    /// Claims that came, went or changed since.
    touched: Vec<Arc<Standing>>,
}

impl<V> Default for Contest<V> {
    fn default() -> Self {
        Self { claims: BTreeMap::new(), winner: None, touched: Vec::new() }
    }
}

impl<V: Clone + PartialEq> Contest<V> {
    /// Enters a claim.
    pub(super) fn insert(&mut self, standing: Arc<Standing>, value: V) {
        self.touched.push(standing.clone());
        self.claims.insert(standing, value);
    }

    /// Withdraws a claim.
    pub(super) fn remove(&mut self, standing: Arc<Standing>) {
        self.claims.remove(&standing);
        self.touched.push(standing);
    }

    /// Whether nobody claims it.
    pub(super) fn is_empty(&self) -> bool {
        self.claims.is_empty()
    }

    /// Who won when it was last settled, and what it is now.
    pub(super) fn winner(&self) -> Option<(&Standing, &V)> {
        self.winner.as_ref().map(|(standing, value)| (&**standing, value))
    }

    /// Decides anew. `tell` hears of each claim whose fate may have changed: the claim (`None`: withdrawn) and the
    /// winner. Costs what was touched, unless the winner changed.
    pub(super) fn settle(&mut self, mut tell: impl FnMut(&Standing, Option<&V>, Option<(&Standing, &V)>)) {
        let before = self.winner.take();
        self.winner = self.claims.first_key_value().map(|(standing, value)| (standing.clone(), value.clone()));
        let winner = self.winner.as_ref().map(|(standing, value)| (&**standing, value));
        // Who has withdrawn first: a claim that only changed its standing must have the last word on its object.
        let mut touched = std::mem::take(&mut self.touched);
        touched.sort();
        touched.dedup();
        let (there, gone): (Vec<_>, Vec<_>) = touched.iter().partition(|standing| self.claims.contains_key(*standing));
        for standing in gone.into_iter().chain(there) {
            tell(standing, self.claims.get(standing), winner);
        }
        if before != self.winner {
            self.claims.iter().for_each(|(standing, value)| tell(standing, Some(value), winner));
        }
    }
}
