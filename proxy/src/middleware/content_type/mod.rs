//! Tells clients the media type of answers whose backend did not, by the first bytes of the body.
//!
//! When and what is what Go's server does where Traefik's middleware lets it: an answer with a body, without
//! `Content-Type`, `Content-Encoding` and `Transfer-Encoding`, is judged by the first bytes that the backend sends.

mod sniff;

use http::{HeaderValue, Method, Response, StatusCode, header};
use http_body::Body as _;
use postern_config::model::middleware::content_type as model;

use super::{Step, first_data::first_data};
use crate::exchange::{Body, Exchange, Flow, ResponseStep};

/// Running state.
#[derive(Debug)]
pub(super) struct ContentType {
    detect: bool,
}

/// What is done to the answer.
#[derive(Debug)]
pub(super) struct AnswerStep;

impl ContentType {
    pub(super) fn build(spec: &model::ContentType) -> Self {
        Self { detect: spec.detect }
    }

    pub(super) fn on_request(&self, exchange: &mut Exchange) -> Flow {
        if self.detect && exchange.parts.method != Method::HEAD {
            exchange.response_steps.push(ResponseStep::Middleware(super::AnswerStep(Step::ContentType(AnswerStep))));
        }
        Flow::Continue
    }
}

impl AnswerStep {
    /// Whether there is anything to find out; what is decided without waiting.
    pub(super) fn concerns(response: &Response<Body>) -> bool {
        let (status, headers) = (response.status(), response.headers());
        let bodiless = status.is_informational() || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let told = [header::CONTENT_TYPE, header::CONTENT_ENCODING, header::TRANSFER_ENCODING];
        !bodiless && !told.iter().any(|name| headers.contains_key(name)) && !response.body().is_end_stream()
    }

    /// Waits for the first bytes.
    pub(super) async fn run(response: &mut Response<Body>) {
        let Some(first) = first_data(response.body_mut()).await else { return };
        let found = HeaderValue::from_static(sniff::media_type(&first));
        response.headers_mut().insert(header::CONTENT_TYPE, found);
    }
}

#[cfg(test)]
mod tests {
    use crate::middleware::testing::{answer, exchange, spec};

    fn told(options: &str, method: &str, status: u16, fields: &[(&'static str, &'static str)], body: &str) -> String {
        let middleware = spec(&format!("contentType: {options}"));
        let request = exchange(method, "http://a/").build();
        let answer = answer(&middleware, request, status, fields, body.to_owned());
        let told = answer.headers().get("content-type").map(|value| value.to_str().expect("text"));
        told.unwrap_or("none").to_owned()
    }

    #[test]
    fn only_what_the_backend_left_open_is_found_out() {
        let html = "<!doctype html><p>";
        for (options, method, status, fields, body, want) in [
            ("{}", "GET", 200, &[][..], html, "text/html; charset=utf-8"),
            ("{}", "GET", 404, &[], "nothing here", "text/plain; charset=utf-8"),
            ("{autoDetect: true}", "GET", 200, &[], html, "text/html; charset=utf-8"),
            ("{autoDetect: false}", "GET", 200, &[], html, "none"),
            ("{}", "GET", 200, &[("content-type", "text/css")], html, "text/css"),
            ("{}", "GET", 200, &[("content-type", "")], html, ""),
            ("{}", "GET", 200, &[("content-encoding", "gzip")], html, "none"),
            ("{}", "GET", 200, &[], "", "none"),
            ("{}", "GET", 204, &[], "", "none"),
            ("{}", "GET", 304, &[], "", "none"),
            ("{}", "HEAD", 200, &[("content-length", "18")], "", "none"),
        ] {
            assert_eq!(told(options, method, status, fields, body), want, "{options} {method} {status} {fields:?}");
        }
    }

    #[test]
    fn nothing_is_found_out_without_the_middleware() {
        let answer = answer(&spec("compress: {}"), exchange("GET", "http://a/").build(), 200, &[], "<html>".into());
        assert!(!answer.headers().contains_key("content-type"));
    }
}
