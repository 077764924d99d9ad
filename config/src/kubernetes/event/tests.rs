//! Verdicts of the real compiler in, notices out; and what a change of notices is worth.

use std::path::Path;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;

use super::*;
use crate::{
    compile::Compiler,
    kubernetes::{convert::Settings, document, store::Change},
};

/// The notices of each object of `yaml` that has any, as `Kind/name reason → related: note`.
fn told(yaml: &str) -> Vec<String> {
    let changes = document::parse_bytes(Path::new("input.yaml"), yaml.as_bytes()).changes;
    let keys: Vec<_> = changes.iter().map(Change::key).collect();
    let mut compiler = Compiler::new(Settings::for_files(Timestamp::UNIX_EPOCH));
    let report = compiler.apply(changes).report;
    let of = |key: &Key| {
        let verdict = report.objects.get(&key.id()).expect("every object has a verdict");
        notices(compiler.store().get(key), verdict)
    };
    let line = |key: &Key, Notice { reason, note, related }: &Notice| {
        let related = related.as_ref().map(|key| format!(" → {} {}/{}", key.kind.as_str(), key.namespace, key.name));
        format!("{}/{} {reason}{}: {note}", key.kind.as_str(), key.name, related.unwrap_or_default())
    };
    keys.iter().flat_map(|key| of(key).iter().map(|notice| line(key, notice)).collect::<Vec<_>>()).collect()
}

const GATEWAY: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: postern}
spec: {controllerName: postern.dev/gateway}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop}
spec:
  gatewayClassName: postern
  listeners:
  - {name: good, port: 80, protocol: HTTP}
  - {name: tls, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: NAME, namespace: NAMESPACE}]}}
";

#[test]
fn what_is_refused_is_told_with_field_cause_and_way_out() {
    let ingress = |metadata: &str, tls: &str| {
        format!(
            "
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: i, namespace: shop{metadata}}}
spec: {{ingressClassName: CLASS, defaultBackend: {{service: {{name: web, port: {{number: 80}}}}}}, tls: [{tls}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: web, namespace: shop}}
spec: {{ports: [{{port: 80}}]}}
"
        )
    };
    let gateway = |name: &str, namespace: &str| GATEWAY.replace("NAMESPACE", namespace).replace("NAME", name);
    let table: [(String, &[&str]); 6] = [
        (ingress("", ""), &[]),
        (
            ingress("", "{secretName: gone}"),
            &[
                "Ingress/i SecretNotFound → Secret shop/gone: spec.tls[0].secretName: Secret shop/gone does not exist; its \
               hosts get the next best certificate; add the Secret",
            ],
        ),
        // Protective: closed, so told. Harmless: not told.
        (
            ingress(", annotations: {nginx.ingress.kubernetes.io/auth-url: x, nginx.ingress.kubernetes.io/a: b}", "")
                .replace("CLASS", "nginx"),
            &[
                "Ingress/i UnsupportedAnnotation: metadata.annotations[nginx.ingress.kubernetes.io/auth-url]: cannot be \
               carried out, and it authenticates clients; answers 503; remove it, or name it in the annotation \
               postern.dev/acknowledge to serve the route without it",
            ],
        ),
        // Partly refused.
        (
            gateway("gone", "shop"),
            &["Gateway/edge InvalidCertificateRef → Secret shop/gone: \
               spec.listeners[1].tls.certificateRefs[0]: there is no Secret shop/gone; add or mend what it names, or \
               correct the name"],
        ),
        // No grant: nothing is said of the Secret but its name.
        (
            gateway("cert", "other"),
            &["Gateway/edge RefNotPermitted → Secret other/cert: spec.listeners[1].tls.certificateRefs[0]: "],
        ),
        // Cannot even be read.
        (
            "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: i, namespace: shop}\nspec: {rules: 7}\n"
                .to_owned(),
            &["Ingress/i "],
        ),
    ];
    for (yaml, expected) in table {
        let yaml = yaml.replace("CLASS", "traefik");
        let told = told(&yaml);
        assert_eq!(told.len(), expected.len(), "{yaml}{told:#?}");
        for (told, expected) in told.iter().zip(expected) {
            assert!(told.starts_with(expected), "{told}\n{expected}");
        }
    }
}

#[test]
fn no_note_shows_what_a_secret_holds_or_is_longer_than_the_api_takes() {
    let [pem, text] = ["-----BEGIN PRIVATE KEY-----\nHIDDEN-A", "HIDDEN-B:HIDDEN-C"].map(|text| STANDARD.encode(text));
    let data = [
        format!("tls.crt: {pem}, tls.key: {text}"),
        format!("tls.key: {pem}, users: {text}"),
        format!("users: {text}"),
        format!("users: {pem}"),
    ];
    let objects = data.iter().flat_map(|data| ["kubernetes.io/tls", "Opaque"].map(|kind| (data, kind)));
    let annotations: Vec<_> =
        (0..60).map(|at| format!("nginx.ingress.kubernetes.io/auth-{at}-{}: x", "a".repeat(40))).collect();
    let yaml = objects.enumerate().map(|(at, (data, kind))| {
        format!(
            "
apiVersion: v1
kind: Secret
metadata: {{name: s{at}, namespace: shop}}
type: {kind}
data: {{{data}}}
---
apiVersion: traefik.io/v1alpha1
kind: Middleware
metadata: {{name: m{at}, namespace: shop}}
spec: {{basicAuth: {{secret: s{at}}}}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: i{at}, namespace: shop, annotations: {{{}}}}}
spec: {{ingressClassName: nginx, tls: [{{secretName: s{at}}}]}}
",
            annotations.join(", ")
        )
    });
    let told = told(&yaml.collect::<Vec<_>>().join("---"));
    assert!(told.len() >= 8, "{told:#?}");
    assert!(told.iter().any(|line| line.ends_with('…')), "one is shortened: {told:#?}");
    for line in told {
        assert!(!["HIDDEN", &pem, &text].iter().any(|secret| line.contains(secret)), "{line}");
        assert!(line.split_once(": ").is_some_and(|(_, note)| note.len() <= MOST_BYTES), "{}", line.len());
    }
}

#[test]
fn only_what_is_new_is_told_and_the_end_of_all_of_it() {
    let notice = |reason| Notice { reason, note: String::new(), related: None };
    let [a, b] = ["A", "B"].map(notice);
    let table: [(&[Notice], &[Notice], &[Event]); 7] = [
        (&[], &[], &[]),
        (&[], std::slice::from_ref(&a), &[Event::Wrong(a.clone())]),
        (std::slice::from_ref(&a), std::slice::from_ref(&a), &[]),
        (std::slice::from_ref(&a), &[a.clone(), b.clone()], &[Event::Wrong(b.clone())]),
        (&[a.clone(), b.clone()], std::slice::from_ref(&b), &[]),
        (std::slice::from_ref(&a), std::slice::from_ref(&b), &[Event::Wrong(b.clone())]),
        (&[a.clone(), b.clone()], &[], &[Event::Mended]),
    ];
    for (before, after, events) in table {
        assert_eq!(difference(before, after), events, "{before:?} → {after:?}");
    }
}

#[test]
fn whatever_is_wrong_with_the_ranges_of_a_pool_is_told_of_the_pool_with_the_range() {
    let pool = |name: &str, namespace: &str, addresses: &str| {
        format!(
            "---\napiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {{addresses: {addresses}}}\n"
        )
    };
    for (addresses, wanted) in [
        ("[nonsense]", vec!["InvalidRange: spec.addresses[0]: "]),
        ("[192.0.2.0/33]", vec!["InvalidRange: spec.addresses[0]: "]),
        ("[192.0.2.9-192.0.2.1]", vec!["InvalidRange: spec.addresses[0]: "]),
        ("['192.0.2.1-2001:db8::1']", vec!["InvalidRange: spec.addresses[0]: "]),
        ("[192.0.2.256]", vec!["InvalidRange: spec.addresses[0]: "]),
        ("['']", vec!["InvalidRange: spec.addresses[0]: "]),
        ("[]", vec!["NoAddresses: spec.addresses: "]),
        ("[192.0.2.0/28, 192.0.2.8-192.0.2.20]", vec!["OverlappingRange: spec.addresses[1]: "]),
        // The pool `a` is first by its name, as neither says when it was made.
        ("[198.51.100.0/24, 192.0.2.0/24]", vec!["OverlappingRange: spec.addresses[0]: "]),
        (
            "[192.0.2.0/28, bad, 198.51.100.7/32]",
            vec!["InvalidRange: spec.addresses[1]: ", "OverlappingRange: spec.addresses[2]: "],
        ),
        ("[192.0.2.0/28]", vec![]),
    ] {
        let both = pool("a", "infra", "[198.51.100.0/25]") + &pool("b", "infra", addresses);
        let said: Vec<_> = told(&both).iter().map(|line| line.replacen("IPAddressPool/b ", "", 1)).collect();
        assert_eq!(said.len(), wanted.len(), "{addresses}: {said:?}");
        for (said, wanted) in said.iter().zip(wanted) {
            assert!(said.starts_with(wanted) && said.contains("; "), "{addresses}: {said}");
        }
    }
    let twins = told(&(pool("a", "infra", "[198.51.100.0/25]") + &pool("a", "other", "[192.0.2.0/28]")));
    assert!(matches!(twins.as_slice(), [one] if one.contains("DuplicatePool: metadata.name: ")), "{twins:?}");
}
