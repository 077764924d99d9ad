//! What of a request is needed to send it again: its fields and its body.
//!
//! hyper takes a request's fields by value and keeps them once it has written them. Almost no request is sent twice, so
//! that a second map for each, with a counted reference to every name and value, would be made in vain: what is kept is
//! their text, and a map is made of it when a try has failed.

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use http_body::Body as _;

use super::{body::Tracked, retry::Trouble};
use crate::exchange::Body;

/// Fields between tries.
pub(super) struct Fields {
    /// Empty while a try has them.
    map: HeaderMap,
    /// Per field: a [`Lengths`], the name, the value.
    kept: Box<[u8]>,
}

impl Fields {
    pub(super) fn new(map: HeaderMap) -> Self {
        Self { map, kept: Box::default() }
    }

    /// For looking at, between tries.
    pub(super) fn map(&self) -> &HeaderMap {
        &self.map
    }

    /// For a try.
    pub(super) fn take(&mut self) -> HeaderMap {
        if self.kept.is_empty() {
            self.kept = keep(&self.map);
        }
        std::mem::take(&mut self.map)
    }

    /// A try has failed: there must be fields for the next one.
    pub(super) fn renew(&mut self) {
        if self.map.is_empty() {
            self.map = restore(&self.kept);
        }
    }
}

/// Length of the value, then of the name, then whether the value is sensitive.
type Lengths = [u8; 8];

fn keep(map: &HeaderMap) -> Box<[u8]> {
    let size = map.iter().map(|(name, value)| size_of::<Lengths>() + name.as_str().len() + value.len()).sum();
    let mut kept = vec![0; size].into_boxed_slice();
    let mut room = &mut *kept;
    for (name, value) in map {
        let name = name.as_str();
        // `HeaderName` ends at 64 KiB, and a value at the bounds that the settings put to heads.
        let lengths = value.len() as u64 | (name.len() as u64) << 32 | u64::from(value.is_sensitive()) << 56;
        room = put(put(put(room, &lengths.to_le_bytes()), name.as_bytes()), value.as_bytes());
    }
    kept
}

/// Writes `bytes` at the begin of `room` and returns the rest of it.
fn put<'r>(room: &'r mut [u8], bytes: &[u8]) -> &'r mut [u8] {
    let (here, rest) = room.split_at_mut(bytes.len());
    here.copy_from_slice(bytes);
    rest
}

fn restore(mut kept: &[u8]) -> HeaderMap {
    let mut map = HeaderMap::new();
    while let Some((name, value, rest)) = split_field(kept) {
        map.append(name, value);
        kept = rest;
    }
    map
}

fn split_field(kept: &[u8]) -> Option<(HeaderName, HeaderValue, &[u8])> {
    let (lengths, rest) = kept.split_first_chunk::<{ size_of::<Lengths>() }>()?;
    let lengths = u64::from_le_bytes(*lengths);
    let (name, rest) = rest.split_at_checked((lengths >> 32 & 0xff_ffff) as usize)?;
    let (value, rest) = rest.split_at_checked((lengths & 0xffff_ffff) as usize)?;
    let mut value = HeaderValue::from_bytes(value).ok()?;
    value.set_sensitive(lengths >> 56 == 1);
    Some((HeaderName::from_bytes(name).ok()?, value, rest))
}

/// A request's body between tries.
pub(super) enum Payload {
    /// There is none: it can be sent as often as needed.
    Empty,
    /// It can be sent again while nobody has read of it.
    Tracked(Tracked),
    /// It can be sent, and is gone then unless it comes back.
    Once(Option<Body>),
}

impl Payload {
    pub(super) fn new(body: Body, method: &Method, track: bool) -> Self {
        if body.is_end_stream() {
            Self::Empty
        } else if track || Trouble::Reset.may_repeat(method, true) {
            Self::Tracked(Tracked::new(body))
        } else {
            Self::Once(Some(body))
        }
    }

    pub(super) fn take(&mut self) -> (Body, Option<Tracked>) {
        match self {
            Self::Empty => (Body::Empty, None),
            Self::Tracked(tracked) => {
                tracked.renew();
                (tracked.body(), Some(tracked.clone()))
            }
            Self::Once(body) => (body.take().unwrap_or_default(), None),
        }
    }

    pub(super) fn put_back(&mut self, returned: Option<Body>) {
        if let Self::Once(body) = self
            && returned.is_some()
        {
            *body = returned;
        }
    }

    /// The body, where all of it can still be sent.
    pub(super) fn into_body(self) -> Option<Body> {
        match self {
            Self::Empty => Some(Body::Empty),
            Self::Tracked(mut tracked) if tracked.is_untouched() => {
                tracked.renew();
                Some(tracked.body())
            }
            Self::Tracked(_) => None,
            Self::Once(body) => body,
        }
    }

    pub(super) fn is_intact(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Tracked(tracked) => tracked.is_untouched(),
            Self::Once(body) => body.is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_sent_again_is_what_was_sent(fields in proptest::collection::vec(
            ("[a-z][a-z0-9-]{0,20}", proptest::collection::vec(prop_oneof![Just(9_u8), 32..127_u8, 128..=255_u8], 0..40), any::<bool>()),
            0..20,
        )) {
            let mut map = HeaderMap::new();
            for (name, value, sensitive) in &fields {
                let mut value = HeaderValue::from_bytes(value).expect("a valid value");
                value.set_sensitive(*sensitive);
                map.append(HeaderName::from_bytes(name.as_bytes()).expect("a valid name"), value);
            }
            let mut kept = Fields::new(map.clone());
            for _ in 0..3 {
                prop_assert_eq!(kept.map(), &map);
                let sent = kept.take();
                let sensitive = |map: &HeaderMap| map.values().map(HeaderValue::is_sensitive).collect::<Vec<_>>();
                prop_assert_eq!(sensitive(&sent), sensitive(&map));
                prop_assert_eq!(sent, map.clone());
                kept.renew();
            }
        }
    }
}
