//! `postern.yaml` as a tree of texts that know their lines. What the texts mean is [`super::key`]'s.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

/// What a key holds, wherever it was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Nothing (`key:`).
    Empty,
    /// A text, number or truth value.
    Text(String),
    /// A list of texts.
    List(Vec<String>),
    /// Keys with their lines.
    Map(Vec<Entry>),
}

/// One key of a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Line, from 1.
    pub line: u64,
    /// What it holds.
    pub value: Value,
}

/// Reads a document; the error is one line, with the line it is about.
pub fn parse(text: &str) -> Result<Vec<Entry>, (u64, String)> {
    match serde_saphyr::from_str::<Value>(text) {
        Ok(Value::Map(entries)) => Ok(entries),
        Ok(Value::Empty) => Ok(Vec::new()),
        Ok(Value::Text(_) | Value::List(_)) => Err((1, "a map of keys is wanted, for example `workers: 4`".into())),
        // An empty document has no value at all.
        Err(_) if text.lines().all(|line| line.trim().is_empty() || line.trim().starts_with('#')) => Ok(Vec::new()),
        Err(error) => Err(describe(&error)),
    }
}

fn describe(error: &serde_saphyr::Error) -> (u64, String) {
    let line = error.location().map_or(1, |location| location.line());
    let text = error.without_snippet().to_string();
    (line, text.lines().next().unwrap_or("is not YAML").to_owned())
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a number, true, false, a list of these, or a map")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Text(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Text(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Text(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Text(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Empty)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Empty)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element::<Value>()? {
            match item {
                Value::Text(text) => list.push(text),
                _ => return Err(serde::de::Error::custom("a list holds texts and numbers only")),
            }
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some((key, value)) = map.next_entry::<Spanned<String>, Value>()? {
            entries.push(Entry { line: key.referenced.line(), key: key.value, value });
        }
        Ok(Value::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_know_their_lines() {
        let entries = parse("# head\nworkers: 4\nlimits:\n  idle: 3m\n").expect("valid");
        let lines: Vec<_> = entries.iter().map(|entry| (entry.key.as_str(), entry.line)).collect();
        assert_eq!(lines, [("workers", 2), ("limits", 3)]);
        let inner = Entry { key: "idle".into(), line: 4, value: Value::Text("3m".into()) };
        assert_eq!(entries.get(1).map(|entry| &entry.value), Some(&Value::Map(vec![inner])));
    }

    #[test]
    fn an_empty_file_says_nothing_and_a_broken_one_says_where() {
        assert_eq!(parse(""), Ok(vec![]));
        assert_eq!(parse("# only a comment\n"), Ok(vec![]));
        assert_eq!(parse("a: 1\na: 2\n").map_err(|(line, _)| line), Err(2), "duplicate key");
        assert!(parse("- a\n").is_err());
    }
}
