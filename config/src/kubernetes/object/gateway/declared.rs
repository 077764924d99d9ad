//! A value that is only known to be there.

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};

/// Stands for any value of a field that Postern does not carry. It reads its content (so that none of it is taken
/// for an unknown field) and keeps nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Declared;

impl<'de> Deserialize<'de> for Declared {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Anything)
    }
}

struct Anything;

impl<'de> Visitor<'de> for Anything {
    type Value = Declared;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Declared, E> {
        Ok(Declared)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Declared, E> {
        Ok(Declared)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Declared, E> {
        Ok(Declared)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Declared, E> {
        Ok(Declared)
    }

    fn visit_str<E>(self, _: &str) -> Result<Declared, E> {
        Ok(Declared)
    }

    fn visit_unit<E>(self) -> Result<Declared, E> {
        Ok(Declared)
    }

    fn visit_none<E>(self) -> Result<Declared, E> {
        Ok(Declared)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Declared, D::Error> {
        Declared::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Declared, A::Error> {
        while items.next_element::<Declared>()?.is_some() {}
        Ok(Declared)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Declared, A::Error> {
        while entries.next_entry::<Declared, Declared>()?.is_some() {}
        Ok(Declared)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_content_is_read_and_none_of_it_counts_as_unknown() {
        let mut unknown = Vec::new();
        let mut json = serde_json::Deserializer::from_str(r#"{"a": [1, {"b": null, "c": 1.5}], "d": "x"}"#);
        let read: Result<Declared, _> = serde_ignored::deserialize(&mut json, |path| unknown.push(path.to_string()));
        assert_eq!(read.ok(), Some(Declared));
        assert_eq!(unknown, Vec::<String>::new());
    }
}
