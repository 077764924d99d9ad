//! Objects as YAML, and what the cluster would show of them.

use std::{
    path::Path,
    sync::{Arc, LazyLock},
};

use postern_config::{
    compile::{Compiler, Output},
    kubernetes::{
        announced::Told,
        convert::Settings,
        document,
        object::Kind,
        status::{self, Address, Context, Desired, Nodes, Unbound},
        store::{Key, Store},
    },
};
use serde_json::{Value, json};

/// Our class, another's, and one that does not exist: `postern`, `foreign`.
const CLASSES: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: postern}
spec: {controllerName: postern.dev/gateway}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: taken-over}
spec: {controllerName: traefik.io/gateway-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: foreign}
spec: {controllerName: example.com/other}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: infra}
spec: {ports: [{name: http, port: 80}, {name: dns, port: 53, protocol: UDP}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: other}
spec: {ports: [{name: http, port: 80}]}
---
";

/// PEM of a certificate for `site.example.com`, and of its key.
static PAIR: LazyLock<(String, String)> = LazyLock::new(|| {
    let key = rcgen::KeyPair::generate().expect("a key");
    let parameters = rcgen::CertificateParams::new(vec!["site.example.com".to_owned()]).expect("a name");
    (parameters.self_signed(&key).expect("a certificate").pem(), key.serialize_pem())
});

/// Objects, and how they are reached.
pub(crate) struct World {
    settings: Settings,
    compiler: Compiler,
    output: Output,
    pub(crate) addresses: Vec<Address>,
    pub(crate) programmed: bool,
    pub(crate) behind: Vec<Arc<str>>,
    pub(crate) silent: Vec<Arc<str>>,
    pub(crate) unbound: Vec<Unbound>,
    pub(crate) announced: Option<Told>,
}

/// `objects` beside the classes, reached at 192.0.2.1 and served everywhere.
pub(crate) fn world(objects: &str) -> World {
    world_with(objects, |_| {})
}

/// The same with other settings.
pub(crate) fn world_with(objects: &str, change: impl FnOnce(&mut Settings)) -> World {
    let mut settings = Settings::for_files("2026-06-01T00:00:00Z".parse().unwrap());
    change(&mut settings);
    let parsed = document::parse_bytes(Path::new("input.yaml"), format!("{CLASSES}{objects}").as_bytes());
    assert_eq!((parsed.input, parsed.skipped), (Vec::new(), Vec::new()));
    let mut compiler = Compiler::new(settings.clone());
    let output = compiler.apply(parsed.changes);
    let (behind, silent, unbound) = Default::default();
    let (addresses, announced) = (vec![ip("192.0.2.1")], None);
    World { settings, compiler, output, addresses, programmed: true, behind, silent, unbound, announced }
}

pub(crate) fn ip(text: &str) -> Address {
    Address::Ip(text.parse().unwrap())
}

/// Secret `infra/NAME` with a certificate.
pub(crate) fn secret(namespace: &str, name: &str) -> String {
    let data = json!({"tls.crt": PAIR.0, "tls.key": PAIR.1});
    format!(
        "---\napiVersion: v1\nkind: Secret\nmetadata: {{name: {name}, namespace: {namespace}}}\n\
         type: kubernetes.io/tls\nstringData: {data}\n---\n"
    )
}

/// ConfigMap `infra/NAME` with an authority.
pub(crate) fn authority(name: &str) -> String {
    let data = json!({"ca.crt": PAIR.0});
    format!("---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: infra}}\ndata: {data}\n---\n")
}

impl World {
    /// What the cluster should show of an object; `name` is `namespace/name`, or a name alone.
    pub(crate) fn desired(&self, kind: Kind, name: &str) -> Option<Desired> {
        let (namespace, name) = name.split_once('/').unwrap_or(("", name));
        let key = Key { kind, namespace: namespace.into(), name: name.into() };
        let verdict = &self.output.report.objects[&key.id()];
        let object = self.compiler.store().get(&key).unwrap_or_else(|| panic!("not read: {:?}", verdict.findings));
        let context = Context {
            settings: &self.settings,
            store: self.compiler.store(),
            report: &self.output.report,
            addresses: &self.addresses,
            programmed: self.programmed,
            nodes: Nodes { behind: &self.behind, silent: &self.silent, unbound: &self.unbound },
            ledger: self.compiler.ledger(),
            announced: self.announced.as_ref(),
        };
        status::desired(object, verdict, &context)
    }

    /// The objects.
    pub(crate) fn store(&self) -> &Store {
        self.compiler.store()
    }

    /// The whole status of an object that had none; null where nothing is to be written.
    pub(crate) fn status(&self, kind: Kind, name: &str) -> Value {
        let now = "2026-06-01T00:00:00.5Z".parse().unwrap();
        let merged = self.desired(kind, name).and_then(|desired| status::merge(&Value::Null, &desired, now));
        merged.unwrap_or_default()
    }

    /// The same as lines to compare, one for the object and one for each entry.
    pub(crate) fn lines(&self, kind: Kind, name: &str) -> Vec<String> {
        lines(&self.status(kind, name))
    }

    /// The message of a condition.
    pub(crate) fn message(&self, kind: Kind, name: &str, pointer: &str) -> String {
        let status = self.status(kind, name);
        status.pointer(pointer).and_then(|value| value["message"].as_str()).expect("a message").to_owned()
    }
}

/// One line for the conditions of the object, if it has any, and one for each listener, parent or ancestor.
pub(crate) fn lines(status: &Value) -> Vec<String> {
    let mut lines: Vec<String> = status.get("conditions").map(conditions).into_iter().collect();
    let entries = ["listeners", "parents", "ancestors"].iter().filter_map(|list| status[*list].as_array()).flatten();
    lines.extend(entries.map(|entry| format!("{}: {}", title(entry), conditions(&entry["conditions"]))));
    lines
}

fn title(entry: &Value) -> String {
    if let Some(name) = entry["name"].as_str() {
        let kinds: Vec<_> =
            entry["supportedKinds"].as_array().into_iter().flatten().map(|k| text(&k["kind"])).collect();
        return format!("{name} [{}] {}", kinds.join(" "), entry["attachedRoutes"]);
    }
    let reference = if entry["parentRef"].is_null() { &entry["ancestorRef"] } else { &entry["parentRef"] };
    assert_eq!([&reference["group"], &reference["kind"]], ["gateway.networking.k8s.io", "Gateway"]);
    let parts = ["namespace", "name", "sectionName", "port"].map(|part| match &reference[part] {
        Value::Number(number) => number.to_string(),
        other => text(other),
    });
    let controller = text(&entry["controllerName"]);
    let title = parts.iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>().join("/");
    if controller == "postern.dev/gateway" { title } else { format!("{title} by {controller}") }
}

/// `Type` where a condition holds for its usual reason, `Type(Reason)` where it does for another, `!Type(Reason)` where it
/// does not; the usual absence of conflicts is left out.
fn conditions(list: &Value) -> String {
    let one = |condition: &Value| {
        let (kind, reason) = (text(&condition["type"]), text(&condition["reason"]));
        assert_eq!(condition["lastTransitionTime"], "2026-06-01T00:00:00Z");
        assert!(!text(&condition["message"]).is_empty(), "{condition}");
        match (text(&condition["status"]).as_str(), kind == reason, reason.as_str()) {
            (_, _, "NoConflicts") => None,
            ("True", true, _) => Some(kind),
            ("True", false, _) => Some(format!("{kind}({reason})")),
            _ => Some(format!("!{kind}({reason})")),
        }
    };
    list.as_array().into_iter().flatten().filter_map(one).collect::<Vec<_>>().join(" ")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
