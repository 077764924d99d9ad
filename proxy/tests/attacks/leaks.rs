//! S11, S12, S18: what fills memory, gives secrets away, or writes into the log.

use postern_proxy::settings::access_log::{HeaderPolicy, Keep, LineFormat, Shape, Target};

use crate::world::{Backend, Manifests, auth, beside_node, beside_node_as, field, get, run, status, web};

const USERS: &str = "alice:{SHA}EJ9LPFDXsN9ynSmbxvjp75Bmlx8=";
const AS_ALICE: &str = "Authorization: Basic YWxpY2U6dGVzdDI=\r\n";

#[test]
fn s11_an_auth_answer_without_end_is_not_kept() {
    run(async {
        let backend = Backend::start().await;
        let large = format!("HTTP/1.1 200 OK\r\nContent-Length: 2097152\r\n\r\n{}", "x".repeat(2_097_152));
        let server = Backend::answering(large).await;
        let manifests = Manifests::default().service("web", &backend).middleware("auth", &auth(&server, "")).route(
            "a.example",
            "/",
            &["auth"],
            "web",
        );
        beside_node(manifests, async |bound| {
            assert_eq!(status(&get(web(&bound), "a.example", "/", "").await), 401);
            assert!(backend.seen().is_empty());
        })
        .await;
    });
}

#[test]
fn s11_a_body_for_the_auth_server_is_bounded() {
    run(async {
        let (backend, server) = (Backend::start().await, Backend::start().await);
        let manifests = Manifests::default()
            .service("web", &backend)
            .middleware("auth", &auth(&server, ", forwardBody: true, maxBodySize: 10"))
            .route("a.example", "/", &["auth"], "web");
        beside_node(manifests, async |bound| {
            let body = "Content-Length: 11\r\n\r\n12345678901";
            let request = format!("POST / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n{body}");
            assert_eq!(status(&crate::world::send(web(&bound), request).await), 401);
            assert!(backend.seen().is_empty() && server.seen().is_empty());
        })
        .await;
    });
}

#[test]
fn s12_credentials_end_where_they_should() {
    run(async {
        let backend = Backend::start().await;
        let manifests = Manifests::default()
            .service("web", &backend)
            .users("users", USERS)
            .middleware("basic", "basicAuth: {secret: users, removeHeader: true}")
            .middleware("certificate", "passTLSClientCert: {pem: true, info: {subject: {commonName: true}}}")
            .route("a.example", "/", &["basic"], "web")
            .route("b.example", "/", &["certificate"], "web");
        beside_node(manifests, async |bound| {
            assert_eq!(status(&get(web(&bound), "a.example", "/", AS_ALICE).await), 200);
            assert_eq!(field(&backend.only(), "authorization"), None);
            // Without a certificate nobody says that there is one.
            let forged = "X-Forwarded-Tls-Client-Cert: forged\r\nX_Forwarded_Tls_Client_Cert: forged\r\n\
                          X-Forwarded-Tls-Client-Cert-Info: forged\r\nx-forwarded-tls_client-cert-info: forged\r\n";
            assert_eq!(status(&get(web(&bound), "b.example", "/", forged).await), 200);
            let head = backend.only();
            assert!(!head.contains("forged"), "{head}");
        })
        .await;
    });
}

#[test]
fn s18_no_request_writes_lines_of_its_own_into_the_log() {
    run(async {
        for format in [LineFormat::Common, LineFormat::Json] {
            let backend = Backend::start().await;
            let directory = tempfile::tempdir().expect("a directory");
            let file = directory.path().join("access.log");
            let manifests = Manifests::default()
                .service("web", &backend)
                .users("users", USERS)
                .middleware("basic", "basicAuth: {secret: users}")
                .route("a.example", "/", &["basic"], "web");
            let target = Target::File(file.clone());
            let logging = |settings: &mut postern_proxy::settings::Settings| {
                settings.access_log.target = Some(target);
                let headers = HeaderPolicy { default: Keep::Keep, ..HeaderPolicy::default() };
                settings.access_log.shape = Shape { format, headers, ..Shape::default() }.into();
            };
            beside_node_as(manifests, logging, async |bound| {
                let fields = "User-Agent: x\" 200 9 \"evil\r\nReferer: \"\\\" - - \u{1b}[31m\u{9b}\r\n";
                for bytes in ["Referer: a\tb\"c\\\r\n", "User-Agent: \"},{\"Forged\":1\r\n"] {
                    get(web(&bound), "a.example", "/%22%0a%1b", &format!("{bytes}{AS_ALICE}")).await;
                }
                assert_eq!(status(&get(web(&bound), "a.example", "/", fields).await), 400, "control characters");
            })
            .await;
            let text = std::fs::read_to_string(&file).expect("the log was written");
            assert!(text.lines().count() >= 2, "{text}");
            for line in text.lines() {
                assert!(!line.contains(|c: char| c.is_control() && c != '\t'), "{line:?}");
                match format {
                    LineFormat::Json => {
                        let object: serde_json::Value = serde_json::from_str(line).expect("a line is one object");
                        assert!(object.get("Forged").is_none(), "{line}");
                    }
                    LineFormat::Common => assert!(quotes_are_balanced(line), "{line}"),
                }
            }
        }
    });
}

/// Whether every quoted field ends where it should: behind its closing mark stands a space or the end.
fn quotes_are_balanced(line: &str) -> bool {
    let (mut inside, mut escaped) = (false, false);
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            _ if escaped => escaped = false,
            '\\' if inside => escaped = true,
            '"' => {
                if inside && !matches!(chars.peek(), None | Some(' ')) {
                    return false;
                }
                inside = !inside;
            }
            _ => {}
        }
    }
    !inside
}
