//! A map by name that is small for almost every host: few entries side by side, many in a persistent hash map, whose
//! nodes of 32 would cost each host of one path more than all else that is kept of it.

use std::sync::Arc;

use super::Map;

/// The most entries that are kept side by side.
const FEW: usize = 8;

/// A map from names. Which of its two forms it has depends on its length alone, so that equal maps are equal.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum SmallMap<V: Clone> {
    /// Sorted.
    Few(Vec<(Arc<str>, V)>),
    Many(Map<Arc<str>, V>),
}

impl<V: Clone> Default for SmallMap<V> {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl<V: Clone> SmallMap<V> {
    pub(super) fn get(&self, name: &str) -> Option<&V> {
        match self {
            Self::Few(entries) => entries.iter().find(|(key, _)| **key == *name).map(|(_, value)| value),
            Self::Many(map) => map.get(name),
        }
    }

    pub(super) fn insert(&mut self, name: &Arc<str>, value: V) {
        let entries = match self {
            Self::Many(map) => {
                map.insert(name.clone(), value);
                return;
            }
            Self::Few(entries) => entries,
        };
        match entries.binary_search_by(|(key, _)| key.cmp(name)) {
            Ok(at) => {
                if let Some(entry) = entries.get_mut(at) {
                    entry.1 = value;
                }
            }
            Err(at) => {
                entries.reserve_exact(1);
                entries.insert(at, (name.clone(), value));
            }
        }
        if entries.len() > FEW {
            *self = Self::Many(std::mem::take(entries).into_iter().collect());
        }
    }

    pub(super) fn remove(&mut self, name: &str) {
        match self {
            Self::Few(entries) => entries.retain(|(key, _)| **key != *name),
            Self::Many(map) => {
                map.remove(name);
                if map.len() <= FEW {
                    let mut entries: Vec<_> = std::mem::take(map).into_iter().collect();
                    entries.sort_by(|(a, _), (b, _)| a.cmp(b));
                    *self = Self::Few(entries);
                }
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Few(entries) if entries.is_empty())
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &V> {
        let (few, many) = match self {
            Self::Few(entries) => (Some(entries), None),
            Self::Many(map) => (None, Some(map)),
        };
        few.into_iter().flatten().map(|(_, value)| value).chain(many.into_iter().flat_map(|map| map.values()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_map_whose_form_depends_on_its_length_alone(steps in proptest::collection::vec((0..14_u8, any::<bool>()), 0..80)) {
            let (mut map, mut model) = (SmallMap::default(), BTreeMap::new());
            for (n, (name, insert)) in steps.into_iter().enumerate() {
                let name: Arc<str> = name.to_string().into();
                if insert {
                    map.insert(&name, n);
                    model.insert(name, n);
                } else {
                    map.remove(&name);
                    model.remove(&name);
                }
                let mut fresh = SmallMap::default();
                model.iter().for_each(|(name, n)| fresh.insert(name, *n));
                prop_assert_eq!(&map, &fresh);
                prop_assert_eq!(matches!(map, SmallMap::Few(_)), model.len() <= FEW);
                prop_assert!(model.iter().all(|(name, n)| map.get(name) == Some(n)));
                prop_assert_eq!(map.values().count(), model.len());
                prop_assert_eq!(map.is_empty(), model.is_empty());
            }
        }
    }
}
