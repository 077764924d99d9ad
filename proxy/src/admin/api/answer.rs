//! Bodies and their types.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde::Serialize;

/// What is sent back.
pub(in crate::admin) type Answer = Response<Full<Bytes>>;

#[derive(Serialize)]
struct Problem<'a> {
    error: &'a str,
}

pub(in crate::admin) fn json(value: &impl Serialize) -> Answer {
    json_with(StatusCode::OK, value)
}

pub(in crate::admin) fn json_with(status: StatusCode, value: &impl Serialize) -> Answer {
    let mut body = serde_json::to_string(value).expect("views have text keys and no failing parts");
    body.push('\n');
    response(status, "application/json", body)
}

/// One sentence in JSON.
pub(in crate::admin) fn error(status: StatusCode, why: &str) -> Answer {
    json_with(status, &Problem { error: why })
}

pub(in crate::admin) fn text(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    response(status, "text/plain; charset=utf-8", body)
}

pub(in crate::admin) fn response(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
