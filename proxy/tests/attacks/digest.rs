//! `digestAuth` as curl speaks it, and proofs that are used again.

use std::process::Command;

use crate::world::{Backend, Manifests, beside_node, field, get, run, status, target, web};

/// The MD5 and the SHA-256 of `alice:traefik:secret`.
const MD5: &str = "e66182e4199fd90e2499700ddd5c3e17";
const SHA256: &str = "a1b6790a5c4a6cc5adce4e992ae4a5c814b0bedf12b86e22792868880c031386";

/// What curl prints of the status of each answer, the last one last.
async fn curl(address: std::net::SocketAddr, host: &str, arguments: &[&str]) -> String {
    let url = format!("http://{address}/a%7Eb/?x=1,2");
    let mut command = Command::new("curl");
    command.args(["-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "20", "--digest"]);
    command.args(["-H", &format!("Host: {host}")]).args(arguments).arg(url);
    let done = tokio::task::spawn_blocking(move || command.output()).await.expect("it ran");
    let output = done.expect("curl is installed: it stands for all clients that others have written");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn manifests(backend: &Backend) -> Manifests {
    let both = format!("alice:traefik:{MD5}\n\n  alice:traefik:{SHA256}");
    Manifests::default()
        .service("web", backend)
        .users("md5", &format!("alice:traefik:{MD5}"))
        .users("sha256", &format!("alice:traefik:{SHA256}"))
        .users("both", &both)
        .middleware("md5", "digestAuth: {secret: md5, headerField: X-User, removeHeader: true}")
        .middleware("sha256", "digestAuth: {secret: sha256, headerField: X-User, removeHeader: true}")
        .middleware("both", "digestAuth: {secret: both, headerField: X-User, removeHeader: true}")
        .route("md5.example", "/", &["md5"], "web")
        .route("sha256.example", "/", &["sha256"], "web")
        .route("both.example", "/", &["both"], "web")
}

#[test]
fn curl_gets_in_with_the_password_alone() {
    run(async {
        let backend = Backend::start().await;
        beside_node(manifests(&backend), async |bound| {
            for host in ["md5.example", "sha256.example", "both.example"] {
                assert_eq!(curl(web(&bound), host, &["-u", "alice:secret"]).await, "200", "{host}");
                let head = backend.only();
                assert_eq!((target(&head), field(&head, "x-user")), ("/a~b/?x=1,2", Some("alice")), "{head}");
                assert_eq!(field(&head, "authorization"), None);
                for wrong in ["alice:wrong", "bob:secret", ":"] {
                    assert_eq!(curl(web(&bound), host, &["-u", wrong]).await, "401", "{host} {wrong}");
                }
                assert_eq!(curl(web(&bound), host, &["-u", "alice:secret", "-d", "body"]).await, "200", "{host}");
                assert!(backend.only().starts_with("POST "));
            }
        })
        .await;
    });
}

#[test]
fn a_proof_that_was_seen_on_the_wire_opens_nothing() {
    run(async {
        let backend = Backend::start().await;
        beside_node(manifests(&backend), async |bound| {
            let challenge = get(web(&bound), "md5.example", "/", "").await;
            assert_eq!(status(&challenge), 401);
            let asked = field(&challenge, "www-authenticate").expect("a challenge").to_owned();
            let nonce = asked.split('"').nth(3).expect("a nonce");
            let made_up = format!(
                "Authorization: Digest username=\"alice\", realm=\"traefik\", nonce=\"{nonce}\", uri=\"/\", qop=auth, \
                 nc=00000001, cnonce=\"c\", response=\"{}\"\r\n",
                "0".repeat(32)
            );
            let answer = get(web(&bound), "md5.example", "/", &made_up).await;
            assert_eq!(status(&answer), 401);
            assert!(!answer.contains("stale"), "nobody without the password learns of nonces");
            assert!(backend.seen().is_empty());
        })
        .await;
    });
}
