//! Asks for a name and a password (RFC 7617).
//!
//! Unknown names cost what known ones cost. Slow hashes are computed off the worker, by a bounded number of requests at
//! a time, and what was verified once is remembered by a keyed digest.

mod apr1;
mod password;
mod verified;

use std::{
    collections::HashMap,
    rc::Rc,
    sync::{Arc, atomic::Ordering},
};

use base64::Engine as _;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use postern_config::model::{
    id::MiddlewareId,
    middleware::basic_auth::{self as model, Password},
};
pub(crate) use verified::Verified;

use super::{fail, identity::Identity, live::Live, refuse};
use crate::{
    exchange::{Exchange, Flow},
    respond::Failure,
    telemetry::metrics::Limit,
    worker::Worker,
};

/// Running state.
#[derive(Debug)]
pub(super) struct BasicAuth {
    id: MiddlewareId,
    users: HashMap<Arc<str>, Password>,
    /// What unknown names are compared with: the slowest of the hashes.
    decoy: Password,
    challenge: HeaderValue,
    identity: Identity,
    verified: Arc<Verified>,
}

/// What is known without computing a slow hash.
pub(super) enum Judged {
    /// Settled.
    Settled(Flow),
    /// A slow hash decides.
    Open(Check),
}

/// A slow hash to compute.
pub(super) struct Check {
    name: String,
    password: Vec<u8>,
    hash: Password,
    known: bool,
    digest: verified::Digest,
}

impl BasicAuth {
    pub(super) fn build(id: &MiddlewareId, spec: &model::BasicAuth, live: &Live) -> Self {
        let slowest = spec.users.iter().map(|user| &user.password).max_by_key(|password| password::cost(password));
        Self {
            id: id.clone(),
            users: spec.users.iter().map(|user| (user.name.clone(), user.password.clone())).collect(),
            decoy: slowest.cloned().unwrap_or_else(|| Password::Plain("".into())),
            challenge: spec.challenge.clone(),
            identity: Identity { remove_header: spec.remove_header, user_header: spec.user_header.clone() },
            verified: live.verified.clone(),
        }
    }

    /// Settles what needs no slow hash.
    pub(super) fn judge_at_once(&self, exchange: &mut Exchange) -> Judged {
        let Some((name, password)) = credentials(&exchange.parts.headers) else {
            return Judged::Settled(self.challenge(exchange, "no credentials"));
        };
        let (hash, known) = match self.users.get(&*name) {
            Some(hash) => (hash, true),
            None => (&self.decoy, false),
        };
        if let Some(fits) = password::verify_fast(hash, &password) {
            return Judged::Settled(self.conclude(exchange, &name, fits & known));
        }
        let digest = self.verified.digest(&name, &password, hash);
        if known && self.verified.contains(&digest) {
            return Judged::Settled(self.conclude(exchange, &name, true));
        }
        Judged::Open(Check { name, password, hash: hash.clone(), known, digest })
    }

    /// Computes a slow hash off the worker.
    pub(super) async fn judge(&self, check: Check, exchange: &mut Exchange, worker: &Rc<Worker>) -> Flow {
        let Some(turn) = self.verified.turn() else {
            worker.metrics().limited(Limit::Offload);
            return fail(exchange, &Failure::Overloaded("too many passwords to check"));
        };
        let Check { name, password, hash, known, digest } = check;
        let job = worker.shared.offload.spawn_blocking(move || {
            let fits = password::verify_slow(&hash, &password);
            // Held until the work is done, also when the client has gone away.
            drop(turn);
            fits
        });
        let fits = job.await.unwrap_or(false) & known;
        if fits {
            self.verified.insert(digest);
        }
        self.conclude(exchange, &name, fits)
    }

    fn conclude(&self, exchange: &mut Exchange, name: &str, fits: bool) -> Flow {
        if !fits {
            return self.challenge(exchange, "wrong credentials");
        }
        if self.identity.tell(exchange, name) {
            Flow::Continue
        } else {
            self.challenge(exchange, "a name that no header field may hold")
        }
    }

    fn challenge(&self, exchange: &mut Exchange, why: &str) -> Flow {
        let flow = refuse(exchange, StatusCode::UNAUTHORIZED, format!("{}: {why}", self.id));
        let Flow::Answer(mut response) = flow else { return flow };
        response.headers_mut().insert(header::WWW_AUTHENTICATE, self.challenge.clone());
        Flow::Answer(response)
    }
}

/// Name and password of the first Authorization field.
fn credentials(headers: &HeaderMap) -> Option<(String, Vec<u8>)> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, encoded) = value.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let decoded = base64::engine::general_purpose::STANDARD.decode(encoded.trim_ascii()).ok()?;
    let colon = decoded.iter().position(|b| *b == b':')?;
    let name = String::from_utf8(decoded.get(..colon)?.to_vec()).ok()?;
    Some((name, decoded.get(colon + 1..)?.to_vec()))
}

/// A place among those who compute a hash at a time.
struct Turn(Arc<Verified>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::middleware::{
        Kind,
        testing::{answered, exchange, spec_with_users},
    };

    const FILE: &str = "# team\napr:$apr1$H6uskkkW$IgXLP6ewTrSuBkTrqE8wj/\nsha:{SHA}EJ9LPFDXsN9ynSmbxvjp75Bmlx8=\n\
                        bcr:$2b$04$EGdrhbKUv8Oc9vGiXX0HQOxSg445d458Muh7DAHskb6QbtCvdxcie";

    fn basic(name: &str, password: &str) -> String {
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{name}:{password}")))
    }

    #[tokio::test]
    async fn only_known_names_with_their_password_pass() {
        let middleware = spec_with_users(FILE, "");
        for (authorization, want) in [
            (basic("sha", "test2"), None),
            (basic("sha", "wrong"), Some(401)),
            (basic("bcr", "correctbatteryhorsestapler"), None),
            (basic("bcr", "wrong"), Some(401)),
            (basic("apr", "test"), None),
            (basic("apr", "test2"), Some(401)),
            (basic("nobody", "test"), Some(401)),
            (basic("", ""), Some(401)),
            ("Basic nonsense!".to_owned(), Some(401)),
            ("Bearer abc".to_owned(), Some(401)),
            (String::new(), Some(401)),
            (basic("sha", "test2").replace("Basic", "bAsIc"), None),
        ] {
            // The second time the answer may come from memory.
            for _ in 0..2 {
                let mut exchange = exchange("GET", "http://a/").header("authorization", &authorization).build();
                let answer = answered(&middleware, &mut exchange).await;
                assert_eq!(answer.as_ref().map(|answer| answer.status().as_u16()), want, "{authorization}");
                if let Some(answer) = answer {
                    let challenge = answer.headers().get("www-authenticate").map(HeaderValue::as_bytes);
                    assert_eq!(challenge, Some(&b"Basic realm=\"traefik\""[..]));
                }
            }
        }
    }

    #[tokio::test]
    async fn an_unknown_name_costs_as_many_rounds_as_a_known_one() {
        let middleware = spec_with_users(FILE, "");
        let Kind::BasicAuth(basic) = &middleware.0 else { panic!("another kind") };
        for name in ["bcr", "nobody", ""] {
            let mut exchange = exchange("GET", "http://a/").header("authorization", &self::basic(name, "x")).build();
            assert!(matches!(basic.judge_at_once(&mut exchange), Judged::Open(_)), "{name:?} is refused at once");
        }
    }

    #[tokio::test]
    async fn the_backend_learns_the_user_from_us_alone() {
        let middleware = spec_with_users(FILE, ", headerField: X-Auth-User, removeHeader: true");
        let mut exchange = exchange("GET", "http://a/")
            .header("authorization", &basic("sha", "test2"))
            .header("X-Auth-User", "admin")
            .header("x_auth_user", "admin")
            .header("X-Auth_User", "admin")
            .build();
        assert!(answered(&middleware, &mut exchange).await.is_none());
        assert_eq!(crate::middleware::testing::shown(&exchange.parts.headers), "x-auth-user: sha");
        assert_eq!(exchange.record.user.as_deref(), Some("sha"));
    }
}
