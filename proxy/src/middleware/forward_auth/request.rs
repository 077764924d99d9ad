//! The head that the auth server sees: the client's fields, and who is asking for what.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use postern_config::model::middleware::forward_auth::{ForwardAuth, TrustForwarded};

use crate::exchange::{
    Exchange,
    forwarded::{FORWARDED_FOR, FORWARDED_HOST, FORWARDED_PORT, FORWARDED_PROTO, is_managed},
};

const FORWARDED_METHOD: HeaderName = HeaderName::from_static("x-forwarded-method");
const FORWARDED_URI: HeaderName = HeaderName::from_static("x-forwarded-uri");

/// The head that the auth server sees.
pub(super) fn headers(spec: &ForwardAuth, exchange: &Exchange) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(exchange.parts.headers.len() + 8);
    for (name, value) in exchange.parts.headers.iter().filter(|(name, _)| passes(spec, name)) {
        headers.append(name, value.clone());
    }
    let keep = spec.trust == TrustForwarded::Yes;
    let mut say = |name: HeaderName, value: HeaderValue| {
        if !keep || headers.get(&name).is_none_or(HeaderValue::is_empty) {
            headers.insert(name, value);
        }
    };
    say(FORWARDED_METHOD, method(exchange));
    say(FORWARDED_PROTO, HeaderValue::from_static(if exchange.connection.tls.is_some() { "https" } else { "http" }));
    say(FORWARDED_HOST, exchange.authority.clone());
    say(FORWARDED_URI, uri(exchange));
    if spec.trust != TrustForwarded::Unset {
        say(FORWARDED_PORT, port(exchange));
    }
    let client = forwarded_for(keep, &headers, exchange);
    headers.insert(FORWARDED_FOR, client);
    headers
}

/// Whether a field of the client passes on. What frames its message says nothing of ours, which has another body: an
/// auth server would wait for bytes that never come.
fn passes(spec: &ForwardAuth, name: &HeaderName) -> bool {
    let managed = is_managed(name);
    let listed = spec.request_headers.is_empty()
        || spec.request_headers.contains(name)
        || (managed && spec.trust == TrustForwarded::Yes);
    listed && !is_framing(name) && !(managed && spec.trust == TrustForwarded::No)
}

/// Whether a field belongs to one message or one connection.
pub(super) fn is_framing(name: &HeaderName) -> bool {
    const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
    const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");
    [
        header::CONNECTION,
        KEEP_ALIVE,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        header::CONTENT_LENGTH,
        header::EXPECT,
        header::HOST,
        HTTP2_SETTINGS,
    ]
    .contains(name)
}

fn method(exchange: &Exchange) -> HeaderValue {
    HeaderValue::from_str(exchange.parts.method.as_str()).unwrap_or_else(|_| HeaderValue::from_static("GET"))
}

/// Path and query as earlier middlewares left them: what the backend would see now.
fn uri(exchange: &Exchange) -> HeaderValue {
    let text = exchange.parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("/"))
}

/// The port that the client wrote, else its scheme's.
fn port(exchange: &Exchange) -> HeaderValue {
    let authority = exchange.authority.to_str().unwrap_or_default();
    let written = authority.parse::<http::uri::Authority>().ok().and_then(|authority| authority.port_u16());
    HeaderValue::from(written.unwrap_or(if exchange.connection.tls.is_some() { 443 } else { 80 }))
}

fn forwarded_for(keep: bool, headers: &HeaderMap, exchange: &Exchange) -> HeaderValue {
    let peer = &exchange.connection.peer_text;
    let prior = headers.get(FORWARDED_FOR).filter(|prior| keep && !prior.is_empty());
    prior
        .and_then(|prior| HeaderValue::from_bytes(&[prior.as_bytes(), b", ", peer.as_bytes()].concat()).ok())
        .unwrap_or_else(|| peer.clone())
}
