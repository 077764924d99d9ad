//! Our object types against the schemas that Gateway API and Traefik publish: every field of a schema is read, or is on
//! the written list of [`unread`]; every object that a schema takes is an object here; and a field that is not carried
//! is refused by name. The schemas are fetched, not kept: `cargo xtask test schemas`.
#![allow(clippy::unwrap_used, reason = "a test that cannot read its files must fail")]

mod invalid;
mod sample;
mod schema;
mod unread;
mod walk;

use std::{collections::BTreeSet, fs, path::Path};

use postern_config::{
    compile::Compiler,
    kubernetes::{
        convert::Settings,
        document::{self, ParsedFile},
        object::Kind,
        store::Change,
    },
    model::id::ObjectId,
    report::{Finding, Severity},
};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use serde_json::{Value, json};

use schema::{Crd, Schema};
use unread::{UNREAD, Why};

/// Everything that an object of each kind needs around it to be looked at as a whole.
const WORLD: &str = r#"
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: ours}
spec: {controllerName: postern.dev/gateway}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: default}
spec:
  gatewayClassName: ours
  listeners:
  - {name: http, port: 80, protocol: HTTP}
  - {name: tls, port: 8443, protocol: TLS, tls: {mode: Passthrough}}
"#;

/// Every version of every kind in the fetched bundles.
fn crds() -> Vec<Crd> {
    let folder = std::env::var("POSTERN_CRDS").expect("POSTERN_CRDS names the folder of the CRDs");
    let mut crds = Vec::new();
    collect(Path::new(&folder), &mut crds);
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/crds/metallb.yaml");
    crds.extend(
        Crd::all(&fs::read_to_string(shipped).unwrap()).into_iter().filter(|crd| !crd.kind.ends_with("Status")),
    );
    assert!(crds.len() >= 20, "{} CRDs under {folder} are too few", crds.len());
    crds
}

fn collect(folder: &Path, crds: &mut Vec<Crd>) {
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            collect(&path, crds);
        } else if path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
            crds.extend(Crd::all(&fs::read_to_string(&path).unwrap()));
        }
    }
}

/// The kinds that are read, with the schema of each published version.
fn carried() -> Vec<(Kind, Crd)> {
    let found = |crd: Crd| Some((Kind::find(&crd.group, &crd.version, &crd.kind)?, crd));
    let carried: Vec<_> = crds().into_iter().filter_map(found).collect();
    let kinds: BTreeSet<Kind> = carried.iter().map(|(kind, _)| *kind).collect();
    let groups = ["gateway", "traefik", "metallb"];
    let published = Kind::ALL.iter().filter(|kind| groups.iter().any(|group| kind.group().contains(group)));
    assert_eq!(kinds, published.copied().collect(), "every kind of the groups has a published schema");
    carried
}

fn object(crd: &Crd, body: Value) -> Value {
    let mut object = json!({
        "apiVersion": format!("{}/{}", crd.group, crd.version),
        "kind": crd.kind,
        "metadata": {"name": "sample", "namespace": "default"},
    });
    object.as_object_mut().unwrap().extend(body.as_object().cloned().unwrap_or_default());
    object
}

fn parse(object: &Value) -> ParsedFile {
    document::parse_bytes(Path::new("sample.json"), object.to_string().as_bytes())
}

/// The findings of the parser, and whether it took the object.
fn read(object: &Value) -> (bool, Vec<Finding>) {
    let mut parsed = parse(object);
    assert_eq!(parsed.input, [], "{object}");
    match (parsed.changes.pop(), parsed.changes.is_empty()) {
        (Some(Change::Set { findings, .. }), true) => (true, findings),
        (Some(Change::Refused { findings, .. }), true) => (false, findings),
        other => panic!("{object} is one object, not {other:?}"),
    }
}

/// `spec.rules[0].name` → `spec.rules[].name`.
fn without_indexes(field: &str) -> String {
    let mut pieces = field.split('[');
    let mut spelled = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let rest = piece.trim_start_matches(|c: char| c.is_ascii_digit());
        spelled.push('[');
        spelled.push_str(rest);
    }
    spelled
}

#[test]
#[ignore = "needs the published CRDs: cargo xtask test schemas"]
fn every_field_of_the_schemas_is_read_or_on_the_list() {
    let mut wrong = Vec::new();
    let mut unread = BTreeSet::new();
    for (_, crd) in carried() {
        walk::fields(&crd, &mut |path, valid, invalid| {
            let (taken, findings) = read(&object(&crd, valid.clone()));
            if !taken || !findings.is_empty() {
                wrong.push(format!("{} {path} is not taken: {findings:?}", crd.name()));
                return false;
            }
            let is_read = !read(&object(&crd, invalid.clone())).0;
            if !is_read {
                unread.insert((crd.kind.clone(), path.to_owned()));
            }
            is_read
        });
    }
    let listed: BTreeSet<_> = UNREAD.iter().map(|(kind, path, _)| ((*kind).to_owned(), (*path).to_owned())).collect();
    let name = |(kind, path): &(String, String)| format!("{kind} {path}");
    wrong.extend(unread.difference(&listed).map(|field| format!("{} is not read, and not listed", name(field))));
    wrong.extend(listed.difference(&unread).map(|field| format!("{} is listed, and not unread", name(field))));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
#[ignore = "needs the published CRDs: cargo xtask test schemas"]
fn every_object_of_a_schema_is_read_and_none_loses_a_field_silently() {
    for (kind, crd) in carried() {
        let mut runner = TestRunner::new(Config { cases: 200, failure_persistence: None, ..Config::default() });
        runner
            .run(&sample::of(&crd.schema), |mut body| {
                tie(kind, &mut body);
                let object = object(&crd, body);
                let (taken, findings) = read(&object);
                prop_assert!(taken, "{object}\n{findings:?}");
                prop_assert!(findings.is_empty(), "{object}\n{findings:?}");
                let verdict = verdict(&object)?;
                let refused = verdict.iter().any(|finding| finding.severity == Severity::Refused);
                for (_, path, why) in UNREAD.iter().filter(|(named, ..)| *named == crd.kind) {
                    let lost = matches!(why, Why::Refused) && !refused && walk::holds(&object, path);
                    prop_assert!(!lost, "{path} of {object} has no effect, and nobody is told:\n{verdict:?}");
                }
                Ok(())
            })
            .unwrap_or_else(|failure| panic!("{}: {failure}", crd.name()));
    }
}

/// Names in an object that lead to the [`WORLD`], so that it is looked at and not passed over as somebody else's.
fn tie(kind: Kind, body: &mut Value) {
    let spec = &mut body["spec"];
    match kind {
        Kind::GatewayClass => spec["controllerName"] = json!("postern.dev/gateway"),
        Kind::Gateway => spec["gatewayClassName"] = json!("ours"),
        Kind::HttpRoute | Kind::GrpcRoute | Kind::TlsRoute => spec["parentRefs"] = json!([{"name": "edge"}]),
        _ => {}
    }
}

/// What compiling says of the object.
fn verdict(object: &Value) -> Result<Vec<Finding>, TestCaseError> {
    let mut compiler = Compiler::new(Settings::for_files("2026-06-01T00:00:00Z".parse().unwrap()));
    let mut changes = document::parse_bytes(Path::new("world.yaml"), WORLD.as_bytes()).changes;
    changes.extend(parse(object).changes);
    let output = compiler.apply(changes);
    prop_assert!(!output.snapshot.to_string().is_empty());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (kind, name) = (text(&object["kind"]), text(&object["metadata"]["name"]));
    let cluster_wide = Kind::ALL.iter().any(|known| known.as_str() == kind && !known.is_namespaced());
    let namespace = if cluster_wide { "" } else { "default" };
    let id = ObjectId { kind: kind.into(), namespace: namespace.into(), name: name.into() };
    match output.report.objects.get(&id) {
        Some(verdict) => Ok(verdict.findings.clone()),
        None => Err(TestCaseError::fail(format!("there is no verdict for {object}"))),
    }
}

#[test]
#[ignore = "needs the published CRDs: cargo xtask test schemas"]
fn every_published_version_is_read_and_other_kinds_are_refused_by_name() {
    for crd in crds() {
        let known = Kind::ALL.iter().any(|kind| kind.group() == crd.group && kind.as_str() == crd.kind);
        if known {
            let read = Kind::find(&crd.group, &crd.version, &crd.kind).is_some();
            assert!(read || !crd.served, "{} is served by API servers and not read", crd.name());
        } else {
            let parsed = parse(&object(&crd, json!({"spec": {}})));
            let refused = parsed.skipped.iter().any(|skipped| skipped.refused && skipped.message.contains(&crd.kind));
            assert!(refused, "{} is not refused by name: {:?}", crd.name(), parsed.skipped);
        }
    }
}

#[test]
fn every_field_that_is_not_carried_is_refused_by_name_in_a_golden_report() {
    let told = refusals();
    let names_it = |kind: &str, path: &str| {
        let last = path.rsplit('.').next().unwrap_or_default().to_lowercase();
        told.iter().any(|(told_kind, field, message)| {
            told_kind == kind && path.starts_with(field) && (field == path || message.to_lowercase().contains(&last))
        })
    };
    let silent = UNREAD.iter().filter(|(kind, path, why)| matches!(why, Why::Refused) && !names_it(kind, path));
    let silent: Vec<String> = silent.map(|(kind, path, _)| format!("{kind} {path}")).collect();
    assert!(silent.is_empty(), "no golden report refuses\n{}", silent.join("\n"));
}

/// Kind, field and message of every refusal in the golden reports.
fn refusals() -> Vec<(String, String, String)> {
    let mut told = Vec::new();
    let folders = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")).unwrap();
    for folder in folders {
        let report = fs::read_to_string(folder.unwrap().path().join("report.txt")).unwrap();
        let mut kind = "";
        for line in report.lines() {
            match line.strip_prefix("  refused ") {
                Some(refused) => {
                    let (head, message) = refused.split_once(": ").unwrap_or((refused, ""));
                    let field = head.split_once(' ').map_or("", |(_, field)| field);
                    told.push((kind.to_owned(), without_indexes(field), message.to_owned()));
                }
                None if !line.starts_with(' ') => kind = line.split(' ').next().unwrap_or_default(),
                None => {}
            }
        }
    }
    told
}

/// What a schema node takes no value of.
fn invalid(schema: &Schema) -> Value {
    match schema {
        Schema::Text { .. } | Schema::IntOrString => json!({"not": "text"}),
        _ => json!("not of this type"),
    }
}
