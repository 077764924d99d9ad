//! Slots live while somebody refers to them.

use std::{
    collections::{BTreeSet, HashMap},
    hash::{BuildHasher, Hash},
    sync::Arc,
};

use super::{
    Changed,
    unit::{Content, Unit},
};
use crate::snapshot::{Map, Snapshot};

/// How many units refer to each slot.
#[derive(Debug, Default)]
pub(super) struct Slots(HashMap<Unit, usize>);

impl Slots {
    /// Whether anybody refers to `slot`.
    pub(super) fn is_wanted(&self, slot: &Unit) -> bool {
        self.0.contains_key(slot)
    }

    /// Replaces the references of one unit. Slots that came or went become dirty.
    pub(super) fn replace(&mut self, before: &[Unit], after: &[Unit], dirty: &mut BTreeSet<Unit>) {
        if before == after {
            return;
        }
        for slot in after {
            let count = self.0.entry(slot.clone()).or_insert(0);
            *count += 1;
            if *count == 1 {
                dirty.insert(slot.clone());
            }
        }
        for slot in before {
            let count = self.0.get_mut(slot).map_or(0, |count| {
                *count -= 1;
                *count
            });
            if count == 0 {
                self.0.remove(slot);
                dirty.insert(slot.clone());
            }
        }
    }
}

/// Puts the content of `slot` into the snapshot, or takes it out.
pub(super) fn put(snapshot: &mut Snapshot, changed: &mut Changed, slot: &Unit, content: Content) {
    match slot {
        Unit::Cluster(id) => {
            let content = if let Content::Cluster(content) = content { Some(content) } else { None };
            set(&mut snapshot.clusters, &mut changed.clusters, id, content);
        }
        Unit::Middleware(id) => {
            let content = if let Content::Middleware(content) = content { Some(content) } else { None };
            set(&mut snapshot.middlewares, &mut changed.middlewares, id, content);
        }
        Unit::Certificate(id) => {
            let content = if let Content::Certificate(content) = content { Some(content) } else { None };
            set(&mut snapshot.certificates, &mut changed.certificates, id, content);
        }
        Unit::Object(_) | Unit::OwnNames(_) => {}
    }
}

fn set<K: Clone + Ord + Hash + Eq, V: PartialEq + Clone>(
    map: &mut Map<K, Arc<V>>,
    changed: &mut BTreeSet<K>,
    id: &K,
    content: Option<V>,
) where
    foldhash::fast::RandomState: BuildHasher,
{
    if map.get(id).map(|held| &**held) == content.as_ref() {
        return;
    }
    changed.insert(id.clone());
    match content {
        Some(content) => drop(map.insert(id.clone(), Arc::new(content))),
        None => drop(map.remove(id)),
    }
}
