//! Who may speak: a tag of HMAC-SHA256, cut to 128 bits (RFC 4868), with a key made of the cluster key for this use alone.
//!
//! While two keys are valid a datagram carries a tag of each, so that nodes that have not got the new one yet go on
//! hearing those that have.

use aws_lc_rs::{
    constant_time::verify_slices_are_equal,
    hmac::{HMAC_SHA256, Key, Tag, sign},
};

/// Length of a tag, in bytes.
pub(crate) const TAG: usize = 16;
/// Most tags of a datagram.
pub(crate) const MOST_TAGS: usize = 2;
const USE: &[u8] = b"postern heartbeat";

/// The keys that are valid at one time.
#[derive(Clone, Debug)]
pub struct Keys {
    current: Key,
    previous: Option<Key>,
}

impl Keys {
    /// Of one cluster key, or of two while not every node has the `current` one.
    pub fn new(current: &[u8; 32], previous: Option<&[u8; 32]>) -> Self {
        Self { current: own_key(current), previous: previous.map(own_key) }
    }

    fn iter(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.current).chain(&self.previous)
    }

    /// How many tags [`Self::tag`] writes.
    pub(crate) fn count(&self) -> usize {
        self.iter().count()
    }

    /// Appends the tags of `bytes` to them.
    pub(crate) fn tag(&self, bytes: &mut Vec<u8>) {
        let tags: Vec<Tag> = self.iter().map(|key| sign(key, bytes)).collect();
        tags.iter().for_each(|tag| bytes.extend(cut(tag)));
    }

    /// Whether one of `tags` is of `bytes` and a valid key. How long this takes says nothing about the keys.
    pub(crate) fn verify(&self, bytes: &[u8], tags: &[u8]) -> bool {
        self.iter().any(|key| {
            let own = sign(key, bytes);
            tags.chunks(TAG).any(|tag| verify_slices_are_equal(cut(&own), tag).is_ok())
        })
    }
}

fn own_key(cluster_key: &[u8; 32]) -> Key {
    Key::new(HMAC_SHA256, sign(&Key::new(HMAC_SHA256, cluster_key), USE).as_ref())
}

fn cut(tag: &Tag) -> &[u8] {
    tag.as_ref().get(..TAG).expect("SHA-256 has 32 bytes")
}
