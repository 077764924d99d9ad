//! Clients that know the password, and others.

use postern_config::model::middleware::digest_auth::Algorithm;

use super::digest;
use crate::middleware::testing::{Builder, answered, exchange, shown, spec_beside_secret};

/// Clients write the user's digest as their password gives it.
struct Client {
    name: &'static str,
    password: &'static str,
    realm: &'static str,
    algorithm: Algorithm,
}

const ALICE: Client = Client { name: "alice", password: "secret", realm: "traefik", algorithm: Algorithm::Md5 };

impl Client {
    fn hash(&self) -> String {
        digest(self.algorithm, &[self.name, self.realm, self.password])
    }

    fn authorization(&self, method: &str, uri: &str, nonce: &str, count: &str) -> String {
        let second = digest(self.algorithm, &[method, uri]);
        let response = digest(self.algorithm, &[&self.hash(), nonce, count, "cn", "auth", &second]);
        let (name, realm, algorithm) = (self.name, self.realm, self.algorithm.as_str());
        format!(
            "Digest username=\"{name}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", algorithm={algorithm}, \
             qop=auth, nc={count}, cnonce=\"cn\", response=\"{response}\""
        )
    }
}

fn file() -> String {
    let bob = Client { name: "bob", password: "other", ..ALICE };
    format!("# team\nalice:traefik:{}\nbob:traefik:{}\nalice:elsewhere:{}\n", ALICE.hash(), bob.hash(), "0".repeat(32))
}

fn middleware(options: &str) -> crate::middleware::Middleware {
    spec_beside_secret(&format!("digestAuth: {{secret: users{options}}}"), &file())
}

/// The status and the challenges of what is answered; `None` where the request passes.
async fn ask(middleware: &crate::middleware::Middleware, request: Builder) -> Option<(u16, Vec<String>)> {
    let answer = answered(middleware, &mut request.build()).await?;
    let challenges = answer.headers().get_all("www-authenticate").iter();
    Some((answer.status().as_u16(), challenges.map(|value| value.to_str().expect("text").to_owned()).collect()))
}

async fn nonce(middleware: &crate::middleware::Middleware) -> String {
    let (_, challenges) = ask(middleware, exchange("GET", "http://a/")).await.expect("it asks for credentials");
    let (_, rest) = challenges[0].split_once("nonce=\"").expect("a nonce");
    rest.split('"').next().expect("its end").to_owned()
}

#[tokio::test]
async fn the_challenge_is_one_that_clients_know() {
    let (status, challenges) = ask(&middleware(""), exchange("GET", "http://a/")).await.expect("a challenge");
    assert_eq!((status, challenges.len()), (401, 1));
    assert!(challenges[0].starts_with("Digest realm=\"traefik\", nonce=\""), "{challenges:?}");
    assert!(challenges[0].ends_with("\", algorithm=MD5, qop=\"auth\""), "{challenges:?}");
}

#[tokio::test]
async fn only_who_knows_the_password_passes() {
    let middleware = middleware("");
    for (client, wrong, want) in [
        (ALICE, None, None),
        (Client { password: "wrong", ..ALICE }, None, Some(401)),
        (Client { name: "nobody", ..ALICE }, None, Some(401)),
        (Client { name: "", ..ALICE }, None, Some(401)),
        (Client { realm: "elsewhere", ..ALICE }, None, Some(401)),
        (Client { algorithm: Algorithm::Sha256, ..ALICE }, None, Some(401)),
        // The proof is of another request.
        (ALICE, Some(("POST", "/x?y=1")), Some(401)),
        (ALICE, Some(("GET", "/x")), Some(401)),
        (ALICE, Some(("GET", "/x?y=2")), Some(401)),
        (ALICE, Some(("GET", "/")), Some(401)),
    ] {
        let nonce = nonce(&middleware).await;
        let (method, uri) = wrong.unwrap_or(("GET", "/x?y=1"));
        let said = client.authorization(method, uri, &nonce, "00000001");
        let got = ask(&middleware, exchange("GET", "http://a/x?y=1").header("authorization", &said)).await;
        let stale = got.as_ref().is_some_and(|(_, challenges)| challenges[0].contains("stale"));
        assert_eq!(got.map(|(status, _)| status), want, "{said}");
        assert!(!stale, "only who knows the password learns of the nonce: {said}");
    }
}

#[tokio::test]
async fn a_proof_is_good_once() {
    let middleware = middleware("");
    let nonce = nonce(&middleware).await;
    for (count, want) in
        [("00000002", None), ("00000001", None), ("00000002", Some(401)), ("00000001", Some(401)), ("00000003", None)]
    {
        let said = ALICE.authorization("GET", "/", &nonce, count);
        let got = ask(&middleware, exchange("GET", "http://a/").header("authorization", &said)).await;
        assert_eq!(got.as_ref().map(|(status, _)| *status), want, "{count}");
        if let Some((_, challenges)) = got {
            assert!(challenges[0].ends_with(", stale=true"), "{challenges:?}");
        }
    }
}

#[tokio::test]
async fn a_nonce_of_another_node_is_stale_for_who_knows_the_password() {
    let here = middleware("");
    let elsewhere = nonce(&middleware("")).await;
    let said = ALICE.authorization("GET", "/", &elsewhere, "00000001");
    let (_, challenges) =
        ask(&here, exchange("GET", "http://a/").header("authorization", &said)).await.expect("refused");
    assert!(challenges[0].ends_with(", stale=true"), "{challenges:?}");
}

#[tokio::test]
async fn two_authorization_fields_are_none() {
    let middleware = middleware("");
    let said = ALICE.authorization("GET", "/", &nonce(&middleware).await, "00000001");
    let request = exchange("GET", "http://a/").header("authorization", &said).header("authorization", "Basic x");
    assert_eq!(ask(&middleware, request).await.map(|(status, _)| status), Some(401));
}

#[tokio::test]
async fn the_backend_learns_the_user_from_us_alone() {
    let middleware = middleware(", headerField: X-Auth-User, removeHeader: true");
    let said = ALICE.authorization("GET", "/", &nonce(&middleware).await, "00000001");
    let request = exchange("GET", "http://a/").header("authorization", &said);
    let mut exchange = request.header("x-auth-user", "admin").header("X_Auth_User", "admin").build();
    assert!(answered(&middleware, &mut exchange).await.is_none());
    assert_eq!(shown(&exchange.parts.headers), "x-auth-user: alice");
    assert_eq!(exchange.record.user.as_deref(), Some("alice"));
}

#[tokio::test]
async fn the_stronger_hash_is_offered_first_where_all_have_one() {
    let strong = Client { algorithm: Algorithm::Sha256, ..ALICE };
    let file = format!("alice:traefik:{}\nalice:traefik:{}\n", ALICE.hash(), strong.hash());
    let middleware = spec_beside_secret("digestAuth: {secret: users}", &file);
    let (_, challenges) = ask(&middleware, exchange("GET", "http://a/")).await.expect("a challenge");
    let offered: Vec<_> = challenges.iter().map(|text| text.contains("algorithm=SHA-256")).collect();
    assert_eq!(offered, [true, false]);
    for client in [ALICE, strong] {
        let said = client.authorization("GET", "/", &nonce(&middleware).await, "00000001");
        let got = ask(&middleware, exchange("GET", "http://a/").header("authorization", &said)).await;
        assert_eq!(got, None, "{said}");
    }
}

#[tokio::test]
async fn the_target_is_the_clients_own_whatever_became_of_the_path() {
    let strip = crate::middleware::testing::spec("stripPrefix: {prefixes: ['/api']}");
    let middleware = middleware("");
    let said = ALICE.authorization("GET", "/api/%7Ex", &nonce(&middleware).await, "00000001");
    let mut exchange = exchange("GET", "http://a/api/~x").header("authorization", &said).build();
    assert!(answered(&strip, &mut exchange).await.is_none());
    assert_eq!(exchange.parts.uri, "/~x");
    assert!(answered(&middleware, &mut exchange).await.is_none());
}
