//! Which units read what: the way from a change to its dependants.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::unit::Unit;
use crate::{
    kubernetes::{store::Key, view::Read},
    provider::Demand,
};

/// Reads by unit, and units by read.
#[derive(Debug, Default)]
pub(super) struct Readers {
    units: HashMap<Read, HashSet<Unit>>,
    reads: HashMap<Unit, Box<[Read]>>,
    /// Objects that matter by reference only, and are referred to.
    wanted: HashSet<Key>,
    /// Of those, what may have changed since the last demand.
    reconsider: BTreeSet<Key>,
}

impl Readers {
    /// The units that read `read`, in no particular order.
    pub(super) fn of(&self, read: &Read) -> impl Iterator<Item = &Unit> {
        self.units.get(read).into_iter().flatten()
    }

    /// Replaces what `unit` read; nothing forgets the unit.
    pub(super) fn set(&mut self, unit: &Unit, reads: BTreeSet<Read>) {
        if let Some(before) = self.reads.remove(unit) {
            before.iter().filter(|read| !reads.contains(*read)).for_each(|read| self.forget(read, unit));
        }
        for read in &reads {
            match self.units.get_mut(read) {
                Some(units) if units.contains(unit) => {}
                Some(units) => drop(units.insert(unit.clone())),
                None => {
                    self.units.insert(read.clone(), HashSet::from([unit.clone()]));
                    self.reconsider.extend(read.reference());
                }
            }
        }
        if !reads.is_empty() {
            self.reads.insert(unit.clone(), reads.into_iter().collect());
        }
    }

    fn forget(&mut self, read: &Read, unit: &Unit) {
        if let Some(units) = self.units.get_mut(read) {
            units.remove(unit);
            if units.is_empty() {
                self.units.remove(read);
                self.reconsider.extend(read.reference());
            }
        }
    }

    /// What is referred to now and was not when this was last asked, and the other way round.
    pub(super) fn demand(&mut self) -> Demand {
        let mut demand = Demand::default();
        for key in std::mem::take(&mut self.reconsider) {
            let wanted = Read::referring(&key).iter().any(|read| self.units.contains_key(read));
            if wanted && self.wanted.insert(key.clone()) {
                demand.wanted.push(key);
            } else if !wanted && self.wanted.remove(&key) {
                demand.unwanted.push(key);
            }
        }
        demand
    }
}
