//! A node's word that an object is in force there: which object, and which state of it.

use sha1::{Digest as _, Sha1};

use crate::{
    kubernetes::{
        object::{Object, Resource as _, Uid, gateway::Gateway},
        status,
        store::Key,
    },
    provider::InForce,
};

/// That a node has an object in force, or has it no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Acknowledgement {
    /// Kind, namespace and name, as a hash that all versions make alike: the first 16 bytes of the SHA-1 of
    /// `kind/namespace/name`.
    pub object: u128,
    /// What is in force of it; `None`: nothing any more.
    pub version: Option<Version>,
}

/// A state of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Version {
    /// Which life of the object: the first 8 bytes of the SHA-1 of its uid; of a Gateway with addresses of its own, by
    /// exclusive or, those of their texts joined by commas too, since the record counts no generations.
    pub uid: u64,
    /// `metadata.generation`.
    pub generation: i64,
}

impl Version {
    /// Of an object at hand.
    pub(super) fn of(object: &Object) -> Self {
        let meta = object.meta();
        let Uid(uid) = meta.uid;
        Self { uid: uid ^ record(object), generation: meta.generation }
    }

    /// Whether somebody who has `self` in force has at least `wanted`.
    pub(super) fn covers(self, wanted: Self) -> bool {
        self.uid == wanted.uid && self.generation >= wanted.generation
    }
}

impl Acknowledgement {
    /// One number of all of it; those of many are combined by exclusive or.
    pub(super) fn hash(&self) -> u64 {
        use std::hash::BuildHasher as _;
        foldhash::fast::FixedState::default().hash_one(self)
    }
}

impl InForce {
    /// Everything that this node has in force and others wait for.
    pub fn acknowledge_all(&self) -> impl Iterator<Item = Acknowledgement> {
        let gated = self.store.iter().filter(|(key, _)| status::waits_for_nodes(key.kind));
        gated.map(|(key, object)| Acknowledgement { object: mark(key), version: Some(Version::of(object)) })
    }

    /// What has changed of it.
    pub fn acknowledge_touched(&self) -> impl Iterator<Item = Acknowledgement> {
        let gated = self.touched.iter().filter(|key| status::waits_for_nodes(key.kind));
        gated.map(|key| Acknowledgement { object: mark(key), version: self.store.get(key).map(Version::of) })
    }
}

/// What stands for the record that nodes serve a Gateway by; 0 where there is none.
fn record(object: &Object) -> u64 {
    let addresses: Vec<_> = Gateway::of(object).into_iter().flat_map(|item| item.body.recorded()).collect();
    if addresses.is_empty() {
        return 0;
    }
    let text = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    Sha1::digest(text.as_bytes()).iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// The hash of `key` that nodes tell each other.
pub(super) fn mark(key: &Key) -> u128 {
    let mut hash = Sha1::new();
    for part in [key.kind.as_str(), "/", &*key.namespace, "/", &*key.name] {
        hash.update(part.as_bytes());
    }
    hash.finalize().iter().take(16).fold(0, |number, byte| number << 8 | u128::from(*byte))
}
