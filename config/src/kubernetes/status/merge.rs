//! Our parts of a `.status` among those of others.
//!
//! A status belongs to several: conditions by their type, entries of lists by the controller that they name. What is
//! not ours stays as it is and where it is; what is ours and no longer wanted goes; what is new comes last. So the order
//! depends on who came first, and [`fingerprint`] looks away from it.

use std::{collections::BTreeSet, sync::Arc};

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use sha1::{Digest as _, Sha1};

use super::{Desired, Entry, Field, condition::Condition, shape};
use crate::kubernetes::object::Kind;

/// What the API lets a list of conditions have.
const MOST_CONDITIONS: usize = 8;

/// Which parts of a kind's `.status` are ours.
pub(super) struct Shape {
    /// Fields that are ours as a whole.
    pub(super) fields: &'static [&'static str],
    /// Types of our conditions.
    pub(super) conditions: &'static [&'static str],
    /// The list of entries, where the kind has one.
    pub(super) list: Option<List>,
}

/// A list of entries, each with conditions.
pub(super) struct List {
    /// Its field.
    pub(super) name: &'static str,
    /// Fields that tell one entry from another.
    pub(super) identity: &'static [&'static str],
    /// Whether each entry names its controller; otherwise all are ours.
    pub(super) shared: bool,
    /// How many entries the API allows.
    pub(super) most: usize,
    /// Fields of an entry that are ours, beside `identity`.
    pub(super) fields: &'static [&'static str],
    /// Types of our conditions in an entry.
    pub(super) conditions: &'static [&'static str],
}

type Status = Map<String, Value>;

/// The whole new `.status`, given the one in the cluster; `None` when that shows already what it should, or is about a
/// newer generation than ours: then whoever wrote it knows more than we do, and we are told soon.
pub fn merge(current: &Value, desired: &Desired, now: Timestamp) -> Option<Value> {
    let shape = shape(desired.kind)?;
    let before = current.as_object().cloned().unwrap_or_default();
    if is_ahead(&before, shape, desired) {
        return None;
    }
    let stamp = Stamp { generation: desired.generation, now };
    let mut status = before.clone();
    put_fields(&mut status, &desired.fields);
    let types: Vec<_> = shape.conditions.iter().copied().filter(|kind| !desired.left.contains(kind)).collect();
    stamp.put_conditions(&mut status, &types, &desired.conditions);
    if let Some(list) = &shape.list {
        put_entries(&mut status, list, desired, &stamp);
    }
    (status != before).then_some(Value::Object(status))
}

/// What the part of `.status` that is ours says, in 16 bytes; times and places are left out. While it equals
/// [`Desired::fingerprint`], [`merge`] has nothing to write. It has nothing either where others left no room in a list, or
/// are ahead of us; in every other case it has.
pub fn fingerprint(kind: Kind, status: &Value, controllers: &[Arc<str>]) -> u128 {
    let mut text = String::new();
    if let Some(shape) = shape(kind) {
        let nothing = Status::new();
        write_canonical(&ours(status.as_object().unwrap_or(&nothing), shape, controllers), &mut text);
    }
    let digest = Sha1::digest(text.as_bytes());
    digest.iter().take(16).fold(0, |number, byte| number << 8 | u128::from(*byte))
}

impl Desired {
    /// The [`fingerprint`] of a status that shows this.
    pub fn fingerprint(&self) -> u128 {
        let status = merge(&Value::Null, self, Timestamp::UNIX_EPOCH).unwrap_or_else(|| json!({}));
        fingerprint(self.kind, &status, &self.controllers)
    }
}

/// When, and of which generation, a condition is written.
struct Stamp {
    generation: i64,
    now: Timestamp,
}

impl Stamp {
    fn put_conditions(&self, status: &mut Status, types: &[&str], wanted: &[Condition]) {
        let mut left: Vec<_> = wanted.iter().collect();
        let mut conditions = Vec::new();
        for existing in array(status, "conditions") {
            if !is_of_type(existing, types) {
                conditions.push(existing.clone());
            } else if let Some(at) = left.iter().position(|wanted| is_of_type(existing, &[wanted.kind])) {
                conditions.push(self.condition(existing, left.remove(at)));
            }
        }
        let room = MOST_CONDITIONS.saturating_sub(conditions.len());
        conditions.extend(left.into_iter().take(room).map(|wanted| self.condition(&Value::Null, wanted)));
        put_array(status, "conditions", conditions);
    }

    /// Now, or what the last writer took for now, whose clock may have been ahead: times of transitions never go back.
    fn not_before(&self, existing: &Value) -> Timestamp {
        let last = existing.get("lastTransitionTime").and_then(Value::as_str).and_then(|time| time.parse().ok());
        last.map_or(self.now, |last: Timestamp| last.max(self.now))
    }

    fn condition(&self, existing: &Value, wanted: &Condition) -> Value {
        let status = if wanted.holds { "True" } else { "False" };
        let same = existing.get("status").and_then(Value::as_str) == Some(status);
        let since = existing.get("lastTransitionTime").filter(|since| same && since.is_string());
        let mut condition = existing.as_object().cloned().unwrap_or_default();
        for (field, value) in [
            ("type", json!(wanted.kind)),
            ("status", json!(status)),
            ("reason", json!(wanted.reason)),
            ("message", json!(wanted.message)),
            ("lastTransitionTime", since.cloned().unwrap_or_else(|| json!(seconds(self.not_before(existing))))),
        ] {
            condition.insert(field.to_owned(), value);
        }
        // Kinds whose changes are not counted have none, and the API leaves a zero out.
        match self.generation {
            0 => drop(condition.remove("observedGeneration")),
            generation => drop(condition.insert("observedGeneration".to_owned(), json!(generation))),
        }
        Value::Object(condition)
    }
}

/// The API keeps whole seconds; more of them would come back changed.
fn seconds(now: Timestamp) -> String {
    Timestamp::from_second(now.as_second()).unwrap_or(now).to_string()
}

fn put_entries(status: &mut Status, list: &List, desired: &Desired, stamp: &Stamp) {
    let mut left: Vec<_> = desired.entries.iter().collect();
    let mut entries = Vec::new();
    for existing in array(status, list.name) {
        if !list.owns(existing, &desired.controllers) {
            entries.push(existing.clone());
        } else if let Some(at) = left.iter().position(|wanted| has(existing, &wanted.identity)) {
            entries.push(entry(existing, left.remove(at), list, stamp));
        }
    }
    let room = list.most.saturating_sub(entries.len());
    entries.extend(left.into_iter().take(room).map(|wanted| entry(&Value::Null, wanted, list, stamp)));
    put_array(status, list.name, entries);
}

fn entry(existing: &Value, wanted: &Entry, list: &List, stamp: &Stamp) -> Value {
    let mut entry = existing.as_object().cloned().unwrap_or_default();
    put_fields(&mut entry, &wanted.identity);
    put_fields(&mut entry, &wanted.fields);
    stamp.put_conditions(&mut entry, list.conditions, &wanted.conditions);
    Value::Object(entry)
}

impl List {
    fn owns(&self, entry: &Value, controllers: &[Arc<str>]) -> bool {
        let controller = || entry.get("controllerName").and_then(Value::as_str);
        !self.shared || controller().is_some_and(|name| controllers.iter().any(|ours| **ours == *name))
    }
}

fn has(entry: &Value, identity: &[Field]) -> bool {
    identity.iter().all(|(name, value)| entry.get(name) == Some(value))
}

/// What says nothing is left out, and left alone where it is spelled otherwise.
fn put_fields(status: &mut Status, fields: &[Field]) {
    for (name, value) in fields {
        if !is_nothing(value) {
            status.insert((*name).to_owned(), value.clone());
        } else if status.get(*name).is_some_and(|existing| !is_nothing(existing)) {
            status.remove(*name);
        }
    }
}

/// A list that was there stays there, even when it is empty: the API wants it.
fn put_array(status: &mut Status, name: &str, values: Vec<Value>) {
    let was_there = status.get(name).is_some_and(Value::is_array);
    if was_there || !values.is_empty() {
        status.insert(name.to_owned(), Value::Array(values));
    }
}

fn array<'a>(status: &'a Status, name: &str) -> &'a [Value] {
    status.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(values) => values.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

fn is_of_type(condition: &Value, types: &[&str]) -> bool {
    condition.get("type").and_then(Value::as_str).is_some_and(|kind| types.contains(&kind))
}

/// Whether a condition of ours is about a newer generation of the object than the one at hand.
fn is_ahead(status: &Status, shape: &Shape, desired: &Desired) -> bool {
    let newer = |status: &Status, types: &[&str]| {
        let generation = |condition: &Value| condition.get("observedGeneration").and_then(Value::as_i64);
        let ours = array(status, "conditions").iter().filter(|condition| is_of_type(condition, types));
        ours.filter_map(generation).any(|seen| seen > desired.generation)
    };
    let in_entries = |list: &List| {
        let ours = array(status, list.name).iter().filter(|entry| list.owns(entry, &desired.controllers));
        ours.filter_map(Value::as_object).any(|entry| newer(entry, list.conditions))
    };
    newer(status, shape.conditions) || shape.list.as_ref().is_some_and(in_entries)
}

/// What of `status` is ours, without times and places.
fn ours(status: &Status, shape: &Shape, controllers: &[Arc<str>]) -> Value {
    let mut parts = parts(status, &[], shape.fields, shape.conditions);
    if let Some(list) = &shape.list {
        let entries = array(status, list.name).iter().filter(|entry| list.owns(entry, controllers));
        let of_entry = |entry: &Value| match entry.as_object() {
            Some(fields) => parts_of_entry(fields, list),
            None => entry.clone(),
        };
        parts.insert(list.name.to_owned(), unordered(entries.map(of_entry)));
    }
    parts.retain(|_, value| !is_nothing(value));
    Value::Object(parts)
}

fn parts_of_entry(entry: &Status, list: &List) -> Value {
    Value::Object(parts(entry, list.identity, list.fields, list.conditions))
}

fn parts(status: &Status, identity: &[&str], fields: &[&str], types: &[&str]) -> Status {
    let field = |name: &&str| Some(((*name).to_owned(), status.get(*name)?.clone()));
    let mut parts: Status = identity.iter().chain(fields).filter_map(field).collect();
    let conditions = array(status, "conditions").iter().filter(|condition| is_of_type(condition, types));
    parts.insert("conditions".to_owned(), unordered(conditions.map(without_time)));
    parts.retain(|_, value| !is_nothing(value));
    parts
}

fn without_time(condition: &Value) -> Value {
    let field = |name: &str| condition.get(name).cloned().unwrap_or_default();
    json!({
        "type": field("type"),
        "status": field("status"),
        "reason": field("reason"),
        "message": field("message"),
        "observedGeneration": field("observedGeneration"),
        "hasTime": field("lastTransitionTime").is_string(),
    })
}

/// Values whose order says nothing, as one value.
fn unordered(values: impl Iterator<Item = Value>) -> Value {
    let text = |value: Value| {
        let mut text = String::new();
        write_canonical(&value, &mut text);
        text
    };
    let mut texts: Vec<_> = values.map(text).collect();
    texts.sort();
    texts.into()
}

/// JSON with sorted keys, whatever order the map keeps.
fn write_canonical(value: &Value, text: &mut String) {
    match value {
        Value::Object(fields) => {
            text.push('{');
            for name in fields.keys().collect::<BTreeSet<_>>() {
                text.push_str(&json!(name).to_string());
                text.push(':');
                write_canonical(fields.get(name).unwrap_or(&Value::Null), text);
                text.push(',');
            }
            text.push('}');
        }
        Value::Array(values) => {
            text.push('[');
            for value in values {
                write_canonical(value, text);
                text.push(',');
            }
            text.push(']');
        }
        plain => text.push_str(&plain.to_string()),
    }
}
