//! Changes and checks header fields: own fields, CORS, and the fixed set that browsers are told for safety.
//!
//! Order, as in Traefik: preflight, request fields, host check, backend; then on the way back the fixed fields, own
//! fields, CORS.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};
use postern_config::model::middleware::headers::{self as model, Allowed, Cors};

use super::{Step, refuse};
use crate::exchange::{
    Body, Exchange, Flow, ResponseStep,
    forwarded::{FORWARDED_FOR, WithholdForwardedFor},
};

/// Running state.
#[derive(Debug)]
pub(super) struct Headers {
    spec: model::Headers,
    /// Whether there is anything to do to answers.
    answers: bool,
}

/// What is done to the answer.
#[derive(Debug)]
pub(super) struct AnswerStep {
    headers: Arc<Headers>,
    tls: bool,
    allow_origin: Option<HeaderValue>,
}

impl Headers {
    pub(super) fn build(spec: &model::Headers) -> Self {
        let answers = !spec.response.is_empty()
            || !spec.secure.is_empty()
            || !spec.secure_on_tls.is_empty()
            || spec.cors.is_some();
        Self { spec: spec.clone(), answers }
    }

    pub(super) fn on_request(self: &Arc<Self>, exchange: &mut Exchange) -> Flow {
        if let Some(cors) = &self.spec.cors
            && let Some(answer) = preflight(cors, &exchange.parts.method, &exchange.parts.headers)
        {
            return Flow::Answer(answer);
        }
        // What the rest asks of the request is asked before own fields change it.
        let step = self.answers.then(|| self.answer_step(exchange));
        self.change_request(exchange);
        if !self.is_allowed_host(exchange) {
            return refuse(
                exchange,
                StatusCode::INTERNAL_SERVER_ERROR,
                "the Host is not among allowedHosts".to_owned(),
            );
        }
        if let Some(step) = step {
            exchange.response_steps.push(ResponseStep::Middleware(super::AnswerStep(Step::Headers(step))));
        }
        Flow::Continue
    }

    fn answer_step(self: &Arc<Self>, exchange: &Exchange) -> AnswerStep {
        let headers = &exchange.parts.headers;
        let said = |(name, value): &(HeaderName, HeaderValue)| headers.get(name) == Some(value);
        AnswerStep {
            headers: self.clone(),
            tls: exchange.connection.tls.is_some() || self.spec.tls_headers.iter().any(said),
            allow_origin: self.spec.cors.as_ref().and_then(|cors| allow_origin(cors, headers)),
        }
    }

    fn change_request(&self, exchange: &mut Exchange) {
        for (name, value) in &self.spec.request {
            match value {
                Some(value) => drop(exchange.parts.headers.insert(name, value.clone())),
                None => drop(exchange.parts.headers.remove(name)),
            }
            if value.is_none() && *name == FORWARDED_FOR {
                exchange.parts.extensions.insert(WithholdForwardedFor);
            }
        }
        if let Some(host) = &self.spec.request_host {
            exchange.authority = host.clone();
        }
    }

    fn is_allowed_host(&self, exchange: &Exchange) -> bool {
        if self.spec.allowed_hosts.is_empty() {
            return true;
        }
        let headers = &exchange.parts.headers;
        let said = self.spec.host_headers.iter().find_map(|name| headers.get(name).filter(|value| !value.is_empty()));
        let host = said.unwrap_or(&exchange.authority).as_bytes();
        self.spec.allowed_hosts.iter().any(|allowed| allowed.as_bytes().eq_ignore_ascii_case(host))
    }
}

impl AnswerStep {
    pub(super) fn run(self, response: &mut Response<Body>) {
        let spec = &self.headers.spec;
        let headers = response.headers_mut();
        for (name, value) in &spec.secure {
            headers.insert(name, value.clone());
        }
        for (name, value) in spec.secure_on_tls.iter().filter(|_| self.tls) {
            headers.insert(name, value.clone());
        }
        for (name, value) in &spec.response {
            match value {
                Some(value) => drop(headers.insert(name, value.clone())),
                None => drop(headers.remove(name)),
            }
        }
        if let Some(cors) = &spec.cors {
            allow(cors, self.allow_origin, headers);
        }
    }
}

/// The CORS fields of an answer that is no preflight's.
fn allow(cors: &Cors, origin: Option<HeaderValue>, headers: &mut HeaderMap) {
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    }
    if cors.credentials {
        headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
    if let Some(expose) = &cors.expose {
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, expose.clone());
    }
    if cors.vary {
        super::compress::add_vary(headers, "Origin");
    }
}

/// The answer to a preflight, whether or not its origin is allowed; the backend never sees one.
fn preflight(cors: &Cors, method: &Method, request: &HeaderMap) -> Option<Response<Body>> {
    let filled = |name: &HeaderName| request.get(name).is_some_and(|value| !value.is_empty());
    if *method != Method::OPTIONS || !filled(&header::ACCESS_CONTROL_REQUEST_METHOD) || !filled(&header::ORIGIN) {
        return None;
    }
    let mut response = Response::new(Body::Empty);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    let list = |allowed: &Option<Allowed>, asked: &HeaderName| {
        let allowed = allowed.as_ref()?;
        let echo = allowed.any && cors.credentials;
        if echo { request.get(asked).cloned() } else { Some(allowed.value.clone()) }
    };
    if let Some(value) = list(&cors.headers, &header::ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, value);
    }
    if let Some(value) = list(&cors.methods, &header::ACCESS_CONTROL_REQUEST_METHOD) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, value);
    }
    if let Some(value) = &cors.max_age {
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, value.clone());
    }
    if cors.credentials {
        headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
    if let Some(origin) = allow_origin(cors, request) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    }
    if cors.vary {
        headers.insert(header::VARY, HeaderValue::from_static("Origin"));
    }
    Some(response)
}

/// Access-Control-Allow-Origin, if the origin is allowed.
fn allow_origin(cors: &Cors, request: &HeaderMap) -> Option<HeaderValue> {
    let origin = request.get(header::ORIGIN).filter(|origin| !origin.is_empty());
    if cors.origins.iter().any(|allowed| &**allowed == "*") {
        // Browsers refuse `*` beside credentials.
        return match origin {
            Some(origin) if cors.credentials => Some(origin.clone()),
            _ => Some(HeaderValue::from_static("*")),
        };
    }
    let origin = origin?;
    let text = origin.to_str().ok()?;
    let allowed = cors.origins.iter().any(|allowed| **allowed == *text)
        || cors.origin_expressions.iter().any(|regex| regex.is_match(text));
    allowed.then(|| origin.clone())
}

#[cfg(test)]
mod tests {
    use crate::middleware::testing::{answer_headers, exchange, handled, spec, status};

    #[test]
    fn request_fields_are_set_and_removed_and_host_is_the_authority() {
        let middleware = spec("headers: {customRequestHeaders: {X-Set: new, X-Gone: '', Host: inner.example}}");
        let mut exchange = exchange("GET", "http://example.com/").header("x-set", "old").header("x-gone", "1").build();
        assert_eq!(status(&middleware, &mut exchange), None);
        assert_eq!(exchange.parts.headers.get("x-set").map(|value| value.as_bytes()), Some(&b"new"[..]));
        assert!(!exchange.parts.headers.contains_key("x-gone"));
        assert_eq!(exchange.authority, "inner.example");
    }

    #[test]
    fn answer_fields() {
        for (options, url, origin, want) in [
            ("customResponseHeaders: {X-A: '1', X-Backend: ''}", "http://a/", "", "x-a: 1"),
            ("frameDeny: true", "http://a/", "", "x-backend: b; x-frame-options: DENY"),
            ("stsSeconds: 60", "http://a/", "", "x-backend: b"),
            ("stsSeconds: 60", "https://a/", "", "strict-transport-security: max-age=60; x-backend: b"),
            ("stsSeconds: 60, isDevelopment: true", "https://a/", "", "x-backend: b"),
            (
                "stsSeconds: 60, forceSTSHeader: true",
                "http://a/",
                "",
                "strict-transport-security: max-age=60; x-backend: b",
            ),
            ("frameDeny: true, customResponseHeaders: {X-Frame-Options: ''}", "http://a/", "", "x-backend: b"),
            (
                "accessControlAllowOriginList: ['https://ok']",
                "http://a/",
                "https://ok",
                "access-control-allow-origin: https://ok; x-backend: b",
            ),
            ("accessControlAllowOriginList: ['https://ok']", "http://a/", "https://evil", "x-backend: b"),
            ("accessControlAllowOriginList: ['*']", "http://a/", "", "access-control-allow-origin: *; x-backend: b"),
            (
                "accessControlAllowOriginList: ['*'], accessControlAllowCredentials: true",
                "http://a/",
                "https://x",
                "access-control-allow-credentials: true; access-control-allow-origin: https://x; x-backend: b",
            ),
            (
                "accessControlAllowOriginListRegex: ['^https://.*\\.ok$']",
                "http://a/",
                "https://a.ok",
                "access-control-allow-origin: https://a.ok; x-backend: b",
            ),
            (
                "accessControlExposeHeaders: [X-A, X-B], addVaryHeader: true",
                "http://a/",
                "https://x",
                "access-control-expose-headers: X-A,X-B; vary: Origin; x-backend: b",
            ),
        ] {
            let middleware = spec(&format!("headers: {{{options}}}"));
            let mut exchange = exchange("GET", url);
            if !origin.is_empty() {
                exchange = exchange.header("origin", origin);
            }
            let got = answer_headers(&middleware, exchange.build(), &[("x-backend", "b")]);
            assert_eq!(got, want, "{options} {url} {origin}");
        }
    }

    #[test]
    fn a_preflight_is_answered_here_whatever_its_origin() {
        let options = "accessControlAllowMethods: [GET, PUT], accessControlAllowHeaders: ['*'], \
                       accessControlAllowOriginList: ['https://ok'], accessControlMaxAge: 100, addVaryHeader: true";
        for (origin, credentials, want) in [
            (
                "https://ok",
                false,
                "access-control-allow-headers: *; access-control-allow-methods: GET,PUT; \
                 access-control-allow-origin: https://ok; access-control-max-age: 100; content-length: 0; vary: Origin",
            ),
            (
                "https://evil",
                false,
                "access-control-allow-headers: *; access-control-allow-methods: GET,PUT; access-control-max-age: 100; \
                 content-length: 0; vary: Origin",
            ),
            (
                "https://ok",
                true,
                "access-control-allow-credentials: true; access-control-allow-headers: x-asked; \
                 access-control-allow-methods: GET,PUT; access-control-allow-origin: https://ok; \
                 access-control-max-age: 100; content-length: 0; vary: Origin",
            ),
        ] {
            let middleware = spec(&format!("headers: {{{options}, accessControlAllowCredentials: {credentials}}}"));
            let mut exchange = exchange("OPTIONS", "http://a/")
                .header("origin", origin)
                .header("access-control-request-method", "PUT")
                .header("access-control-request-headers", "x-asked")
                .build();
            let answer = handled(&middleware, &mut exchange).expect("an answer");
            assert_eq!(answer.status(), 200);
            assert_eq!(crate::middleware::testing::shown(answer.headers()), want);
        }
        let middleware = spec(&format!("headers: {{{options}}}"));
        let mut plain = exchange("OPTIONS", "http://a/").header("origin", "https://ok").build();
        assert_eq!(status(&middleware, &mut plain), None, "OPTIONS without a requested method is no preflight");
    }

    #[test]
    fn only_allowed_hosts_are_served() {
        for (options, url, header, want) in [
            ("allowedHosts: [a.example]", "http://A.example/", "", None),
            ("allowedHosts: [a.example]", "http://b.example/", "", Some(500)),
            ("allowedHosts: [a.example], isDevelopment: true, frameDeny: true", "http://b.example/", "", None),
            ("allowedHosts: [a.example], hostsProxyHeaders: [X-Host]", "http://b.example/", "a.example", None),
        ] {
            let middleware = spec(&format!("headers: {{{options}}}"));
            let mut exchange = exchange("GET", url);
            if !header.is_empty() {
                exchange = exchange.header("x-host", header);
            }
            assert_eq!(status(&middleware, &mut exchange.build()), want, "{options} {url}");
        }
    }
}
