//! Random values that a schema takes.

use proptest::{collection, option, prelude::*, sample::select, string::string_regex};
use regex::Regex;
use serde_json::{Map, Value, json};

use crate::schema::Schema;

/// More members than this only make one case slower.
const MOST_MEMBERS: usize = 3;
const MOST_LETTERS: usize = 12;

/// Any value of the schema. An optional field may also be `null`, which an API server takes for its absence.
pub(crate) fn of(schema: &Schema) -> BoxedStrategy<Value> {
    match schema {
        Schema::Object { fields, required } => {
            let fields: Vec<_> =
                fields.iter().map(|(name, field)| one_field(name, field, required.contains(name))).collect();
            fields.prop_map(|fields| Value::Object(fields.into_iter().flatten().collect())).boxed()
        }
        Schema::Map(values) => collection::btree_map("[a-z]{1,8}", of(values), 0..MOST_MEMBERS)
            .prop_map(|entries| Value::Object(entries.into_iter().collect::<Map<_, _>>()))
            .boxed(),
        Schema::List { members, least, most } => {
            collection::vec(of(members), *least..=(*most).min(MOST_MEMBERS).max(*least)).prop_map(Value::Array).boxed()
        }
        Schema::Text { choices, pattern, least, most } => text(choices, pattern.as_deref(), *least, *most),
        Schema::Integer { least, most } => {
            prop_oneof![(*least..=*most), Just(*least), Just(*most)].prop_map(|number| json!(number)).boxed()
        }
        Schema::Boolean => any::<bool>().prop_map(Value::Bool).boxed(),
        Schema::IntOrString => {
            prop_oneof![any::<i32>().prop_map(|number| json!(number)), "[0-9]{1,5}(ms|s|%)?".prop_map(Value::String)]
                .boxed()
        }
        Schema::Anything => select(vec![json!({}), json!("text"), json!(1), json!({"a": [{"b": true}, null]})]).boxed(),
    }
}

fn one_field(name: &str, schema: &Schema, required: bool) -> BoxedStrategy<Option<(String, Value)>> {
    let name = name.to_owned();
    let named = move |value| (name.clone(), value);
    if required {
        of(schema).prop_map(named).prop_map(Some).boxed()
    } else {
        let value = prop_oneof![9 => of(schema), 1 => Just(Value::Null)];
        option::weighted(0.4, value.prop_map(named)).boxed()
    }
}

fn text(choices: &[String], pattern: Option<&str>, least: usize, most: usize) -> BoxedStrategy<Value> {
    if !choices.is_empty() {
        return select(choices.to_vec()).prop_map(Value::String).boxed();
    }
    let fits = move |text: &String| (least..=most).contains(&text.chars().count());
    let Some(pattern) = pattern else {
        let lengths = format!("\\PC{{{least},{}}}", MOST_LETTERS.max(least).min(most));
        return string_regex(&lengths).expect("a range of lengths").prop_map(Value::String).boxed();
    };
    let regex = Regex::new(pattern).expect("a pattern of a schema is a regular expression");
    let drawn = string_regex(&drawable(pattern)).expect("a pattern that can be drawn from");
    let whole = move |text: &String| fits(text) && regex.is_match(text);
    drawn.prop_filter("a text of the schema's length", whole).prop_map(Value::String).boxed()
}

/// What can be drawn from a pattern: without its anchors, which schemas have only where an alternative begins or ends,
/// and with few repetitions where any number is allowed, since long texts are seldom taken.
fn drawable(pattern: &str) -> String {
    let (mut kept, mut escaped, mut class) = (String::new(), false, false);
    for letter in pattern.chars() {
        let plain = escaped || class;
        match letter {
            '^' | '$' if !plain => {}
            '*' if !plain => kept.push_str("{0,3}"),
            '+' if !plain => kept.push_str("{1,3}"),
            letter => kept.push(letter),
        }
        class = if escaped { class } else { (class || letter == '[') && letter != ']' };
        escaped = !escaped && letter == '\\';
    }
    kept
}
