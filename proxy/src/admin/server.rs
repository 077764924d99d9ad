//! Takes connections and speaks HTTP/1.1 on them, within limits of its own.

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::Semaphore,
    task::JoinSet,
};

use super::{State, api, door::Door, guard};

/// Connections at a time through one door; more wait.
const CONNECTIONS: usize = 64;
/// From the first byte of a head to its last.
const HEADER_DEADLINE: Duration = Duration::from_secs(10);
/// A request and its answer, bodies included; a connection lives no longer without a new request.
const HEAD_BYTES: usize = 16 * 1024;
/// Longest life of a connection.
const CONNECTION_DEADLINE: Duration = Duration::from_secs(600);

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Audience {
    /// Whoever runs Postern: everything is answered.
    Operators,
    /// Whoever may look from elsewhere: nothing is changed for them.
    Viewers,
    /// Whoever collects metrics: nothing that could be changed, and nothing of the objects.
    Scrapers,
}

/// Serves until dropped.
pub(super) async fn serve(mut door: Door, state: Arc<State>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        match door.accept().await {
            Ok(stream) => {
                let (state, audience) = (state.clone(), door.audience());
                connections.spawn(async move {
                    connection(stream, state, audience).await;
                    drop(place);
                });
            }
            // Out of descriptors, most likely: a pause lets others give some back.
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection to the admin server");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn connection<S>(stream: S, state: Arc<State>, audience: Audience)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let service = service_fn(move |request| {
        let state = state.clone();
        async move { Ok::<_, Infallible>(answer(&request, &state, audience)) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADER_DEADLINE).max_buf_size(HEAD_BYTES).max_headers(64);
    let served = http.serve_connection(TokioIo::new(stream), service);
    if let Ok(Err(error)) = tokio::time::timeout(CONNECTION_DEADLINE, served).await {
        tracing::debug!(%error, "a connection to the admin server ended early");
    }
}

/// Bodies of requests are never read: nothing here takes one.
fn answer(request: &Request<Incoming>, state: &State, audience: Audience) -> Response<Full<Bytes>> {
    let hosts = &state.shared.settings.admin.hosts;
    let verdict = guard::judge(request.method(), request.uri(), request.headers(), hosts);
    let mut response = match verdict {
        Ok(()) if audience == Audience::Scrapers && !api::is_for_scrapers(request.uri()) => api::error(
            StatusCode::NOT_FOUND,
            "only /metrics, /healthz, /readyz and /ping are answered at metrics.address",
        ),
        Ok(()) if audience == Audience::Viewers && !request.method().is_safe() => {
            api::error(StatusCode::METHOD_NOT_ALLOWED, "nothing is changed from admin.vip: ask at admin.address")
        }
        Ok(()) => api::answer(request.method(), request.uri(), request.headers(), state),
        Err((status, why)) => api::error(status, why),
    };
    if request.method() == Method::HEAD {
        *response.body_mut() = Full::default();
    }
    if response.status() == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    harden(&mut response);
    response
}

/// Nothing that is answered may be kept, framed, sniffed, or run.
pub(super) fn harden(response: &mut Response<Full<Bytes>>) {
    let fields = [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'; base-uri 'none'"),
        (http::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in fields {
        // The dashboard has said for itself what it may load.
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
}
