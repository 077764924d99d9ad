//! Compresses answers: gzip, Brotli, Zstandard, as the client and the configuration prefer.
//!
//! Levels are low on purpose: a worker serves others too. What the backend has flushed is flushed, so that streams of
//! events arrive as they are sent.

mod accept;
mod stream;

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};
use http_body::Body as _;
use postern_config::model::middleware::compress::{self as model, ContentTypes, Encoding};

use super::Step;
use crate::exchange::{Body, Exchange, Flow, ResponseStep};

/// Running state.
#[derive(Debug)]
pub(super) struct Compress {
    spec: model::Compress,
}

/// What is done to the answer.
#[derive(Debug)]
pub(super) struct AnswerStep {
    compress: Arc<Compress>,
    /// What the client takes; `None` leaves the answer as it is.
    encoding: Option<Encoding>,
}

impl Compress {
    pub(super) fn build(spec: &model::Compress) -> Self {
        Self { spec: spec.clone() }
    }

    pub(super) fn on_request(self: &Arc<Self>, exchange: &mut Exchange) -> Flow {
        let headers = &exchange.parts.headers;
        if exchange.parts.method == Method::HEAD || headers.contains_key(header::UPGRADE) || is_grpc(headers) {
            return Flow::Continue;
        }
        let encoding = if headers.contains_key(header::ACCEPT_ENCODING) {
            accept::choose(&headers.get_all(header::ACCEPT_ENCODING), &self.spec.encodings)
        } else {
            self.spec.default_encoding
        };
        let step = AnswerStep { compress: self.clone(), encoding };
        exchange.response_steps.push(ResponseStep::Middleware(super::AnswerStep(Step::Compress(step))));
        Flow::Continue
    }

    /// Whether the answer may be compressed for some client.
    fn is_candidate(&self, response: &Response<Body>) -> bool {
        let (status, headers) = (response.status(), response.headers());
        let bodiless = status.is_informational()
            || [StatusCode::NO_CONTENT, StatusCode::RESET_CONTENT, StatusCode::NOT_MODIFIED].contains(&status);
        !bodiless
            && status != StatusCode::PARTIAL_CONTENT
            && !headers.contains_key(header::CONTENT_ENCODING)
            && !headers.contains_key(header::CONTENT_RANGE)
            && !is_fixed(headers)
            && !is_grpc(headers)
            && self.is_type(headers)
            && response.body().size_hint().exact().is_none_or(|size| size > 0 && size >= self.spec.min_bytes)
    }

    fn is_type(&self, headers: &HeaderMap) -> bool {
        let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let essence = value.split(';').next().unwrap_or_default().trim();
        let among = |types: &[Arc<str>]| types.iter().any(|name| name.eq_ignore_ascii_case(essence));
        match &self.spec.types {
            ContentTypes::Excluding(types) => !among(types),
            ContentTypes::Including(types) => among(types),
        }
    }
}

impl AnswerStep {
    pub(super) fn run(self, response: &mut Response<Body>) {
        if !self.compress.is_candidate(response) {
            return;
        }
        add_vary(response.headers_mut(), "Accept-Encoding");
        let Some(encoding) = self.encoding else { return };
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding.as_str()));
        headers.remove(header::CONTENT_LENGTH);
        headers.remove(header::ACCEPT_RANGES);
        weaken_etag(headers);
        let body = std::mem::take(response.body_mut());
        *response.body_mut() = Body::boxed(stream::Compressed::new(body, encoding));
    }
}

fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// Cache-Control: no-transform (RFC 9111 section 5.2.2.6).
fn is_fixed(headers: &HeaderMap) -> bool {
    let says = |value: &HeaderValue| {
        value.as_bytes().split(|b| *b == b',').any(|word| word.trim_ascii().eq_ignore_ascii_case(b"no-transform"))
    };
    headers.get_all(header::CACHE_CONTROL).iter().any(says)
}

/// The compressed form is another representation, equal in meaning only (RFC 9110 section 8.8.1).
fn weaken_etag(headers: &mut HeaderMap) {
    let Some(etag) = headers.get(header::ETAG).filter(|etag| !etag.as_bytes().starts_with(b"W/")) else { return };
    if let Ok(weak) = HeaderValue::from_bytes(&[b"W/", etag.as_bytes()].concat()) {
        headers.insert(header::ETAG, weak);
    }
}

/// Adds `name` to Vary unless it is there.
pub(super) fn add_vary(headers: &mut HeaderMap, name: &'static str) {
    const VARY: HeaderName = header::VARY;
    let names = |value: &HeaderValue| {
        value.as_bytes().split(|b| *b == b',').any(|word| {
            let word = word.trim_ascii();
            word == b"*" || word.eq_ignore_ascii_case(name.as_bytes())
        })
    };
    if !headers.get_all(VARY).iter().any(names) {
        headers.append(VARY, HeaderValue::from_static(name));
    }
}

#[cfg(test)]
mod tests {
    use crate::middleware::testing::{answer, exchange, shown, spec};

    #[test]
    fn what_is_compressed_and_what_is_not() {
        let text = ("content-type", "text/plain");
        for (options, method, accept, status, fields, body, want) in [
            ("", "GET", "gzip", 200, text, 2000, Some("gzip")),
            ("", "GET", "br, gzip", 200, text, 2000, Some("gzip")),
            ("encodings: [br, gzip]", "GET", "br, gzip", 200, text, 2000, Some("br")),
            ("", "GET", "gzip;q=0.5, zstd", 200, text, 2000, Some("zstd")),
            ("", "GET", "gzip", 200, text, 1023, None),
            ("minResponseBodyBytes: 10", "GET", "gzip", 200, text, 10, Some("gzip")),
            ("minResponseBodyBytes: 0", "GET", "gzip", 200, text, 0, None),
            ("", "HEAD", "gzip", 200, text, 2000, None),
            ("", "GET", "", 200, text, 2000, None),
            ("defaultEncoding: br", "GET", "", 200, text, 2000, Some("br")),
            ("", "GET", "identity", 200, text, 2000, None),
            ("", "GET", "gzip", 206, text, 2000, None),
            ("", "GET", "gzip", 404, text, 2000, Some("gzip")),
            ("", "GET", "gzip", 200, ("content-type", "application/grpc"), 2000, None),
            ("", "GET", "gzip", 200, ("content-type", "application/grpc+proto"), 2000, None),
            ("", "GET", "gzip", 200, ("content-encoding", "br"), 2000, Some("br")),
            ("", "GET", "gzip", 200, ("cache-control", "public, no-transform"), 2000, None),
            ("excludedContentTypes: [text/plain]", "GET", "gzip", 200, text, 2000, None),
            (
                "excludedContentTypes: [text/plain]",
                "GET",
                "gzip",
                200,
                ("content-type", "TEXT/Plain; charset=x"),
                2000,
                None,
            ),
            ("includedContentTypes: [text/html]", "GET", "gzip", 200, text, 2000, None),
            ("includedContentTypes: [text/plain]", "GET", "gzip", 200, text, 2000, Some("gzip")),
        ] {
            let middleware = spec(&format!("compress: {{{options}}}"));
            let mut exchange = exchange(method, "http://a/");
            if !accept.is_empty() {
                exchange = exchange.header("accept-encoding", accept);
            }
            let answer = answer(&middleware, exchange.build(), status, &[fields], "x".repeat(body));
            let got = answer.headers().get("content-encoding").map(|value| value.to_str().expect("text"));
            assert_eq!(got, want, "{options} {method} {accept} {status} {fields:?} {body}");
        }
    }

    #[test]
    fn caches_are_told_and_strong_validators_weakened() {
        let middleware = spec("compress: {}");
        let fields = [("content-length", "2000"), ("etag", "\"a\""), ("accept-ranges", "bytes"), ("vary", "Origin")];
        let request = exchange("GET", "http://a/").header("accept-encoding", "gzip");
        let got = answer(&middleware, request.build(), 200, &fields, "x".repeat(2000));
        assert_eq!(shown(got.headers()), "content-encoding: gzip; etag: W/\"a\"; vary: Origin; vary: Accept-Encoding");
        let plain = answer(&middleware, exchange("GET", "http://a/").build(), 200, &fields, "x".repeat(2000));
        assert!(shown(plain.headers()).contains("vary: Accept-Encoding"), "a cache must keep the two apart");
    }
}
