//! The field that was probably meant: asks the type itself which fields it has at a path.
//!
//! A [`Probe`] is a document that holds nothing but that path. Whatever struct is at its end gives its fields away by
//! the way in which serde asks for them, so there is no second list of fields to keep.

use std::cell::Cell;

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error as _, IntoDeserializer as _, MapAccess, SeqAccess, Visitor, value::Error},
    forward_to_deserialize_any,
};

/// A step down into a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The value of a key.
    Key(String),
    /// A member of a list.
    Member(usize),
}

/// The known field that is spelled most like the last step of `path`; `ask` deserializes the type from the probe,
/// which is erased for the same reason as elsewhere: types are many and their code is long.
pub(super) fn nearest(
    path: &[Step],
    ask: impl FnOnce(&mut dyn erased_serde::Deserializer<'_>),
) -> Option<&'static str> {
    let Some(Step::Key(unknown)) = path.last() else { return None };
    let fields = Cell::new(&[][..]);
    ask(&mut <dyn erased_serde::Deserializer<'_>>::erase(Probe { path, fields: &fields }));
    let spelled =
        |known: &'static str| (strsim::damerau_levenshtein(&unknown.to_lowercase(), &known.to_lowercase()), known);
    let (distance, known) = fields.get().iter().map(|known| spelled(known)).min()?;
    (distance <= unknown.len().max(3) / 3).then_some(known)
}

/// See the module.
#[derive(Clone, Copy)]
struct Probe<'p> {
    path: &'p [Step],
    fields: &'p Cell<&'static [&'static str]>,
}

impl<'p> Probe<'p> {
    fn below(self) -> Self {
        Self { path: self.path.get(1..).unwrap_or_default(), ..self }
    }
}

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.path.first() {
            Some(Step::Key(_)) => visitor.visit_map(Only { probe: self, given: false }),
            Some(Step::Member(_)) => visitor.visit_seq(Only { probe: self, given: false }),
            None => visitor.visit_unit(),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        if self.path.len() == 1 {
            self.fields.set(fields);
            return Err(Error::custom("found"));
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map enum identifier ignored_any
    }
}

/// The only entry of a map, or member of a list.
struct Only<'p> {
    probe: Probe<'p>,
    given: bool,
}

impl<'de> MapAccess<'de> for Only<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        match self.probe.path.first() {
            Some(Step::Key(key)) if !std::mem::replace(&mut self.given, true) => {
                seed.deserialize(key.as_str().into_deserializer()).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        seed.deserialize(self.probe.below())
    }
}

impl<'de> SeqAccess<'de> for Only<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        if std::mem::replace(&mut self.given, true) {
            return Ok(None);
        }
        seed.deserialize(self.probe.below()).map(Some)
    }
}
