//! What routes may lead to: the same answers as at the admin's own doors, for whoever a route lets in. Nothing is changed
//! from here.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri, header};
use http_body_util::Full;
use postern_config::model::internal::Internal;

use super::{State, api, dashboard, server, traefik};

/// Makes `state` answer for internal services, as long as it is there.
pub fn open(state: &Arc<State>) {
    let weak: Weak<State> = Arc::downgrade(state);
    state.shared.inside.set(Box::new(move |service, method, uri, headers| {
        weak.upgrade().map(|state| answer(service, method, uri, headers, &state))
    }));
}

fn answer(service: Internal, method: &Method, uri: &Uri, headers: &HeaderMap, state: &State) -> Response<Full<Bytes>> {
    let mut response = if matches!(*method, Method::GET | Method::HEAD) {
        look(service, uri, headers, state)
    } else {
        let mut refusal = api::error(StatusCode::METHOD_NOT_ALLOWED, "nothing is changed through a route");
        refusal.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        refusal
    };
    server::harden(&mut response);
    response
}

/// Where a service is of one thing alone, the path does not matter, as in Traefik.
fn look(service: Internal, uri: &Uri, headers: &HeaderMap, state: &State) -> Response<Full<Bytes>> {
    let nothing = || api::error(StatusCode::NOT_FOUND, "no such path");
    match service {
        Internal::Api if api::is_for_scrapers(uri) => nothing(),
        Internal::Api => api::answer(&Method::GET, uri, headers, state),
        Internal::Dashboard => dashboard::find(uri.path()).unwrap_or_else(nothing),
        Internal::Ping => traefik::ping(state),
        Internal::Prometheus => api::metrics(state, headers),
    }
}
