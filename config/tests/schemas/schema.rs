//! CustomResourceDefinitions, as far as they say which values a field takes. Rules in CEL and formats are passed over:
//! what is sampled may break them, as what is read from files may.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// One version of a kind.
pub(crate) struct Crd {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) kind: String,
    /// Whether API servers hand it out.
    pub(crate) served: bool,
    /// Everything but `apiVersion`, `kind`, `metadata` and `status`.
    pub(crate) schema: Schema,
}

/// Which values a field takes.
pub(crate) enum Schema {
    /// Named fields, some of which must be there.
    Object {
        fields: BTreeMap<String, Schema>,
        required: BTreeSet<String>,
    },
    /// Any keys.
    Map(Box<Schema>),
    /// So many members.
    List {
        members: Box<Schema>,
        least: usize,
        most: usize,
    },
    /// One of `choices` if there are some.
    Text {
        choices: Vec<String>,
        pattern: Option<String>,
        least: usize,
        most: usize,
    },
    /// Both bounds are legal.
    Integer {
        least: i64,
        most: i64,
    },
    Boolean,
    IntOrString,
    /// `x-kubernetes-preserve-unknown-fields`.
    Anything,
}

impl Crd {
    /// The versions of all definitions in a file; other objects in it are passed over.
    pub(crate) fn all(text: &str) -> Vec<Self> {
        text.split("\n---\n").flat_map(Self::of_document).collect()
    }

    pub(crate) fn name(&self) -> String {
        format!("{}/{} {}", self.group, self.version, self.kind)
    }

    fn of_document(text: &str) -> Vec<Self> {
        let document: Value = serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        if document["kind"] != "CustomResourceDefinition" {
            return Vec::new();
        }
        let spec = &document["spec"];
        let versions = spec["versions"].as_array().expect("a definition has versions");
        let crd = |version: &Value| Self {
            group: text_of(&spec["group"]),
            version: text_of(&version["name"]),
            kind: text_of(&spec["names"]["kind"]),
            served: version["served"] == true,
            schema: body(&version["schema"]["openAPIV3Schema"]),
        };
        versions.iter().map(crd).collect()
    }
}

fn body(root: &Value) -> Schema {
    let mut schema = Schema::read(root);
    if let Schema::Object { fields, required } = &mut schema {
        for foreign in ["apiVersion", "kind", "metadata", "status"] {
            fields.remove(foreign);
            required.remove(foreign);
        }
    }
    schema
}

impl Schema {
    fn read(node: &Value) -> Self {
        if node["x-kubernetes-int-or-string"] == true {
            return Self::IntOrString;
        }
        let bound = |name: &str| node[name].as_i64();
        let length = |name: &str| node[name].as_u64().map(|length| usize::try_from(length).unwrap_or(usize::MAX));
        match node["type"].as_str() {
            Some("object") => match (node["properties"].as_object(), &node["additionalProperties"]) {
                (Some(fields), _) => Self::Object {
                    fields: fields.iter().map(|(name, field)| (name.clone(), Self::read(field))).collect(),
                    required: node["required"].as_array().into_iter().flatten().map(text_of).collect(),
                },
                (None, Value::Object(_)) => Self::Map(Box::new(Self::read(&node["additionalProperties"]))),
                (None, _) => Self::Anything,
            },
            Some("array") => Self::List {
                members: Box::new(Self::read(&node["items"])),
                least: length("minItems").unwrap_or(0),
                most: length("maxItems").unwrap_or(usize::MAX),
            },
            Some("string") => Self::Text {
                choices: node["enum"].as_array().into_iter().flatten().map(text_of).collect(),
                pattern: node["pattern"].as_str().map(str::to_owned),
                least: length("minLength").unwrap_or(0),
                most: length("maxLength").unwrap_or(usize::MAX),
            },
            Some("integer") => Self::integer(node, bound("minimum"), bound("maximum")),
            Some("boolean") => Self::Boolean,
            None => Self::Anything,
            Some(other) => panic!("schemas of type {other} are not known: {node}"),
        }
    }

    fn integer(node: &Value, least: Option<i64>, most: Option<i64>) -> Self {
        let choices = node["enum"].as_array().into_iter().flatten().filter_map(Value::as_i64);
        let (format_least, format_most) =
            if node["format"] == "int32" { (i64::from(i32::MIN), i64::from(i32::MAX)) } else { (i64::MIN, i64::MAX) };
        match (choices.clone().min(), choices.max()) {
            (Some(least), Some(most)) => Self::Integer { least, most },
            _ => Self::Integer { least: least.unwrap_or(format_least), most: most.unwrap_or(format_most) },
        }
    }
}

fn text_of(value: &Value) -> String {
    value.as_str().expect("a definition names things by text").to_owned()
}
