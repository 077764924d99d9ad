//! S8 to S10 and S16: what objects ask for that they may not have.

use std::net::SocketAddr;

use crate::world::{Backend, Manifests, beside_node, get, run, status, web};

/// Everything that is asked for here must be closed or unknown, and its neighbour served.
async fn check(address: SocketAddr, backend: &Backend, rows: &[(&str, &str, u16)]) {
    for (host, target, want) in rows {
        let answer = get(address, host, target, "").await;
        assert_eq!(status(&answer), *want, "{host} {target}");
        assert!(backend.seen().is_empty(), "{host} {target}: the backend is not asked");
    }
    assert_eq!(status(&get(address, "good.example", "/", "").await), 200, "no other route is harmed");
    backend.only();
}

fn ingress(name: &str, annotations: &str, host: &str, path: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\n\
         metadata: {{name: {name}, namespace: default, annotations: {{{annotations}}}}}\n\
         spec:\n  rules:\n  - host: {host}\n    http:\n      paths:\n      - path: {path}\n        pathType: Prefix\n        \
         backend: {{service: {{name: web, port: {{number: 80}}}}}}"
    )
}

fn through(names: &str) -> String {
    format!("traefik.ingress.kubernetes.io/router.middlewares: '{names}'")
}

fn good(backend: &Backend) -> Manifests {
    Manifests::default().service("web", backend).route("good.example", "/", &[], "web")
}

#[test]
fn s8_no_field_says_more_than_a_field() {
    run(async {
        let backend = Backend::start().await;
        let manifests = good(&backend)
            .document(&ingress("ticks", "", "a.example", "'/a`) || PathPrefix(`/'"))
            .document(&ingress("quotes", "", "b.example", r#"'/b") || PathPrefix("/'"#))
            .document(&ingress("lines", "", "c.example", r#""/c\n/""#))
            .document(&ingress("host", "", "'d.example`) || Host(`e.example'", "/"))
            .document(&ingress("braces", "", "f.example", "'/{lua}; location / { return 200; }'"));
        beside_node(manifests, async |bound| {
            let rows = [
                ("a.example", "/", 404),
                ("b.example", "/", 404),
                ("c.example", "/", 404),
                ("c.example", "/c", 404),
                ("d.example", "/", 404),
                ("e.example", "/", 404),
                ("f.example", "/", 404),
            ];
            check(web(&bound), &backend, &rows).await;
        })
        .await;
    });
}

#[test]
fn s8_snippets_are_not_interpreted_and_their_routes_are_closed() {
    run(async {
        let backend = Backend::start().await;
        let snippet = |name: &str| {
            format!("kubernetes.io/ingress.class: nginx, nginx.ingress.kubernetes.io/{name}: 'return 200;'")
        };
        let manifests = good(&backend)
            .document(&ingress("server", &snippet("server-snippet"), "a.example", "/"))
            .document(&ingress("configuration", &snippet("configuration-snippet"), "b.example", "/"))
            .document(&ingress("auth", &snippet("auth-snippet"), "c.example", "/"));
        beside_node(manifests, async |bound| {
            let rows = [("a.example", "/", 503), ("b.example", "/", 503), ("c.example", "/", 503)];
            check(web(&bound), &backend, &rows).await;
        })
        .await;
    });
}

#[test]
fn s9_what_is_missing_closes_and_never_opens() {
    run(async {
        let backend = Backend::start().await;
        let manifests = good(&backend)
            .users("empty", "")
            .users("foreign", "alice:elsewhere:00000000000000000000000000000000")
            .middleware("no-secret", "basicAuth: {secret: missing}")
            .middleware("no-user", "basicAuth: {secret: empty}")
            .middleware("no-digest", "digestAuth: {secret: missing}")
            .middleware("no-digest-user", "digestAuth: {secret: empty}")
            .middleware("no-realm", "digestAuth: {secret: foreign}")
            .middleware("no-ca", "forwardAuth: {address: 'https://127.0.0.1:1', tls: {caSecret: missing}}")
            .middleware("typo", "ipAllowList: {sourceRange: [10.0.0.0/33]}")
            .middleware("two", "ipAllowList: {sourceRange: ['::/0']}\n  compress: {}")
            .middleware("plugin", "plugin: {geoblock: {allow: [CH]}}")
            .middleware("unknown", "noSuchType: {}")
            .route("none.example", "/", &["not-there"], "web")
            .route("second.example", "/", &["compress", "not-there"], "web")
            .middleware("compress", "compress: {}");
        let names = [
            "no-secret",
            "no-user",
            "no-digest",
            "no-digest-user",
            "no-realm",
            "no-ca",
            "typo",
            "two",
            "plugin",
            "unknown",
        ];
        let mut manifests = manifests;
        for name in names {
            manifests = manifests.route(&format!("{name}.example"), "/", &[name], "web");
        }
        beside_node(manifests, async |bound| {
            let hosts: Vec<String> =
                names.iter().chain(&["none", "second"]).map(|name| format!("{name}.example")).collect();
            let rows: Vec<_> = hosts.iter().map(|host| (&**host, "/", 503)).collect();
            check(web(&bound), &backend, &rows).await;
        })
        .await;
    });
}

#[test]
fn s10_nobody_reaches_into_another_namespace_or_the_edge_itself() {
    run(async {
        let backend = Backend::start().await;
        let elsewhere = |namespace: &str, name: &str| {
            format!(
                "apiVersion: traefik.io/v1alpha1\nkind: Middleware\nmetadata: {{name: {name}, namespace: {namespace}}}\n\
                 spec: {{compress: {{}}}}"
            )
        };
        let external = |name: &str, to: &str| {
            format!(
                "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: default}}\n\
                 spec: {{type: ExternalName, externalName: {to}, ports: [{{port: 80}}]}}"
            )
        };
        let manifests = good(&backend)
            .document(&ingress("internal", &through("rest@internal"), "a.example", "/"))
            .document(&ingress("api", &through("api@internal"), "b.example", "/"))
            .document(&ingress("file", &through("strip@file"), "c.example", "/"))
            // `a` with `b-c` and `a-b` with `c` are spelt alike.
            .document(&elsewhere("a", "b-c"))
            .document(&elsewhere("a-b", "c"))
            .document(&ingress("collision", &through("a-b-c@kubernetescrd"), "d.example", "/"))
            .middleware("chain", "chain: {middlewares: [{name: b-c, namespace: a}]}")
            .route("e.example", "/", &["chain"], "web")
            .document(&external("loopback", "localhost"))
            .document(&external("metadata", "169.254.169.254"))
            .route("f.example", "/", &[], "loopback")
            .route("g.example", "/", &[], "metadata");
        beside_node(manifests, async |bound| {
            let hosts = ["a", "b", "c", "d", "e", "f", "g"].map(|name| format!("{name}.example"));
            let rows: Vec<_> = hosts.iter().map(|host| (&**host, "/", 503)).collect();
            check(web(&bound), &backend, &rows).await;
        })
        .await;
    });
}

#[test]
fn s16_a_health_check_asks_the_endpoint_and_nobody_else() {
    run(async {
        let (backend, victim) = (Backend::start().await, Backend::start().await);
        let annotations =
            format!("traefik.ingress.kubernetes.io/service.healthcheck.path: 'http://{}/'", victim.address);
        let manifests = good(&backend).document(&ingress("checked", &annotations, "a.example", "/"));
        beside_node(manifests, async |bound| {
            let answer = get(web(&bound), "a.example", "/", "").await;
            assert!([200, 503].contains(&status(&answer)), "{answer}");
            assert!(victim.seen().is_empty(), "the URL is not asked");
            drop(backend.seen());
            check(web(&bound), &backend, &[]).await;
        })
        .await;
    });
}
