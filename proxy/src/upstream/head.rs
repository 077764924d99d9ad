//! Heads on their way through: what concerns one connection only is taken out, both ways (RFC 9110 section 7.6.1), and
//! the rest is fitted to the version that the other side speaks.
//!
//! Fields that the client's `Connection` names were removed when the request came in, before middlewares set fields of
//! their own; here `Connection` names nothing any more, so it cannot remove what we have set.

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version,
    header::{self, Entry},
    uri::{Authority, PathAndQuery, Scheme},
};
use http_body::Body as _;

use crate::exchange::{Body, forwarded::FORWARDED_FOR};

/// Takes out of a request what concerns the client's connection. `te: trailers` stays: it is how a client says that it
/// understands trailers, which we forward (gRPC asks for it).
pub fn clean_request(headers: &mut HeaderMap) {
    let mut te = false;
    let mut is_taken_out = |name: &&HeaderName| {
        te |= **name == header::TE;
        is_hop_by_hop(name)
    };
    while let Some(name) = headers.keys().find(&mut is_taken_out).cloned() {
        headers.remove(name);
    }
    if te {
        keep_trailers(headers);
    }
}

/// Fields of one connection, but for TE (see [`clean_request`]) and Trailer, which only announces.
fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "upgrade"
            | "transfer-encoding"
            | "expect"
            | "keep-alive"
            | "proxy-connection"
            | "http2-settings"
    )
}

fn keep_trailers(headers: &mut HeaderMap) {
    let is_trailers = |token: &[u8]| token.trim_ascii().eq_ignore_ascii_case(b"trailers");
    let trailers = headers.get_all(header::TE).iter().any(|te| te.as_bytes().split(|b| *b == b',').any(is_trailers));
    if trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    } else {
        headers.remove(header::TE);
    }
}

/// Appends the peer to X-Forwarded-For.
pub fn append_forwarded_for(headers: &mut HeaderMap, peer: &HeaderValue) {
    match headers.entry(FORWARDED_FOR) {
        Entry::Vacant(vacant) => {
            vacant.insert(peer.clone());
        }
        Entry::Occupied(mut before) => {
            let joined = [before.get().as_bytes(), b", ", peer.as_bytes()].concat();
            if let Ok(value) = HeaderValue::try_from(joined) {
                before.insert(value);
            }
        }
    }
}

/// What of a head is sent, beside its fields.
#[derive(Clone, Copy)]
pub(super) struct Outgoing<'a> {
    pub(super) method: &'a Method,
    pub(super) uri: &'a Uri,
    /// The Host.
    pub(super) authority: &'a HeaderValue,
}

/// Why a head cannot be sent.
#[derive(Debug, thiserror::Error)]
#[error("the host {0:?} is no authority")]
pub(super) struct NoAuthority(HeaderValue);

impl Outgoing<'_> {
    /// For an HTTP/1.1 connection: origin form, Host.
    pub(super) fn http1(self, mut headers: HeaderMap, body: Body) -> Request<Body> {
        headers.insert(header::HOST, self.authority.clone());
        if !frames_itself(self.method, &body) {
            headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
            headers.remove(header::CONTENT_LENGTH);
        } else if body.is_end_stream() {
            drop_false_length(&mut headers);
        }
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = headers;
        request
    }

    /// For an HTTP/2 connection: absolute form, no Host.
    pub(super) fn http2(
        self,
        scheme: Scheme,
        mut headers: HeaderMap,
        body: Body,
    ) -> Result<Request<Body>, NoAuthority> {
        headers.remove(header::HOST);
        if body.is_end_stream() {
            drop_false_length(&mut headers);
        }
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() = self.absolute(scheme).ok_or_else(|| NoAuthority(self.authority.clone()))?;
        *request.headers_mut() = headers;
        Ok(request)
    }

    fn absolute(self, scheme: Scheme) -> Option<Uri> {
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(scheme);
        parts.authority = Some(Authority::try_from(self.authority.as_bytes()).ok()?);
        parts.path_and_query =
            Some(self.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/")));
        Uri::from_parts(parts).ok()
    }
}

/// Whether hyper frames `body` by itself. It takes a GET, HEAD or CONNECT with a body of unknown length to have none.
fn frames_itself(method: &Method, body: &Body) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::CONNECT)
        || body.is_end_stream()
        || body.size_hint().exact().is_some()
}

/// A length without a body would make the backend wait for bytes that belong to the next request.
fn drop_false_length(headers: &mut HeaderMap) {
    if headers.get(header::CONTENT_LENGTH).is_some_and(|length| length != "0") {
        headers.remove(header::CONTENT_LENGTH);
    }
}

/// Why a backend's answer is not passed on.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadAnswer {
    #[error("it has both Content-Length and Transfer-Encoding")]
    TwoFramings,
    #[error("it has more than one Content-Length")]
    TwoLengths,
    #[error("its Transfer-Encoding is not chunked alone")]
    UnknownCoding,
    #[error("it switches protocols without being asked to")]
    UnaskedUpgrade,
    #[error("it has more header fields than the limit allows")]
    TooManyFields,
}

/// Refuses an answer whose framing two readers could understand differently, or that exceeds the limits.
pub(super) fn check_answer<B>(response: &Response<B>, upgrade: bool, most_fields: usize) -> Result<(), BadAnswer> {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS && !upgrade {
        return Err(BadAnswer::UnaskedUpgrade);
    }
    let headers = response.headers();
    if headers.len() > most_fields {
        return Err(BadAnswer::TooManyFields);
    }
    let (mut length, mut coding) = (None, None);
    for (name, value) in headers {
        match name.as_str() {
            "content-length" if length.replace(value).is_some() || value.as_bytes().contains(&b',') => {
                return Err(BadAnswer::TwoLengths);
            }
            "transfer-encoding" if coding.replace(value).is_some() => return Err(BadAnswer::UnknownCoding),
            _ => {}
        }
    }
    let Some(coding) = coding else { return Ok(()) };
    if length.is_some() {
        return Err(BadAnswer::TwoFramings);
    }
    if !coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked") {
        return Err(BadAnswer::UnknownCoding);
    }
    Ok(())
}

/// Takes out of an answer what concerns the backend's connection, what its `Connection` names included.
pub(super) fn clean_answer<B>(response: &mut Response<B>) {
    *response.version_mut() = Version::HTTP_11;
    let status = response.status();
    let headers = response.headers_mut();
    while let Some(name) = headers.keys().find(|name| is_of_backends_connection(name)).cloned() {
        if name == header::CONNECTION {
            remove_named(headers);
        }
        headers.remove(name);
    }
    if status == StatusCode::NO_CONTENT {
        headers.remove(header::CONTENT_LENGTH);
    }
}

fn is_of_backends_connection(name: &HeaderName) -> bool {
    matches!(name.as_str(), "connection" | "upgrade" | "transfer-encoding" | "keep-alive" | "proxy-connection")
}

fn remove_named(headers: &mut HeaderMap) {
    let mut named = Vec::new();
    for value in headers.get_all(header::CONNECTION) {
        let tokens = value.as_bytes().split(|b| *b == b',').map(<[u8]>::trim_ascii);
        named.extend(tokens.filter_map(|token| HeaderName::from_bytes(token).ok()).filter(|name| !is_framing(name)));
    }
    for name in named {
        headers.remove(name);
    }
}

/// Fields without which the rest of an answer means something else.
fn is_framing(name: &HeaderName) -> bool {
    [header::CONTENT_LENGTH, header::CONTENT_TYPE, header::CONTENT_ENCODING, header::SET_COOKIE].contains(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers
    }

    fn answer(status: u16, fields: &[(&'static str, &'static str)]) -> Response<()> {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::from_u16(status).expect("a status");
        *response.headers_mut() = map(fields);
        response
    }

    #[test]
    fn what_concerns_the_clients_connection_does_not_reach_the_backend() {
        let mut headers = map(&[
            ("connection", "upgrade"),
            ("upgrade", "h2c"),
            ("http2-settings", "x"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "close"),
            ("transfer-encoding", "chunked"),
            ("expect", "100-continue"),
            ("te", "gzip, Trailers"),
            ("trailer", "x-sum"),
            ("x-forwarded-for", "1.2.3.4"),
            ("authorization", "kept"),
        ]);
        clean_request(&mut headers);
        let want =
            map(&[("te", "trailers"), ("trailer", "x-sum"), ("x-forwarded-for", "1.2.3.4"), ("authorization", "kept")]);
        assert_eq!(headers, want);
        let mut headers = map(&[("te", "gzip")]);
        clean_request(&mut headers);
        assert!(headers.is_empty());
    }

    #[test]
    fn the_peer_is_appended_to_x_forwarded_for() {
        let peer = HeaderValue::from_static("10.0.0.9");
        let mut headers = HeaderMap::new();
        append_forwarded_for(&mut headers, &peer);
        assert_eq!(headers[FORWARDED_FOR], "10.0.0.9");
        append_forwarded_for(&mut headers, &peer);
        assert_eq!(headers[FORWARDED_FOR], "10.0.0.9, 10.0.0.9");
    }

    #[test]
    fn a_length_without_a_body_is_not_sent() {
        let (host, uri) = (HeaderValue::from_static("a"), Uri::from_static("/"));
        let outgoing = Outgoing { method: &Method::GET, uri: &uri, authority: &host };
        let request = outgoing.http1(map(&[("content-length", "5")]), Body::Empty);
        assert!(!request.headers().contains_key("content-length"));
        let request = outgoing.http2(Scheme::HTTP, map(&[("content-length", "5")]), Body::Empty);
        let request = request.expect("an authority");
        assert!(!request.headers().contains_key("content-length"));
        assert_eq!(request.uri(), "http://a/");
    }

    #[test]
    fn ambiguous_answers_are_refused() {
        for (fields, want) in [
            (&[("content-length", "5")][..], Ok(())),
            (&[("transfer-encoding", "Chunked")], Ok(())),
            (&[], Ok(())),
            (&[("content-length", "5"), ("transfer-encoding", "chunked")], Err(BadAnswer::TwoFramings)),
            (&[("content-length", "5"), ("content-length", "5")], Err(BadAnswer::TwoLengths)),
            (&[("content-length", "5, 5")], Err(BadAnswer::TwoLengths)),
            (&[("transfer-encoding", "gzip, chunked")], Err(BadAnswer::UnknownCoding)),
            (&[("transfer-encoding", "identity")], Err(BadAnswer::UnknownCoding)),
        ] {
            assert_eq!(check_answer(&answer(200, fields), false, 10), want, "{fields:?}");
        }
        assert_eq!(check_answer(&answer(101, &[]), false, 10), Err(BadAnswer::UnaskedUpgrade));
        assert_eq!(check_answer(&answer(101, &[]), true, 10), Ok(()));
        assert_eq!(check_answer(&answer(200, &[("a", "b"), ("c", "d")]), false, 1), Err(BadAnswer::TooManyFields));
    }

    #[test]
    fn what_concerns_the_backends_connection_does_not_reach_the_client() {
        let mut response = answer(
            200,
            &[
                ("connection", "close, X-Internal, Content-Length"),
                ("x-internal", "1"),
                ("keep-alive", "timeout=5"),
                ("upgrade", "h2"),
                ("content-length", "3"),
                ("x-kept", "1"),
            ],
        );
        clean_answer(&mut response);
        assert_eq!(response.headers(), &map(&[("content-length", "3"), ("x-kept", "1")]));
    }
}
