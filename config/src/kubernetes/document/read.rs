//! `serde_json::Value` of one document → entries: what kind it is, whose name it has, and its typed body.
//!
//! A cluster's objects can enter here too: nothing in this file knows of text or of places in it.

use std::marker::PhantomData;

use serde::{Deserialize as _, Deserializer, de::DeserializeSeed};
use serde_json::{Map, Value};

use super::{
    Entry, Skipped, name,
    nearest::{Step, nearest},
    text,
};
use crate::{
    kubernetes::{
        object::{Kind, Meta, Object, record},
        store::Key,
    },
    report::Finding,
};

/// API groups whose every kind asks for something that is Postern's business: what is not carried is refused.
const OWN_GROUPS: [&str; 5] =
    ["gateway.networking.k8s.io", "gateway.networking.x-k8s.io", "metallb.io", "traefik.io", "traefik.containo.us"];
/// Kinds of these groups that only tell what their own product does.
const REPORTS: [&str; 3] = ["ServiceL2Status", "ServiceBGPStatus", "ConfigurationState"];

/// Fields of `metadata` that the API server or its clients keep for themselves.
const FOREIGN_METADATA: [&str; 10] = [
    "managedFields",
    "resourceVersion",
    "selfLink",
    "ownerReferences",
    "finalizers",
    "generateName",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "clusterName",
    "initializers",
];

/// The entries of a document, whose content begins at `line`. `items` gives the lines of a list's members.
pub(super) fn document(value: Value, items: impl FnOnce() -> Vec<u32>, line: u32) -> Vec<Entry> {
    let Value::Object(mut fields) = value else {
        return vec![broken(
            line,
            "NotAnObject",
            "the document is no Kubernetes object: it must be a mapping with apiVersion and kind",
        )];
    };
    match fields.remove("items") {
        Some(Value::Array(members)) if text_of(&fields, "kind").ends_with("List") => {
            let lines = items();
            let lines = lines.into_iter().chain(std::iter::repeat(line));
            let inherited = Inherited::of(&fields);
            members.into_iter().zip(lines).map(|(member, line)| inherited.member(member, line)).collect()
        }
        Some(other) => {
            fields.insert("items".into(), other);
            vec![object(fields, line)]
        }
        None => vec![object(fields, line)],
    }
}

/// What the members of a typed list (`IngressList`) leave out.
struct Inherited {
    api_version: String,
    kind: String,
}

impl Inherited {
    fn of(list: &Map<String, Value>) -> Self {
        let kind = text_of(list, "kind").trim_end_matches("List").to_owned();
        Self { api_version: text_of(list, "apiVersion").to_owned(), kind }
    }

    fn member(&self, member: Value, line: u32) -> Entry {
        let Value::Object(mut fields) = member else {
            return broken(line, "NotAnObject", "a member of the list is no Kubernetes object");
        };
        if !self.kind.is_empty() && !fields.contains_key("kind") {
            fields.insert("kind".into(), self.kind.clone().into());
            fields.entry("apiVersion").or_insert_with(|| self.api_version.clone().into());
        }
        object(fields, line)
    }
}

/// The entry of an object that came alone and from no text.
pub(super) fn single(value: Value) -> Entry {
    match value {
        Value::Object(fields) => object(fields, 0),
        _ => broken(0, "NotAnObject", "this is no Kubernetes object: it must be a mapping with apiVersion and kind"),
    }
}

fn object(mut fields: Map<String, Value>, line: u32) -> Entry {
    let (api_version, kind) = (text_of(&fields, "apiVersion").to_owned(), text_of(&fields, "kind").to_owned());
    if api_version.is_empty() || kind.is_empty() {
        return broken(line, "MissingKind", "the document is no Kubernetes object: apiVersion or kind is missing");
    }
    let metadata = fields.remove("metadata").unwrap_or_default();
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", &api_version));
    match Kind::find(group, version, &kind) {
        Some(found) => known(found, metadata, fields, line),
        None => {
            let (reason, message, refused) = why_skipped(group, version, &kind);
            let what = Skipped {
                namespace: text_in(&metadata, "namespace").to_owned(),
                name: text_in(&metadata, "name").to_owned(),
                api_version,
                kind,
                reason,
                message,
                refused,
            };
            Entry::Skipped { line, what: Box::new(what) }
        }
    }
}

fn why_skipped(group: &str, version: &str, kind: &str) -> (&'static str, String, bool) {
    let known = Kind::ALL.iter().find(|known| {
        known.as_str() == kind && (known.group() == group || (group == "extensions" && **known == Kind::Ingress))
    });
    if let Some(known) = known {
        let (group, versions) = (known.group(), known.versions().join(" or "));
        let message = format!("version {version} of {kind} is not read: write it as {group}/{versions}");
        return ("VersionNotCarried", message, true);
    }
    if OWN_GROUPS.contains(&group) && REPORTS.contains(&kind) {
        return ("UnknownKind", format!("{kind} of {group} says what another product does, and is not read"), false);
    }
    if OWN_GROUPS.contains(&group) {
        return ("KindNotCarried", format!("{kind} of {group} is not carried yet"), true);
    }
    ("UnknownKind", format!("{kind} is no kind that Postern reads"), false)
}

fn known(kind: Kind, metadata: Value, mut body: Map<String, Value>, line: u32) -> Entry {
    let key = match key(kind, &metadata) {
        Ok(key) => key,
        Err(message) => return broken(line, "InvalidName", message),
    };
    for set_aside in ["apiVersion", "kind"] {
        body.remove(set_aside);
    }
    if let Some(record) = body.remove("status").and_then(|status| record(kind, &status)) {
        body.insert("status".to_owned(), record);
    }
    let mut findings = Vec::new();
    match typed(kind, &key, metadata, body, &mut findings) {
        Ok(object) => Entry::Object { key, object, line, findings },
        Err(refusal) => {
            findings.insert(0, refusal);
            Entry::Refused { key, line, findings }
        }
    }
}

/// Who the object is; its metadata may still be wrong elsewhere.
fn key(kind: Kind, metadata: &Value) -> Result<Key, String> {
    let spelled = kind.as_str();
    for field in ["name", "namespace"] {
        // `name: y`, `namespace: 12`: the API server refuses these too.
        if let Some(value @ (Value::Bool(_) | Value::Number(_))) = metadata.get(field) {
            return Err(format!(
                "metadata.{field} of this {spelled} is read as {value}, which is no text: put it in quotes"
            ));
        }
    }
    let name = text_in(metadata, "name");
    if name.is_empty() {
        return Err(format!("metadata.name of this {spelled} is missing"));
    }
    if let Some(fault) = name::name_fault(kind, name) {
        return Err(format!("metadata.name {name:?} of this {spelled} {fault}"));
    }
    let namespace = match text_in(metadata, "namespace") {
        _ if !kind.is_namespaced() => "",
        "" => "default",
        namespace => namespace,
    };
    match name::label_fault(namespace) {
        Some(fault) if kind.is_namespaced() => {
            Err(format!("metadata.namespace {namespace:?} of {spelled} {name:?} {fault}"))
        }
        _ => Ok(Key { kind, namespace: namespace.into(), name: name.into() }),
    }
}

fn typed(
    kind: Kind,
    key: &Key,
    metadata: Value,
    body: Map<String, Value>,
    findings: &mut Vec<Finding>,
) -> Result<Object, Finding> {
    let secret = kind == Kind::Secret;
    let mut unknown = Vec::new();
    let meta = deserialize(PhantomData::<Meta>, own_metadata(metadata), "metadata", secret, &mut unknown);
    findings.extend(unknown.drain(..).map(|path| {
        let meant = nearest(&path, |probe| drop(Meta::deserialize(probe)));
        unknown_field(join("metadata", &spell(&path)), meant.map(|meant| format!("metadata.{meant}")))
    }));
    let mut meta = meta?;
    meta.name = key.name.clone();
    meta.namespace = key.namespace.clone();
    let object = deserialize(Body { kind, meta }, Value::Object(body), "", secret, &mut unknown);
    findings.extend(unknown.iter().map(|path| {
        let meant = nearest(path, |probe| drop(Object::deserialize(kind, Meta::default(), probe)));
        unknown_field(spell(path), meant.map(str::to_owned))
    }));
    object
}

fn own_metadata(mut metadata: Value) -> Value {
    if let Value::Object(fields) = &mut metadata {
        fields.retain(|key, _| !FOREIGN_METADATA.contains(&key.as_str()));
    }
    metadata
}

struct Body {
    kind: Kind,
    meta: Meta,
}

impl<'de> DeserializeSeed<'de> for Body {
    type Value = Object;

    fn deserialize<D: Deserializer<'de>>(self, body: D) -> Result<Object, D::Error> {
        Object::deserialize(self.kind, self.meta, body)
    }
}

/// Reads `value`, which is found at `at` in the object; fields that nobody knows are added to `unknown`.
fn deserialize<'de, S: DeserializeSeed<'de>>(
    seed: S,
    value: Value,
    at: &str,
    secret: bool,
    unknown: &mut Vec<Vec<Step>>,
) -> Result<S::Value, Finding> {
    let mut track = serde_path_to_error::Track::new();
    let mut note = |path: serde_ignored::Path<'_>| unknown.push(steps(&path));
    let ignored = serde_ignored::Deserializer::new(value, &mut note);
    // Erased, because each kind would otherwise be compiled once more through both adapters: minutes of building.
    let mut erased =
        <dyn erased_serde::Deserializer<'_>>::erase(serde_path_to_error::Deserializer::new(ignored, &mut track));
    let read = seed.deserialize(&mut erased as &mut dyn erased_serde::Deserializer<'_>);
    drop(erased);
    read.map_err(|error| {
        let path = track.path().to_string();
        wrong_type(join(at, path.trim_start_matches('.')), &error.to_string(), secret)
    })
}

fn unknown_field(field: String, meant: Option<String>) -> Finding {
    let remedy = match meant {
        Some(meant) => format!("is {meant} meant?"),
        None => "check its spelling and how deep it is indented, or take it out".to_owned(),
    };
    Finding::ignored(field, "UnknownField", "nobody knows this field, so it has no effect").remedy(remedy)
}

fn wrong_type(field: String, error: &str, secret: bool) -> Finding {
    let error = if secret { text::unquoted(error) } else { error.to_owned() };
    let remedy = match error.split_whitespace().next() {
        Some("missing") => "add the field",
        Some("unknown") => "write one of the values that the field may have",
        _ => "write a value of the type that the field has",
    };
    Finding::refused(field, "InvalidField", error.as_str()).remedy(remedy)
}

fn steps(path: &serde_ignored::Path<'_>) -> Vec<Step> {
    use serde_ignored::Path;
    let (parent, step) = match path {
        Path::Root => return Vec::new(),
        Path::Seq { parent, index } => (parent, Some(Step::Member(*index))),
        Path::Map { parent, key } => (parent, Some(Step::Key(key.clone()))),
        Path::Some { parent } | Path::NewtypeStruct { parent } | Path::NewtypeVariant { parent } => (parent, None),
    };
    let mut steps = steps(parent);
    steps.extend(step);
    steps
}

/// `path` as fields are written in findings: `spec.rules[0].host`.
fn spell(path: &[Step]) -> String {
    path.iter().fold(String::new(), |spelled, step| match step {
        Step::Key(key) => join(&spelled, key),
        Step::Member(index) => format!("{spelled}[{index}]"),
    })
}

fn join(parent: &str, child: &str) -> String {
    match (parent, child) {
        ("", child) => child.to_owned(),
        (parent, "") => parent.to_owned(),
        (parent, child) => format!("{parent}.{child}"),
    }
}

fn text_of<'v>(fields: &'v Map<String, Value>, key: &str) -> &'v str {
    fields.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn text_in<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn broken(line: u32, reason: &'static str, message: impl Into<String>) -> Entry {
    Entry::Broken { line, reason, message: message.into() }
}
