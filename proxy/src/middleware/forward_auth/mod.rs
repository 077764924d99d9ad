//! Asks another server whether a request may pass: 2xx lets it on, everything else is what the client gets.
//!
//! Redirects of the auth server are never followed, and it has 30 s in all. When it cannot be reached the request is
//! refused.

mod outcome;
mod request;
#[cfg(test)]
mod tests;

use std::{rc::Rc, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Collected, LengthLimitError, Limited};
pub(super) use outcome::Cookies;
use postern_config::model::{
    id::MiddlewareId,
    middleware::forward_auth::{self as model, BodyPolicy},
};

use super::{fail, refuse};
use crate::{
    exchange::{Body, Exchange, Flow},
    respond::Failure,
    telemetry::metrics::Limit,
    upstream::client::{Options, fetch},
    worker::Worker,
};

/// From the request to the last byte of the auth server's answer (Traefik).
const TIMEOUT: Duration = Duration::from_secs(30);

/// Running state.
#[derive(Debug)]
pub(super) struct ForwardAuth {
    id: MiddlewareId,
    spec: model::ForwardAuth,
    /// The names of `spec.cookies`, shared with the answers that are under way.
    cookie_names: Arc<[Arc<str>]>,
    options: Options,
}

impl ForwardAuth {
    pub(super) fn build(id: &MiddlewareId, spec: &model::ForwardAuth) -> Self {
        let options = Options { timeout: Some(TIMEOUT), tls: spec.tls.clone() };
        Self { id: id.clone(), spec: spec.clone(), cookie_names: spec.cookies.clone().into(), options }
    }

    pub(super) async fn on_request(&self, exchange: &mut Exchange, worker: &Rc<Worker>) -> Flow {
        let body = match self.take_body(exchange, worker).await {
            Ok(body) => body,
            Err(flow) => return flow,
        };
        let request = self.request(exchange, body);
        let answer = match fetch(worker, &self.spec.address, request, &self.options).await {
            Ok(answer) => answer,
            Err(failure) => return self.unreachable(exchange, &failure.to_string()),
        };
        match self.collect(answer).await {
            Ok(answer) => self.conclude(exchange, answer),
            Err(Uncollected::TooLarge) => {
                let reason = format!("{}: the auth server's answer is larger than allowed", self.id);
                refuse(exchange, StatusCode::UNAUTHORIZED, reason)
            }
            Err(Uncollected::Broken(error)) => self.unreachable(exchange, &error),
        }
    }

    /// The head that the auth server sees, with `body`.
    fn request(&self, exchange: &Exchange, body: Option<Bytes>) -> Request<Body> {
        let mut request = Request::new(body.map_or(Body::Empty, Body::Full));
        if self.spec.preserve_method {
            *request.method_mut() = exchange.parts.method.clone();
        }
        *request.headers_mut() = request::headers(&self.spec, exchange);
        request
    }

    /// The client's body where the auth server sees it too; the backend gets a copy, trailers included.
    async fn take_body(&self, exchange: &mut Exchange, worker: &Worker) -> Result<Option<Bytes>, Flow> {
        let BodyPolicy::Forward { max } = self.spec.body else { return Ok(None) };
        if exchange.parts.method == Method::CONNECT || exchange.parts.headers.contains_key(header::UPGRADE) {
            return Ok(None);
        }
        let announced = http_body::Body::size_hint(&exchange.body).lower();
        if max.is_some_and(|max| announced > max) {
            return Err(self.too_large(exchange, worker));
        }
        let limit = max.map_or(usize::MAX, |max| usize::try_from(max).unwrap_or(usize::MAX));
        match Limited::new(std::mem::take(&mut exchange.body), limit).collect().await {
            Ok(collected) => Ok(Some(replay(exchange, collected))),
            Err(error) if error.is::<LengthLimitError>() => Err(self.too_large(exchange, worker)),
            Err(_) => Err(fail(exchange, &Failure::BadRequest("the body broke off"))),
        }
    }

    fn too_large(&self, exchange: &mut Exchange, worker: &Worker) -> Flow {
        worker.metrics().limited(Limit::BodyBytes);
        refuse(exchange, StatusCode::UNAUTHORIZED, format!("{}: the body is larger than allowed", self.id))
    }

    fn unreachable(&self, exchange: &mut Exchange, why: &str) -> Flow {
        let reason = format!("{}: the auth server gave no answer: {why}", self.id);
        refuse(exchange, StatusCode::INTERNAL_SERVER_ERROR, reason)
    }

    /// The answer with its whole body.
    async fn collect(&self, answer: Response<Body>) -> Result<Response<Bytes>, Uncollected> {
        let limit = usize::try_from(self.spec.max_response_body).unwrap_or(usize::MAX);
        let (parts, body) = answer.into_parts();
        match Limited::new(body, limit).collect().await {
            Ok(collected) => Ok(Response::from_parts(parts, collected.to_bytes())),
            Err(error) if error.is::<LengthLimitError>() => Err(Uncollected::TooLarge),
            Err(error) => Err(Uncollected::Broken(error.to_string())),
        }
    }
}

/// Why there is no whole answer.
enum Uncollected {
    TooLarge,
    Broken(String),
}

/// Gives the backend what was collected, and returns the bytes.
fn replay(exchange: &mut Exchange, collected: Collected<Bytes>) -> Bytes {
    let trailers = collected.trailers().cloned();
    let bytes = collected.to_bytes();
    exchange.body = match trailers {
        None => Body::Full(bytes.clone()),
        Some(trailers) => {
            let body = http_body_util::Full::new(bytes.clone());
            Body::boxed(body.with_trailers(std::future::ready(Some(Ok(trailers)))))
        }
    };
    bytes
}
