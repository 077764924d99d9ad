//! What the middlewares share that change the path after the route was chosen.
//!
//! The path of a request is normalised once. A change whose result is not normalised would let the backend see
//! another path than the router and the auth server did, so it is answered 400 (CVE-2026-40912, CVE-2026-48020).

use http::{HeaderName, HeaderValue};

use super::fail;
use crate::{
    exchange::{
        Exchange, Flow,
        filter::{rewrite_to, with_path},
        normalise::normalise,
    },
    respond::Failure,
};

/// Tells the backend what was taken off (Traefik).
pub(super) const FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
/// Tells the backend what was replaced (Traefik).
pub(super) const REPLACED_PATH: HeaderName = HeaderName::from_static("x-replaced-path");

/// Makes `path` the path that the backend sees; the empty path is `/`.
pub(super) fn set_path(exchange: &mut Exchange, path: &str) -> Flow {
    let path = if path.is_empty() { "/" } else { path };
    let normal = normalise(path).is_ok_and(|normal| normal == path);
    match normal.then(|| with_path(&exchange.parts.uri, path)).flatten() {
        Some(uri) => {
            rewrite_to(exchange, uri);
            Flow::Continue
        }
        None => fail(exchange, &Failure::BadRequest("the rewritten path is not normalised")),
    }
}

/// What is left of a path once its front was taken off.
pub(super) fn with_slash(rest: &str) -> String {
    if rest.starts_with('/') { rest.to_owned() } else { format!("/{rest}") }
}

/// Adds a field that tells the backend a path or a part of one.
pub(super) fn tell(exchange: &mut Exchange, name: HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        exchange.parts.headers.append(name, value);
    }
}
