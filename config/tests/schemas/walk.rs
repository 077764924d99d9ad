//! Each field of a schema by itself: an object that holds it, and one that holds something else in its place.

use proptest::{
    strategy::{Strategy as _, ValueTree as _},
    test_runner::TestRunner,
};
use serde_json::{Map, Value, json};

use crate::{
    invalid, sample,
    schema::{Crd, Schema},
};

/// A step down into a schema.
#[derive(Clone, Copy)]
enum Step<'s> {
    Field(&'s str),
    Member,
    Entry,
}

/// Calls `see` with each field's path, an object with a valid value at it and one with an invalid value at it; fields
/// below it follow while `see` says that it is read.
pub(crate) fn fields(crd: &Crd, see: &mut dyn FnMut(&str, &Value, &Value) -> bool) {
    below(&crd.schema, &crd.schema, &mut Vec::new(), see);
}

fn below<'s>(
    root: &'s Schema,
    schema: &'s Schema,
    path: &mut Vec<Step<'s>>,
    see: &mut dyn FnMut(&str, &Value, &Value) -> bool,
) {
    let mut visit = |step: Step<'s>, next: &'s Schema| {
        path.push(step);
        if see(&spell(path), &with(root, path, &valid), &with(root, path, &invalid)) {
            below(root, next, path, see);
        }
        path.pop();
    };
    match schema {
        Schema::Object { fields, .. } => fields.iter().for_each(|(name, next)| visit(Step::Field(name), next)),
        Schema::Map(values) => visit(Step::Entry, values),
        Schema::List { members, .. } => visit(Step::Member, members),
        _ => {}
    }
}

/// The least value of `schema` that holds, at the end of `path`, what `last` gives for the schema there.
fn with(schema: &Schema, path: &[Step<'_>], last: &dyn Fn(&Schema) -> Value) -> Value {
    let Some((step, rest)) = path.split_first() else { return last(schema) };
    match (schema, step) {
        (Schema::Object { fields, .. }, Step::Field(name)) => {
            let mut value = valid(schema);
            value[*name] = with(&fields[*name], rest, last);
            value
        }
        (Schema::Map(values), Step::Entry) => json!({"key": with(values, rest, last)}),
        (Schema::List { members, .. }, Step::Member) => json!([with(members, rest, last)]),
        _ => panic!("{} is no path of the schema", spell(path)),
    }
}

/// The least value that a schema takes.
fn valid(schema: &Schema) -> Value {
    match schema {
        Schema::Object { fields, required } => {
            let field = |name: &String| (name.clone(), valid(&fields[name]));
            Value::Object(required.iter().map(field).collect::<Map<_, _>>())
        }
        Schema::Map(_) => json!({}),
        Schema::List { members, least, .. } => (0..*least).map(|_| valid(members)).collect(),
        _ => sample::of(schema).new_tree(&mut TestRunner::deterministic()).expect("a value can be drawn").current(),
    }
}

fn spell(path: &[Step<'_>]) -> String {
    path.iter().fold(String::new(), |spelled, step| match step {
        Step::Field(name) if spelled.is_empty() => (*name).to_owned(),
        Step::Field(name) => format!("{spelled}.{name}"),
        Step::Member => format!("{spelled}[]"),
        Step::Entry => format!("{spelled}[*]"),
    })
}

/// Whether an object has something at `path`, in any member of the lists on the way.
pub(crate) fn holds(value: &Value, path: &str) -> bool {
    let (first, rest) = path.split_once('.').unwrap_or((path, ""));
    let (name, is_list) = first.strip_suffix("[]").map_or((first, false), |name| (name, true));
    let found = &value[name];
    let below = |value: &Value| if rest.is_empty() { !value.is_null() } else { holds(value, rest) };
    match found {
        Value::Array(members) if is_list => members.iter().any(below),
        _ => !is_list && below(found),
    }
}
