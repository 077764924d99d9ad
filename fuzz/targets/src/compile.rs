//! Bytes of a file → snapshot and report: every converter and every format within the fields (annotations, hosts,
//! paths, expressions, durations, password files, certificates).

use std::{collections::BTreeSet, path::Path};

use postern_config::{
    compile::{Compiler, Output},
    kubernetes::{convert::Settings, document, store::Change},
    model::id::ObjectId,
};

/// More objects than this only make one input slower.
const MOST_OBJECTS: usize = 24;

/// Any file. Each object has a verdict, and one after the other they come to the same as all at once.
pub fn compile(data: &[u8]) {
    let mut changes = document::parse_bytes(Path::new("input.yaml"), data).changes;
    changes.truncate(MOST_OBJECTS);
    // What the provider does with two objects of one key is not asked here: the last one stays.
    let mut seen = BTreeSet::new();
    changes.reverse();
    changes.retain(|change| seen.insert(id(change)));
    let whole = compiler().apply(changes.clone());
    for id in seen.iter().flatten() {
        assert!(whole.report.objects.contains_key(id), "{id} has no verdict");
    }
    let mut one_by_one = compiler();
    let mut last = None;
    for change in changes {
        last = Some(one_by_one.apply(vec![change]));
    }
    if let Some(last) = last {
        assert_eq!(shown(&whole), shown(&last));
    }
}

fn compiler() -> Compiler {
    Compiler::new(Settings::for_files("2026-06-01T00:00:00Z".parse().expect("a time")))
}

fn id(change: &Change) -> Option<ObjectId> {
    let (kind, meta) = match change {
        Change::Set { object, .. } => (object.kind(), object.meta()),
        Change::Refused { key, .. } => {
            return Some(ObjectId {
                kind: key.kind.shared(),
                namespace: key.namespace.clone(),
                name: key.name.clone(),
            });
        }
        Change::Remove(_) => return None,
    };
    Some(ObjectId { kind: kind.shared(), namespace: meta.namespace.clone(), name: meta.name.clone() })
}

fn shown(output: &Output) -> (String, String) {
    (output.snapshot.to_string(), format!("{:?}", output.report.objects))
}
