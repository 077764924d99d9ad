//! Shapes of single fields that the API allows and serde does not know by itself.

use std::{collections::BTreeMap, fmt, sync::Arc};

use base64::Engine as _;
use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};

/// Reads `null` as if the field were absent, as the API server does. For fields that are not an `Option`.
pub(super) fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(field: D) -> Result<T, D::Error> {
    Option::deserialize(field).map(Option::unwrap_or_default)
}

/// A field that the API knows and that means nothing to Postern: read, not kept, and not reported as unknown
/// (which `serde::de::IgnoredAny` would be).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unused;

impl<'de> Deserialize<'de> for Unused {
    fn deserialize<D: Deserializer<'de>>(field: D) -> Result<Self, D::Error> {
        field.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Unused {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_bytes<E: Error>(self, _: &[u8]) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_none<E: Error>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E: Error>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<Self, D::Error> {
        inner.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        while items.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self, A::Error> {
        while entries.next_entry::<Self, Self>()?.is_some() {}
        Ok(self)
    }
}

/// Bytes that may be a secret: never printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Bytes(Arc<[u8]>);

impl std::ops::Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl<'de> Deserialize<'de> for Bytes {
    /// From base64, line breaks allowed (as Go's decoder does, which the API server uses).
    fn deserialize<D: Deserializer<'de>>(field: D) -> Result<Self, D::Error> {
        let mut text = String::deserialize(field)?;
        text.retain(|c| c != '\n' && c != '\r');
        match base64::engine::general_purpose::STANDARD.decode(text.trim()) {
            Ok(bytes) => Ok(Self(bytes.into())),
            // The decoder's own message would quote a byte of the secret.
            Err(_) => Err(Error::custom("is not base64; plain text belongs into stringData")),
        }
    }
}

/// What is computed of the rest of an object, once, when it is first asked for. Takes no part in comparisons.
pub(in crate::kubernetes) struct Derived<T>(std::sync::OnceLock<T>);

impl<T> Derived<T> {
    /// The value, computed by `make` if nobody asked before.
    pub(in crate::kubernetes) fn get_or_init(&self, make: impl FnOnce() -> T) -> &T {
        self.0.get_or_init(make)
    }
}

impl<T> Default for Derived<T> {
    fn default() -> Self {
        Self(std::sync::OnceLock::new())
    }
}

impl<T> PartialEq for Derived<T> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl<T> fmt::Debug for Derived<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(derived)")
    }
}

/// Named contents, of which `plain` wins over `encoded`.
pub(super) fn merge(
    encoded: BTreeMap<Arc<str>, Bytes>,
    plain: BTreeMap<Arc<str>, Arc<str>>,
) -> BTreeMap<Arc<str>, Bytes> {
    let mut all = encoded;
    all.extend(plain.into_iter().map(|(name, text)| (name, Bytes(text.as_bytes().into()))));
    all
}
