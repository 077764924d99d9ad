//! The objects at hand, by kind, namespace and name.

use std::{collections::BTreeMap, ops::Bound, sync::Arc};

use super::object::{Item, Kind, Object, Resource};
use crate::{model::id::ObjectId, report::Origin};

/// An object's key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Kind.
    pub kind: Kind,
    /// Namespace; empty for cluster-scoped kinds.
    pub namespace: Arc<str>,
    /// Name.
    pub name: Arc<str>,
}

impl Key {
    /// The key of `object`.
    pub fn of(object: &Object) -> Self {
        let meta = object.meta();
        Self { kind: object.kind(), namespace: meta.namespace.clone(), name: meta.name.clone() }
    }

    /// The same as data that any crate may show.
    pub fn id(&self) -> ObjectId {
        ObjectId { kind: self.kind.as_str().into(), namespace: self.namespace.clone(), name: self.name.clone() }
    }
}

/// One change of the objects at hand. A provider sends each object at most once per batch.
#[derive(Clone, Debug)]
pub enum Change {
    /// New or changed.
    Set {
        /// The object.
        object: Object,
        /// Where it was read.
        origin: Option<Origin>,
        /// What the parser found (unknown fields, …); carried into the object's verdict.
        findings: Vec<crate::report::Finding>,
    },
    /// Could not be read as its kind (a wrong type): it gets a verdict and takes no part. `Key` is known.
    Refused {
        /// Which object.
        key: Key,
        /// Where it was read.
        origin: Option<Origin>,
        /// Why; at least one.
        findings: Vec<crate::report::Finding>,
    },
    /// Gone.
    Remove(Key),
}

/// The objects at hand.
#[derive(Clone, Debug, Default)]
pub struct Store {
    objects: BTreeMap<Key, Object>,
}

impl Store {
    /// Puts `object` in place of one with the same key, which is returned.
    pub fn insert(&mut self, object: Object) -> Option<Object> {
        self.objects.insert(Key::of(&object), object)
    }

    /// Takes an object out.
    pub fn remove(&mut self, key: &Key) -> Option<Object> {
        self.objects.remove(key)
    }

    /// One object.
    pub fn get(&self, key: &Key) -> Option<&Object> {
        self.objects.get(key)
    }

    /// All objects of a kind, in one namespace or in all, ordered by namespace and name.
    pub fn all<T: Resource>(&self, namespace: Option<&str>) -> impl Iterator<Item = &Arc<Item<T>>> {
        let namespace: Option<Arc<str>> = namespace.map(Into::into);
        let start = Key { kind: T::KIND, namespace: namespace.clone().unwrap_or_default(), name: Arc::default() };
        self.objects
            .range((Bound::Included(start), Bound::Unbounded))
            .take_while(move |(key, _)| key.kind == T::KIND && namespace.as_ref().is_none_or(|ns| *ns == key.namespace))
            .filter_map(|(_, object)| T::of(object))
    }

    /// Every object, ordered by key.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, &Object)> {
        self.objects.iter()
    }
}
