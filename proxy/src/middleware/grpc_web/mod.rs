//! Lets browsers speak to gRPC backends (gRPC's `PROTOCOL-WEB`): the request becomes gRPC, the answer's trailers become
//! the last frame of its body, and the origin is told whether it may read the answer.
//!
//! The behaviour is that of the library in Traefik: preflights that name `x-grpc-web` end here, requests of other
//! origins go on, and only their browser keeps the answer from the script.

mod base64_text;
mod body;

use std::sync::Arc;

pub use base64_text::{BadText, Decoder};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, header};
use postern_config::model::middleware::grpc_web as model;

use super::{Step, compress::add_vary};
use crate::exchange::{Body, Exchange, Flow, ResponseStep};

const GRPC: &str = "application/grpc";
const WEB: &str = "application/grpc-web";
const WEB_TEXT: &str = "application/grpc-web-text";
/// How long browsers may remember a preflight, in seconds.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");

/// Running state.
#[derive(Debug)]
pub(super) struct GrpcWeb {
    origins: Arc<model::Origins>,
}

/// How messages are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Binary,
    /// In base64, for clients that can read no bytes.
    Text,
}

/// What is done to the answer.
#[derive(Debug)]
pub(super) struct AnswerStep {
    form: Form,
    /// The origin, where it may read the answer.
    origin: Option<HeaderValue>,
}

impl GrpcWeb {
    pub(super) fn build(spec: &model::GrpcWeb) -> Self {
        Self { origins: Arc::new(spec.origins.clone()) }
    }

    pub(super) fn on_request(&self, exchange: &mut Exchange) -> Flow {
        if is_preflight(&exchange.parts.method, &exchange.parts.headers) {
            return Flow::Answer(self.preflight(&exchange.parts.headers));
        }
        let Some(form) = form(exchange) else { return Flow::Continue };
        let step = AnswerStep { form, origin: self.allowed(&exchange.parts.headers) };
        exchange.response_steps.push(ResponseStep::Middleware(super::AnswerStep(Step::GrpcWeb(step))));
        become_grpc(exchange, form);
        Flow::Continue
    }

    /// The request's origin, if its scripts may read answers.
    fn allowed(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(header::ORIGIN)?;
        let is_allowed = origin.to_str().is_ok_and(|text| !text.is_empty() && self.origins.contains(text));
        is_allowed.then(|| origin.clone())
    }

    fn preflight(&self, request: &HeaderMap) -> Response<Body> {
        let mut response = Response::new(Body::Empty);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        let asked = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers";
        headers.insert(header::VARY, HeaderValue::from_static(asked));
        let method = request.get(header::ACCESS_CONTROL_REQUEST_METHOD).filter(|method| *method == "POST");
        if let (Some(origin), Some(method)) = (self.allowed(request), method) {
            allow(headers, origin);
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, method.clone());
            headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
            if let Some(names) = request.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
                headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
            }
        }
        response
    }
}

impl AnswerStep {
    pub(super) fn run(self, response: &mut Response<Body>) {
        let headers = response.headers_mut();
        add_vary(headers, "Origin");
        if let Some(origin) = self.origin {
            allow(headers, origin);
        }
        if replace_type(headers, GRPC, self.form.media_type()) {
            headers.remove(header::CONTENT_LENGTH);
            headers.remove(header::TRAILER);
            let body = std::mem::take(response.body_mut());
            *response.body_mut() = Body::boxed(body::Framed::new(body, self.form));
        }
        let headers = response.headers_mut();
        if let Some(names) = exposed(headers) {
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, names);
        }
    }
}

impl Form {
    fn media_type(self) -> &'static str {
        match self {
            Self::Binary => WEB,
            Self::Text => WEB_TEXT,
        }
    }
}

fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    let names = headers.get_all(header::ACCESS_CONTROL_REQUEST_HEADERS).iter();
    let mut names = names.flat_map(|value| value.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    *method == Method::OPTIONS
        && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
        && names.any(|name| name.eq_ignore_ascii_case(b"x-grpc-web"))
}

/// How the request writes messages; `None` where it is no gRPC-Web.
fn form(exchange: &Exchange) -> Option<Form> {
    let said = exchange.parts.headers.get(header::CONTENT_TYPE).filter(|_| exchange.parts.method == Method::POST)?;
    let said = said.as_bytes().to_ascii_lowercase();
    let is = |media_type: &str| {
        let rest = said.strip_prefix(media_type.as_bytes());
        rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';' | b' ')))
    };
    if is(WEB_TEXT) {
        return Some(Form::Text);
    }
    is(WEB).then_some(Form::Binary)
}

/// Makes it the request that a gRPC backend knows.
fn become_grpc(exchange: &mut Exchange, form: Form) {
    let headers = &mut exchange.parts.headers;
    replace_type(headers, form.media_type(), GRPC);
    // Browsers cannot send it, and some servers refuse those that do not.
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
    if form == Form::Text {
        headers.remove(header::CONTENT_LENGTH);
        let body = std::mem::take(&mut exchange.body);
        exchange.body = Body::boxed(body::Decoded::new(body));
    }
}

/// Replaces the front of the media type; false where it is another one.
fn replace_type(headers: &mut HeaderMap, from: &str, to: &str) -> bool {
    let Some(said) = headers.get(header::CONTENT_TYPE) else { return false };
    let Some((front, rest)) = said.as_bytes().split_at_checked(from.len()) else { return false };
    if !front.eq_ignore_ascii_case(from.as_bytes()) {
        return false;
    }
    let new = HeaderValue::from_bytes(&[to.as_bytes(), rest].concat());
    new.is_ok_and(|new| headers.insert(header::CONTENT_TYPE, new).is_some())
}

fn allow(headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
}

/// Names of all fields, and of the two that scripts look for in trailers.
fn exposed(headers: &HeaderMap) -> Option<HeaderValue> {
    let own = ["grpc-status", "grpc-message"];
    let is_cors = |name: &&str| name.starts_with("access-control-");
    let names = headers.keys().map(HeaderName::as_str).filter(|name| !is_cors(name) && !own.contains(name));
    HeaderValue::try_from(names.chain(own).collect::<Vec<_>>().join(", ")).ok()
}

#[cfg(test)]
mod tests;
