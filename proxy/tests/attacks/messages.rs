//! S14 and S17: messages that two readers take for different ones, and upgrades on their way through middlewares.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::world::{Backend, Manifests, auth, beside_node, field, run, send, status, target, web};

fn plain_route(backend: &Backend) -> Manifests {
    Manifests::default().service("web", backend).route("a.example", "/", &[], "web")
}

#[test]
fn s14_what_could_be_two_requests_is_none() {
    const SECOND: &str = "GET /smuggled HTTP/1.1\r\nHost: a.example\r\n\r\n";
    run(async {
        let backend = Backend::start().await;
        beside_node(plain_route(&backend), async |bound| {
            for fields in [
                "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
                "Content-Length: 0\r\nContent-Length: 44\r\n\r\n",
                "Content-Length: 0, 44\r\n\r\n",
                "Transfer-Encoding: xchunked\r\n\r\n",
                "Transfer-Encoding: chunked, identity\r\n\r\n",
                "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
                "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
                "X: y\n\n",
                "X: a\rContent-Length: 44\r\n\r\n",
                "Transfer-Encoding: chunked\r\n\r\n0\n\r\n",
                "Transfer-Encoding: chunked\r\n\r\n1;a\nb\r\nx\r\n0\r\n\r\n",
                "Transfer-Encoding: chunked\r\n\r\n00000000000000000\r\n\r\n",
            ] {
                let answer = send(web(&bound), format!("POST / HTTP/1.1\r\nHost: a.example\r\n{fields}{SECOND}")).await;
                assert_eq!(status(&answer), 400, "{fields:?}");
                assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{fields:?}: {answer}");
                let seen = backend.seen();
                assert!(seen.iter().all(|head| target(head) != "/smuggled"), "{fields:?}: {seen:?}");
            }
        })
        .await;
    });
}

/// Envoy CVE-2024-23326: who takes a refused upgrade for a tunnel lets a second request pass every rule.
#[test]
fn s14_a_refused_upgrade_opens_no_tunnel() {
    run(async {
        let backend = Backend::start().await;
        let manifests = plain_route(&backend)
            .middleware("nobody", "ipAllowList: {sourceRange: [203.0.113.0/24]}")
            .route("a.example", "/admin", &["nobody"], "web");
        beside_node(manifests, async |bound| {
            for upgrade in ["websocket", "h2c", "tls/1.0"] {
                let head = format!(
                    "GET / HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: {upgrade}\r\n\
                     HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\nSec-WebSocket-Version: 13\r\n\
                     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
                );
                let second = "GET /admin HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n";
                send(web(&bound), format!("{head}{second}")).await;
                let seen = backend.seen();
                assert!(seen.iter().all(|head| target(head) != "/admin"), "{upgrade}: {seen:?}");
                for head in seen.iter().filter(|_| upgrade == "h2c") {
                    assert_eq!(field(head, "upgrade"), None, "{head}");
                    assert_eq!(field(head, "http2-settings"), None, "{head}");
                }
            }
        })
        .await;
    });
}

#[test]
fn s17_websockets_pass_every_middleware() {
    const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                          Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nhello";
    run(async {
        let (backend, server) = (Backend::answering(SWITCH).await, Backend::start().await);
        let mut manifests = Manifests::default().service("web", &backend);
        let auth = auth(&server, "");
        let all = [
            ("auth", &*auth),
            ("rate", "rateLimit: {average: 100, burst: 100}"),
            ("compress", "compress: {defaultEncoding: gzip}"),
            ("headers", "headers: {frameDeny: true, customResponseHeaders: {X-A: b}}"),
            ("type", "contentType: {}"),
            ("web", "grpcWeb: {allowOrigins: ['*']}"),
            ("strict", "encodedCharacters: {}"),
            ("certificate", "passTLSClientCert: {pem: true}"),
        ];
        for (name, spec) in all {
            manifests = manifests.middleware(name, spec).route(&format!("{name}.example"), "/", &[name], "web");
        }
        let names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
        manifests = manifests.route("all.example", "/", &names, "web");
        beside_node(manifests, async |bound| {
            for name in names.iter().chain(&["all"]) {
                let mut stream = TcpStream::connect(web(&bound)).await.expect("a listener");
                let head = format!(
                    "GET /ws HTTP/1.1\r\nHost: {name}.example\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
                     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
                );
                stream.write_all(head.as_bytes()).await.expect("written");
                let mut answer = Vec::new();
                let reading = async {
                    while !answer.ends_with(b"hello") {
                        assert_ne!(stream.read_buf(&mut answer).await.expect("read"), 0, "closed");
                    }
                };
                let done = tokio::time::timeout(std::time::Duration::from_secs(10), reading).await;
                assert!(done.is_ok(), "{name}: {}", String::from_utf8_lossy(&answer));
                assert!(answer.starts_with(b"HTTP/1.1 101 "), "{name}: {}", String::from_utf8_lossy(&answer));
                assert_eq!(field(&backend.only(), "upgrade"), Some("websocket"), "{name}");
                for asked in server.seen() {
                    assert_eq!(field(&asked, "upgrade"), None, "the auth server is asked by an ordinary request");
                    assert_eq!(field(&asked, "connection"), None, "{asked}");
                }
            }
        })
        .await;
    });
}
