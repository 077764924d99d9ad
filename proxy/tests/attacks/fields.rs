//! S1 to S4: fields that only the edge may set.

use crate::world::{Backend, Manifests, auth, beside_node, beside_node_as, field, fields, get, run, status, web};

/// What a client forges; the value says so.
const MANAGED: [&str; 13] = [
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Method",
    "X-Forwarded-Port",
    "X-Forwarded-Prefix",
    "X-Forwarded-Proto",
    "X-Forwarded-Scheme",
    "X-Forwarded-Server",
    "X-Forwarded-Tls-Client-Cert",
    "X-Forwarded-Tls-Client-Cert-Info",
    "X-Forwarded-Uri",
    "X-Real-Ip",
    "X-Scheme",
];

/// alice with the password `test2`.
const USERS: &str = "alice:{SHA}EJ9LPFDXsN9ynSmbxvjp75Bmlx8=";
const AS_ALICE: &str = "Authorization: Basic YWxpY2U6dGVzdDI=\r\n";

fn plain_route(backend: &Backend) -> Manifests {
    Manifests::default().service("web", backend).route("a.example", "/", &[], "web")
}

#[test]
fn s1_connection_cannot_name_fields_of_ours_away() {
    run(async {
        let answer = "HTTP/1.1 200 OK\r\nX-Auth-User: alice\r\nContent-Length: 0\r\n\r\n";
        let (backend, server) = (Backend::start().await, Backend::answering(answer).await);
        let manifests = Manifests::default()
            .service("web", &backend)
            .middleware("auth", &auth(&server, ", authResponseHeaders: [X-Auth-User]"))
            .middleware("basic", "basicAuth: {secret: users, headerField: X-Auth-User}")
            .users("users", USERS)
            .route("auth.example", "/", &["auth"], "web")
            .route("basic.example", "/", &["basic"], "web");
        beside_node(manifests, async |bound| {
            let named = "X-Forwarded-Host, x-real-ip, X-FORWARDED-FOR, x-forwarded-proto, X-Auth-User, Authorization";
            for lines in [
                format!("Connection: close, {named}\r\n"),
                format!("Connection: close\r\nconnection: {named}\r\n"),
                format!("connection: {named}, close\r\n"),
            ] {
                for host in ["auth.example", "basic.example"] {
                    let answer = get(web(&bound), host, "/x", &format!("{lines}{AS_ALICE}")).await;
                    assert_eq!(status(&answer), 200, "{host} {lines}");
                    let head = backend.only();
                    assert_eq!(field(&head, "x-auth-user"), Some("alice"), "{host} {lines}");
                    let asked = server.seen();
                    for head in asked.iter().chain([&head]) {
                        assert_eq!(field(head, "x-forwarded-host"), Some(host), "{lines}");
                        assert_eq!(field(head, "x-forwarded-for"), Some("127.0.0.1"), "{lines}");
                        assert_eq!(field(head, "x-forwarded-proto"), Some("http"), "{lines}");
                    }
                    assert_eq!(field(&head, "x-real-ip"), Some("127.0.0.1"), "{lines}");
                }
            }
        })
        .await;
    });
}

#[test]
fn s2_underscores_are_no_other_spelling_of_our_fields() {
    run(async {
        let answer = "HTTP/1.1 200 OK\r\nX-Auth-User: alice\r\nContent-Length: 0\r\n\r\n";
        let (backend, server) = (Backend::start().await, Backend::answering(answer).await);
        let manifests = Manifests::default()
            .service("web", &backend)
            .middleware("auth", &auth(&server, ", authResponseHeaders: [X-Auth-User]"))
            .route("a.example", "/", &["auth"], "web");
        beside_node(manifests, async |bound| {
            let mut forged = String::new();
            for name in MANAGED {
                forged.push_str(&format!("{}: forged\r\n", name.replace('-', "_")));
                forged.push_str(&format!("{}: forged\r\n", name.replacen("-F", "_F", 1)));
            }
            forged.push_str("X_Auth_User: forged\r\nX-Auth_User: forged\r\n");
            assert_eq!(status(&get(web(&bound), "a.example", "/", &forged).await), 200);
            let head = backend.only();
            assert!(!head.contains("forged"), "{head}");
            assert_eq!(field(&head, "x-auth-user"), Some("alice"));
        })
        .await;
    });
}

#[test]
fn s3_no_untrusted_client_says_where_it_comes_from() {
    run(async {
        let backend = Backend::start().await;
        let forged: String = MANAGED.iter().map(|name| format!("{name}: forged\r\n")).collect();
        beside_node(plain_route(&backend), async |bound| {
            assert_eq!(status(&get(web(&bound), "a.example", "/", &forged).await), 200);
            let head = backend.only();
            assert!(!head.contains("forged"), "{head}");
        })
        .await;
        let trusting = |settings: &mut postern_proxy::settings::Settings| {
            settings.trust.forwarded = vec!["127.0.0.1/32".parse().expect("a network")];
        };
        beside_node_as(plain_route(&backend), trusting, async |bound| {
            assert_eq!(status(&get(web(&bound), "a.example", "/", &forged).await), 200);
            let head = backend.only();
            for name in MANAGED.iter().filter(|name| **name != "X-Forwarded-Server") {
                assert!(field(&head, name).is_some_and(|value| value.starts_with("forged")), "{name}: {head}");
            }
            assert_eq!(field(&head, "x-forwarded-for"), Some("forged, 127.0.0.1"), "the peer itself is told too");
        })
        .await;
    });
}

#[test]
fn s3_an_auth_server_hears_nothing_that_a_trusted_peer_made_up_unless_told_to() {
    run(async {
        let (backend, server) = (Backend::start().await, Backend::start().await);
        let forged: String = MANAGED.iter().map(|name| format!("{name}: forged\r\n")).collect();
        let manifests = Manifests::default()
            .service("web", &backend)
            .middleware("auth", &auth(&server, ", trustForwardHeader: false"))
            .route("a.example", "/", &["auth"], "web");
        let trusting = |settings: &mut postern_proxy::settings::Settings| settings.trust.forwarded_insecure = true;
        beside_node_as(manifests, trusting, async |bound| {
            assert_eq!(status(&get(web(&bound), "a.example", "/x", &forged).await), 200);
            let head = server.only();
            assert!(!head.contains("forged"), "{head}");
            assert_eq!(field(&head, "x-forwarded-uri"), Some("/x"));
        })
        .await;
    });
}

#[test]
fn s4_an_identity_field_has_one_value_whatever_its_spelling() {
    run(async {
        let backend = Backend::start().await;
        let manifests = Manifests::default()
            .service("web", &backend)
            .users("users", USERS)
            .middleware("basic", "basicAuth: {secret: users, headerField: x-auth-user}")
            .route("a.example", "/", &["basic"], "web");
        beside_node(manifests, async |bound| {
            let forged = "X-Auth-User: admin\r\nx-auth-user: admin\r\nX-AUTH-USER: admin\r\nX-Auth_User: admin\r\n";
            let answer = get(web(&bound), "a.example", "/", &format!("{AS_ALICE}{forged}")).await;
            assert_eq!(status(&answer), 200);
            let head = backend.only();
            assert_eq!(fields(&head, "x-auth-user"), ["alice"]);
            assert!(!head.contains("admin"), "{head}");
        })
        .await;
    });
}
