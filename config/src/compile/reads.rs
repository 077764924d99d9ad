//! Which units read what: the way from a change to its dependants.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::unit::Unit;
use crate::kubernetes::view::Read;

/// Reads by unit, and units by read.
#[derive(Debug, Default)]
pub(super) struct Readers {
    units: HashMap<Read, HashSet<Unit>>,
    reads: HashMap<Unit, Box<[Read]>>,
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
            if !self.units.get(read).is_some_and(|units| units.contains(unit)) {
                self.units.entry(read.clone()).or_default().insert(unit.clone());
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
            }
        }
    }
}
