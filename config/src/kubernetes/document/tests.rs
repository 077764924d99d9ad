//! Files in, entries out. Only kinds' metadata is relied on here; what is in a body belongs to the kinds' own tests.

use std::fmt::Write as _;

use super::*;

fn parsed(text: &str) -> ParsedFile {
    parse_bytes(Path::new("a.yaml"), text.as_bytes())
}

/// One line per thing found, in order of kind of thing.
fn summary(bytes: &[u8]) -> Vec<String> {
    let parsed = parse_bytes(Path::new("a.yaml"), bytes);
    let mut lines = Vec::new();
    for change in parsed.changes {
        lines.push(match change {
            Change::Set { object, origin, findings } => {
                let fields: Vec<_> = findings.iter().map(|f| f.field.as_str()).collect();
                format!("{} {} {fields:?}", origin.unwrap().line, show(&Key::of(&object)))
            }
            Change::Refused { key, origin, findings } => {
                format!("{} {} refused {}", origin.unwrap().line, show(&key), findings[0].field)
            }
            Change::Remove(key) => format!("remove {}", show(&key)),
        });
    }
    lines.extend(parsed.input.into_iter().map(|p| format!("{} {}", p.line, p.reason)));
    lines.extend(parsed.skipped.into_iter().map(|s| format!("{} {} {} {}", s.line, s.kind, s.name, s.reason)));
    lines
}

fn show(key: &Key) -> String {
    format!("{} {}/{}", key.kind.as_str(), key.namespace, key.name)
}

#[test]
fn each_document_becomes_what_it_is() {
    for (text, want) in [
        ("", vec![]),
        ("# nothing\n---\nnull\n", vec![]),
        ("apiVersion: v1\nkind: Service\nmetadata: {name: a}", vec!["1 Service default/a []"]),
        ("\n# c\n---\n# d\n\napiVersion: v1\nkind: Service\nmetadata: {name: a}", vec!["6 Service default/a []"]),
        (
            "{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":{\"name\":\"a\",\"namespace\":\"n\"}}",
            vec!["1 Secret n/a []"],
        ),
        ("apiVersion: v1\r\nkind: Service\r\nmetadata:\r\n  name: a\r\n", vec!["1 Service default/a []"]),
        ("\u{feff}apiVersion: v1\nkind: Service\nmetadata: {name: a}", vec!["1 Service default/a []"]),
        ("apiVersion: v1\nkind: Namespace\nmetadata: {name: a, namespace: ignored}", vec!["1 Namespace /a []"]),
        (
            "apiVersion: v1\nkind: Service\nmetadata: {name: a, uid: x, managedFields: [{}], creationTimestamp: null}\nstatus: {x: 1}",
            vec!["1 Service default/a []"],
        ),
        (
            "apiVersion: v1\nkind: Service\nmetadata: {name: a, nmae: b}\nspecs: {}",
            vec!["1 Service default/a [\"metadata.nmae\", \"specs\"]"],
        ),
        (
            "apiVersion: v1\nkind: Service\nmetadata: {name: a, labels: [x]}",
            vec!["1 Service default/a refused metadata.labels"],
        ),
        (
            "apiVersion: v1\nkind: Service\nmetadata:\n  name: a\n  annotations: {a/b.c: true}",
            vec!["1 Service default/a refused metadata.annotations.a/b.c"],
        ),
        ("apiVersion: v1\nkind: Service", vec!["1 InvalidName"]),
        ("apiVersion: v1\nkind: Service\nmetadata: {generateName: a-}", vec!["1 InvalidName"]),
        ("apiVersion: v1\nkind: Service\nmetadata: {name: A_b}", vec!["1 InvalidName"]),
        ("apiVersion: v1\nkind: Service\nmetadata: {name: 12}", vec!["1 InvalidName"]),
        ("apiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: on}", vec!["1 InvalidName"]),
        ("apiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: a.b}", vec!["1 InvalidName"]),
        ("kind: Service\nmetadata: {name: a}", vec!["1 MissingKind"]),
        ("just: values\n", vec!["1 MissingKind"]),
        ("- a\n- b\n", vec!["1 NotAnObject"]),
        ("text", vec!["1 NotAnObject"]),
        ("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}", vec!["1 Deployment d UnknownKind"]),
        (
            "apiVersion: gateway.networking.k8s.io/v1\nkind: TCPRoute\nmetadata: {name: d}",
            vec!["1 TCPRoute d KindNotCarried"],
        ),
        ("apiVersion: traefik.io/v1alpha1\nkind: TLSStore\nmetadata: {name: d}", vec!["1 TLSStore d KindNotCarried"]),
        ("apiVersion: extensions/v1beta1\nkind: Ingress\nmetadata: {name: d}", vec!["1 Ingress d VersionNotCarried"]),
        (
            "apiVersion: gateway.networking.k8s.io/v9\nkind: HTTPRoute\nmetadata: {name: d}",
            vec!["1 HTTPRoute d VersionNotCarried"],
        ),
        ("a: 1\na: 2\n", vec!["2 DuplicateKey"]),
        ("{\"a\": 1,\n\"a\": 2}", vec!["2 DuplicateKey"]),
        ("a: [\n", vec!["1 InvalidYaml"]),
        ("{\"a\": 1,\n\"b\": ]}", vec!["2 InvalidJson"]),
        (
            "a: 1\n---\nb: c: d\n---\napiVersion: v1\nkind: Service\nmetadata: {name: a}",
            vec!["5 Service default/a []", "1 MissingKind", "3 InvalidYaml"],
        ),
        ("a: .inf", vec!["1 InvalidYaml"]),
        ("a: *nobody", vec!["1 InvalidYaml"]),
        ("a: b\0c", vec!["1 InvalidCharacter"]),
    ] {
        assert_eq!(summary(text.as_bytes()), want, "{text:?}");
    }
}

#[test]
fn members_of_a_list_are_objects_with_their_own_lines() {
    let yaml = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Service\n  metadata: {name: a}\n- apiVersion: v1\n  kind: Service\n  metadata:\n    name: b\n    x: 1\n- 3\n";
    assert_eq!(
        summary(yaml.as_bytes()),
        ["4 Service default/a []", "7 Service default/b [\"metadata.x\"]", "12 NotAnObject"]
    );
    assert_eq!(locate::Locator::new(yaml.as_bytes()).find(7, "metadata.x"), Some(11));
    let json = r#"{"apiVersion": "v1", "kind": "ServiceList", "items": [
        {"metadata": {"name": "a"}},
        {"metadata": {"name": "b"}}]}"#;
    assert_eq!(summary(json.as_bytes()), ["2 Service default/a []", "3 Service default/b []"]);
}

#[test]
fn a_field_is_located_as_deep_as_the_document_goes() {
    let text = "# head\n---\nkind: X\nspec:\n  rules:\n  - host: a\n    paths:\n    - /a\n  - host: b\nmetadata:\n  annotations:\n    a.b/c.d: x\n    a.b: y\n";
    let mut locator = locate::Locator::new(text.as_bytes());
    for (field, want) in [
        ("spec.rules[0].paths[0]", Some(8)),
        ("spec.rules[1].host", Some(9)),
        ("spec.rules[1].port", Some(9)),
        ("spec.rules[7]", Some(5)),
        ("metadata.annotations.a.b/c.d", Some(12)),
        ("metadata.annotations.a.b", Some(13)),
        ("nothing", Some(3)),
        ("", Some(3)),
    ] {
        assert_eq!(locator.find(3, field), want, "{field}");
    }
    assert_eq!(locate::Locator::new(b"").find(1, "a"), None);
}

#[test]
fn what_is_built_to_hurt_is_refused_at_once() {
    let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for level in 1..12 {
        let last = level - 1;
        let _ = writeln!(bomb, "a{level}: &a{level} [{}]", vec![format!("*a{last}"); 10].join(","));
    }
    let cases = [
        ("- ".repeat(50_000), "TooComplex"),
        ("[".repeat(50_000), "TooComplex"),
        ("{a: ".repeat(50_000), "TooComplex"),
        (format!("{{\"a\":{}", "[".repeat(50_000)), "TooComplex"),
        (bomb, "TooComplex"),
    ];
    for (text, reason) in cases {
        let input = parsed(&text).input;
        assert_eq!(input.len(), 1);
        assert_eq!(input[0].reason, reason, "{} {}", &text[..20], input[0].message);
    }
}

#[test]
fn invalid_utf8_costs_one_document() {
    let bytes = b"apiVersion: v1\nkind: Service\nmetadata: {name: a}\n---\nb: c\nd: \xff\xfe\n---\napiVersion: v1\nkind: Service\nmetadata: {name: b}\n";
    assert_eq!(summary(bytes), ["1 Service default/a []", "8 Service default/b []", "6 InvalidUtf8"]);
}

#[test]
fn a_secret_is_never_quoted() {
    let head = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n";
    for tail in [
        "data: hunter2",
        "data: {a: [hunter2]}",
        "stringData: [hunter2]",
        "type: [hunter2]",
        "metadata: {annotations: hunter2}",
        "data: 'hunter2",
        "data: {a: *hunter2}",
        "data: {a: !hunter2 x}",
        "data: {a: \"hunter2\\q\"}",
        "data: hunter2: hunter2",
        "data: {a: 'hunter2' hunter2}",
    ] {
        let parsed = parsed(&format!("{head}{tail}\n"));
        let said: Vec<String> = parsed.input.iter().map(|problem| problem.message.clone()).collect();
        let found: Vec<String> = parsed
            .changes
            .iter()
            .flat_map(|change| match change {
                Change::Set { findings, .. } | Change::Refused { findings, .. } => findings.clone(),
                Change::Remove(_) => vec![],
            })
            .map(|finding| finding.message)
            .collect();
        assert!(!format!("{said:?} {found:?}").contains("hunter2"), "{tail}: {said:?} {found:?}");
    }
}

#[test]
fn scalars_are_those_of_kubectl() {
    for (text, want) in [
        ("0644", "420"),
        ("yes", "true"),
        ("on", "true"),
        ("'yes'", "\"yes\""),
        ("1_000", "1000"),
        ("1e3", "1000.0"),
        ("0x10", "16"),
        ("~", "null"),
        ("2001-01-01", "\"2001-01-01\""),
        ("1.30", "1.3"),
        ("10m", "\"10m\""),
    ] {
        let value = text::parse(format!("[{text}]").as_bytes()).unwrap().unwrap();
        assert_eq!(value[0].to_string(), want, "{text}");
    }
}

#[test]
fn the_field_that_was_meant_is_named() {
    let service = |tail: &str| format!("apiVersion: v1\nkind: Service\nmetadata: {{name: a}}\n{tail}");
    for (text, field, remedy) in [
        (service("specs: {}"), "specs", "is spec meant?"),
        (service("spec: {prots: []}"), "spec.prots", "is ports meant?"),
        (service("spec: {ports: [{port: 1}, {port: 2, Name: x}]}"), "spec.ports[1].Name", "is name meant?"),
        (service("spec: {zzzzzzzz: 1}"), "spec.zzzzzzzz", "check its spelling"),
        (
            "apiVersion: v1\nkind: Service\nmetadata: {name: a, label: {}}".into(),
            "metadata.label",
            "is metadata.labels meant?",
        ),
    ] {
        let Some(Change::Set { findings, .. }) = parsed(&text).changes.pop() else { panic!("{text} is an object") };
        assert_eq!(findings.len(), 1, "{text}: {findings:?}");
        assert_eq!(findings[0].field, field);
        assert!(findings[0].remedy.starts_with(remedy), "{text}: {}", findings[0].remedy);
    }
}
