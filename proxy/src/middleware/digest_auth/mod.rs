//! Asks for a name and a password that never crosses the wire (RFC 7616, `qop=auth`).
//!
//! Nonces are signed, so that challenges cost no memory; what is remembered is which counts were used with a nonce, and
//! only once somebody with a password has used it. Who sends a good answer to an old nonce is told so (`stale`), and
//! browsers try again by themselves. Unknown names cost what known ones cost.

mod credentials;
mod nonce;

use std::{borrow::Cow, collections::HashMap, sync::Arc};

pub use credentials::Credentials;
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use md5::Md5;
pub(super) use nonce::Nonces;
use postern_config::model::{
    id::MiddlewareId,
    middleware::digest_auth::{self as model, Algorithm, Hash},
};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::{Live, identity::Identity, refuse};
use crate::exchange::{Exchange, Flow, filter::target_of_client, normalise::normalise};

/// Running state.
#[derive(Debug)]
pub(super) struct DigestAuth {
    id: MiddlewareId,
    realm: Arc<str>,
    /// The realm between quotation marks.
    quoted_realm: String,
    algorithms: Vec<Algorithm>,
    users: HashMap<Arc<str>, Vec<Hash>>,
    identity: Identity,
    nonces: Arc<Nonces>,
}

/// Why a request does not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Denial {
    NoCredentials,
    Wrong,
    /// The password is right, but the nonce is old or its count was used.
    Stale,
}

impl Denial {
    fn as_str(self) -> &'static str {
        match self {
            Self::NoCredentials => "no credentials",
            Self::Wrong => "wrong credentials",
            Self::Stale => "an old nonce, or a count that was used",
        }
    }
}

impl DigestAuth {
    pub(super) fn build(id: &MiddlewareId, spec: &model::DigestAuth, live: &Live) -> Self {
        Self {
            id: id.clone(),
            realm: spec.realm.clone(),
            quoted_realm: spec.realm.replace('\\', r"\\").replace('"', "\\\""),
            algorithms: spec.algorithms.clone(),
            users: spec.users.iter().map(|user| (user.name.clone(), user.hashes.clone())).collect(),
            identity: Identity { remove_header: spec.remove_header, user_header: spec.user_header.clone() },
            nonces: live.nonces.clone(),
        }
    }

    pub(super) fn on_request(&self, exchange: &mut Exchange) -> Flow {
        let denial = match self.judge(exchange) {
            Ok(name) if self.identity.tell(exchange, &name) => return Flow::Continue,
            Ok(_) => Denial::Wrong,
            Err(denial) => denial,
        };
        self.challenge(exchange, denial)
    }

    /// The name of who asks. The password is judged first: only who knows it learns whether the nonce is good.
    fn judge(&self, exchange: &Exchange) -> Result<String, Denial> {
        let said = only_authorization(&exchange.parts.headers).and_then(Credentials::parse);
        let said = said.ok_or(Denial::NoCredentials)?;
        let algorithm = self.algorithm(&said).filter(|_| said.realm == *self.realm).ok_or(Denial::Wrong)?;
        if !is_target(&said.uri, target_of_client(exchange)) || !self.knows(algorithm, &said, exchange) {
            return Err(Denial::Wrong);
        }
        let is_fresh = self.nonces.take(&self.id, &said.nonce, said.count);
        if is_fresh { Ok(said.name) } else { Err(Denial::Stale) }
    }

    /// RFC 7616 section 3.3: MD5 where nothing is said.
    fn algorithm(&self, said: &Credentials) -> Option<Algorithm> {
        let name = said.algorithm.as_deref().unwrap_or("MD5");
        self.algorithms.iter().copied().find(|algorithm| algorithm.as_str().eq_ignore_ascii_case(name))
    }

    /// Whether the answer is one of somebody who knows the password (RFC 7616 section 3.4.1).
    fn knows(&self, algorithm: Algorithm, said: &Credentials, exchange: &Exchange) -> bool {
        let hashes = self.users.get(&*said.name);
        let known = hashes.and_then(|hashes| hashes.iter().find(|hash| hash.algorithm == algorithm));
        let first = known.map_or("", |hash| &hash.text);
        let second = digest(algorithm, &[exchange.parts.method.as_str(), &said.uri]);
        let wanted = digest(algorithm, &[first, &said.nonce, &said.count_text, &said.client_nonce, "auth", &second]);
        let fits: bool = wanted.as_bytes().ct_eq(said.response.to_ascii_lowercase().as_bytes()).into();
        fits & known.is_some()
    }

    fn challenge(&self, exchange: &mut Exchange, denial: Denial) -> Flow {
        let reason = format!("{}: {}", self.id, denial.as_str());
        let flow = refuse(exchange, StatusCode::UNAUTHORIZED, reason);
        let Flow::Answer(mut response) = flow else { return flow };
        for algorithm in &self.algorithms {
            let text = self.challenge_text(*algorithm, denial == Denial::Stale);
            if let Ok(value) = HeaderValue::from_str(&text) {
                response.headers_mut().append(header::WWW_AUTHENTICATE, value);
            }
        }
        Flow::Answer(response)
    }

    fn challenge_text(&self, algorithm: Algorithm, stale: bool) -> String {
        let nonce = self.nonces.make(&self.id);
        let (realm, name) = (&self.quoted_realm, algorithm.as_str());
        let stale = if stale { ", stale=true" } else { "" };
        format!("Digest realm=\"{realm}\", nonce=\"{nonce}\", algorithm={name}, qop=\"auth\"{stale}")
    }
}

/// The one Authorization field; of several nobody knows which one counts.
fn only_authorization(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let first = values.next()?;
    values.next().is_none().then(|| first.as_bytes())
}

/// Whether a client that wrote `said` asked for `target`: the path in its one form, and the query byte by byte.
fn is_target(said: &str, target: &Uri) -> bool {
    let Ok(uri) = said.parse::<Uri>() else { return false };
    let path = if uri.path().is_empty() { "/" } else { uri.path() };
    normalise(path).is_ok_and(|path: Cow<'_, str>| path == target.path()) && uri.query() == target.query()
}

/// The hash of `parts` with colons between them, in hexadecimal.
fn digest(algorithm: Algorithm, parts: &[&str]) -> String {
    let text = parts.join(":");
    match algorithm {
        Algorithm::Md5 => hexadecimal(&Md5::digest(text)),
        Algorithm::Sha256 => hexadecimal(&Sha256::digest(text)),
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
