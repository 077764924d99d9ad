//! Text of one document → `serde_json::Value`, by the rules that kubectl reads YAML and JSON with.
//!
//! Foreign text: depth, nodes, aliases and merges are bounded, NUL and invalid UTF-8 are named. What is wrong is said
//! without quoting the text where it may be a Secret's.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};

/// Why a document cannot be read.
#[derive(Debug, PartialEq)]
pub(super) struct Broken {
    /// Line in the document, from 0.
    pub(super) line: u32,
    /// Machine-readable.
    pub(super) reason: &'static str,
    /// What and how to mend it.
    pub(super) message: String,
}

/// Reads a document; `None` when there is nothing in it.
pub(super) fn parse(chunk: &[u8]) -> Result<Option<Value>, Broken> {
    let text = decode(chunk)?;
    let value = if text.trim_start().starts_with('{') { json_or_yaml(text)? } else { yaml(text)? };
    Ok(Some(value).filter(|value| !value.is_null()))
}

fn decode(chunk: &[u8]) -> Result<&str, Broken> {
    let line_of = |at: usize| super::split::newlines(&chunk[..at]);
    let text = str::from_utf8(chunk).map_err(|error| Broken {
        line: line_of(error.valid_up_to()),
        reason: "InvalidUtf8",
        message: "the document is not UTF-8 text: save it as UTF-8".into(),
    })?;
    match memchr::memchr(0, chunk) {
        Some(at) => Err(Broken {
            line: line_of(at),
            reason: "InvalidCharacter",
            message: "the document contains a NUL byte: is it a text file, and wholly written?".into(),
        }),
        None => Ok(text.trim_start_matches('\u{feff}')),
    }
}

/// JSON is read as such, which is exact and ten times faster; what merely looks like it is YAML in flow style.
fn json_or_yaml(text: &str) -> Result<Value, Broken> {
    let error = match serde_json::from_str::<Plain>(text) {
        Ok(value) => return Ok(value.0),
        Err(error) => error,
    };
    let message = without_place(&error.to_string());
    let reason = match message.as_str() {
        duplicate if duplicate.starts_with(DUPLICATE) => "DuplicateKey",
        "recursion limit exceeded" => "TooComplex",
        _ => "InvalidJson",
    };
    match yaml(text) {
        Err(_) if reason != "InvalidJson" || quotes_its_keys(text) => {
            let line = u32::try_from(error.line().saturating_sub(1)).unwrap_or(u32::MAX);
            Err(Broken { line, reason, message: format!("the document cannot be read as JSON: {message}") })
        }
        read => read,
    }
}

fn quotes_its_keys(text: &str) -> bool {
    text.trim_start().trim_start_matches('{').trim_start().starts_with('"')
}

fn yaml(text: &str) -> Result<Value, Broken> {
    serde_saphyr::from_str_with_options::<Plain>(text, options())
        .map(|value| value.0)
        .map_err(|error| broken(&error, text))
}

/// kubectl's scalars, and bounds that the largest real documents (a list of all objects of a cluster) stay below.
pub(super) fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        legacy_octal_numbers: true,
        with_snippet: false,
        budget: serde_saphyr::budget! {
            max_documents: 4,
            max_nodes: 3_000_000,
            max_events: 6_000_000,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 100_000 },
    }
}

fn broken(error: &serde_saphyr::Error, text: &str) -> Broken {
    let line = error.location().map_or(0, |at| u32::try_from(at.line().saturating_sub(1)).unwrap_or(u32::MAX));
    let (reason, said) = match error.without_snippet() {
        serde_saphyr::Error::DuplicateMappingKey { key, .. } => {
            ("DuplicateKey", format!("{DUPLICATE} `{}`", key.as_deref().unwrap_or_default()))
        }
        _ if is_limit(&error.to_string()) => {
            ("TooComplex", "it is nested too deeply, too large, or repeats itself through aliases".to_owned())
        }
        _ => ("InvalidYaml", without_place(&error.to_string())),
    };
    let said = if text.contains("Secret") { unquoted(&said) } else { said };
    Broken { line, reason, message: format!("the document cannot be read as YAML: {said}") }
}

/// Whether a bound was hit. Errors below an alias arrive wrapped, so that only their text tells.
fn is_limit(message: &str) -> bool {
    ["budget breached", "recursion limit", "alias replay", "alias expansion"]
        .iter()
        .any(|limit| message.contains(limit))
}

/// The message without the position at its end or beginning, which is relative to the document and would mislead.
fn without_place(message: &str) -> String {
    let message = message.strip_prefix("error: ").unwrap_or(message);
    let message = match message.split_once(": ") {
        Some((place, rest)) if place.starts_with("line ") => rest,
        _ => message,
    };
    let end = message.find(" at line ").unwrap_or(message.len());
    message[..end].replace('\n', " ")
}

/// The message with everything between quotes blotted out.
pub(super) fn unquoted(message: &str) -> String {
    let mut quote = None;
    let mut out = String::with_capacity(message.len());
    for character in message.chars() {
        match quote {
            None => {
                out.push(character);
                if matches!(character, '"' | '`' | '\'') {
                    quote = Some(character);
                    out.push('…');
                }
            }
            Some(open) if open == character => {
                quote = None;
                out.push(character);
            }
            Some(_) => {}
        }
    }
    out
}

const DUPLICATE: &str = "duplicate key";

/// A value in which a null field is no field, as for the API server, and no key comes twice.
struct Plain(Value);

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PlainVisitor)
    }
}

struct PlainVisitor;

impl<'de> Visitor<'de> for PlainVisitor {
    type Value = Plain;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Plain, E> {
        Ok(Plain(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Plain, E> {
        Ok(Plain(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Plain, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Plain, E> {
        Ok(Plain(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Plain, E> {
        Ok(Plain(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Plain, E> {
        Ok(Plain(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Plain, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("a number must be finite"))?;
        Ok(Plain(number.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Plain, E> {
        Ok(Plain(value.into()))
    }

    fn visit_string<E>(self, value: String) -> Result<Plain, E> {
        Ok(Plain(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Plain, A::Error> {
        let mut values = Vec::new();
        while let Some(Plain(value)) = items.next_element()? {
            values.push(value);
        }
        Ok(Plain(values.into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Plain, A::Error> {
        let mut map = Map::new();
        while let Some((key, Plain(value))) = fields.next_entry::<String, Plain>()? {
            if map.contains_key(&key) {
                return Err(A::Error::custom(format!("{DUPLICATE} `{key}`")));
            }
            map.insert(key, value);
        }
        map.retain(|_, value| !value.is_null());
        Ok(Plain(map.into()))
    }
}
