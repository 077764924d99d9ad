//! HTTP/2 on hyper.

use std::{convert::Infallible, error::Error as _, future::poll_fn, pin::pin, rc::Rc, task::Poll, time::Duration};

use bytes::BytesMut;
use futures_util::{
    FutureExt as _,
    future::{Either, ready},
};
use http::StatusCode;
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{
    Accepted, LocalExecutor,
    activity::{Activity, Clock, Finding},
    early::Begun,
};
use crate::{
    exchange::{Body, Connection},
    respond,
    settings::Limits,
    telemetry::metrics::Limit,
    worker::Worker,
};

/// How much of a body a client may send before it is read; what Envoy's edge guide advises is 64 KiB.
const STREAM_WINDOW: u32 = 256 * 1024;
/// The same for all streams of a connection together.
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Bytes of answers that are buffered per stream.
const SEND_BUFFER: usize = 64 * 1024;
/// How long a PING may stay without answer.
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// Serves until the connection ends.
pub(super) async fn serve<S, F, R>(accepted: Accepted<S>, early: BytesMut, worker: Rc<Worker>, service: F)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Fn(http::Request<Incoming>, Rc<Connection>, Rc<Worker>) -> R + Clone + 'static,
    R: Future<Output = http::Response<Body>> + 'static,
{
    let Accepted { stream, connection, mut ticket, .. } = accepted;
    let (limits, observer) = (worker.shared.settings.limits.clone(), worker.clone());
    let peer = connection.peer;
    let activity = Rc::new(Activity::default());
    let mut clock = Clock::new(limits.idle, limits.body_idle);
    let watch = activity.clone();
    let call = service_fn(move |request: http::Request<Incoming>| {
        let too_many = request.headers().len() > limits.header_count;
        let asked = watch.ask();
        let answer = if too_many {
            worker.metrics().limited(Limit::HeaderCount);
            let (peer, limit) = (connection.peer, Limit::HeaderCount.as_str());
            worker.offences.log(|| tracing::info!(%peer, limit, "a limit refused a request"));
            Either::Left(ready(respond::plain(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)))
        } else {
            Either::Right(service(request, connection.clone(), worker.clone()))
        };
        answer.map(move |response| Ok::<_, Infallible>(response.map(|body| asked.watch(body))))
    });
    let builder = builder(&observer.shared.settings.limits);
    let mut serving = pin!(builder.serve_connection(TokioIo::new(Begun { early, stream }), call));
    let mut told = false;
    let ended = poll_fn(|cx| {
        let drained = !told && ticket.poll_started(cx).is_ready();
        let idle = match clock.poll(cx, &activity) {
            Poll::Ready(Finding::Stalled) => {
                observer.metrics().limited(Limit::BodyIdle);
                let limit = Limit::BodyIdle.as_str();
                observer.offences.log(|| tracing::info!(%peer, limit, "a stream without window ended the connection"));
                return Poll::Ready(Ok(()));
            }
            Poll::Ready(Finding::Idle) if !told => {
                observer.metrics().limited(Limit::Idle);
                true
            }
            _ => false,
        };
        if drained || idle {
            told = true;
            serving.as_mut().graceful_shutdown();
        }
        serving.as_mut().poll(cx)
    });
    let Err(error) = ended.await else { return };
    match abuse(&error) {
        Some(error) => {
            observer.metrics().limited(Limit::Http2Abuse);
            let limit = Limit::Http2Abuse.as_str();
            observer.offences.log(|| tracing::info!(%peer, limit, %error, "a limit ended the connection"));
        }
        None => tracing::debug!(%peer, %error, "HTTP/2 connection ended early"),
    }
}

/// Why we have ended the connection, if its client asked too much of it (RFC 9113 section 10.5).
fn abuse(error: &hyper::Error) -> Option<&h2::Error> {
    let cause = error.source()?.downcast_ref::<h2::Error>()?;
    (cause.is_library() && cause.reason() == Some(h2::Reason::ENHANCE_YOUR_CALM)).then_some(cause)
}

fn builder(limits: &Limits) -> http2::Builder<LocalExecutor> {
    let mut builder = http2::Builder::new(LocalExecutor);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.h2_streams)
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(limits.h2_resets)
        .max_local_error_reset_streams(limits.h2_resets)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .keep_alive_interval(limits.idle / 2)
        .keep_alive_timeout(PING_TIMEOUT)
        .enable_connect_protocol();
    builder
}
