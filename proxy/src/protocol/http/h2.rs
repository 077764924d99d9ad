//! HTTP/2 on hyper.

use std::{convert::Infallible, future::poll_fn, pin::pin, rc::Rc, time::Duration};

use bytes::BytesMut;
use http::StatusCode;
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Accepted, LocalExecutor, early::Begun};
use crate::{
    exchange::{Body, Connection},
    respond,
    settings::Limits,
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
    let limits = &worker.shared.settings.limits;
    let fields = limits.header_count;
    let peer = connection.peer;
    let io = TokioIo::new(Begun { early, stream });
    let builder = builder(limits);
    let call = service_fn(move |request: http::Request<Incoming>| {
        let too_many = request.headers().len() > fields;
        let (service, connection, worker) = (service.clone(), connection.clone(), worker.clone());
        async move {
            Ok::<_, Infallible>(if too_many {
                respond::plain(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
            } else {
                service(request, connection, worker).await
            })
        }
    });
    let mut serving = pin!(builder.serve_connection(io, call));
    let mut told = false;
    let ended = poll_fn(|cx| {
        if !told && ticket.poll_started(cx).is_ready() {
            told = true;
            serving.as_mut().graceful_shutdown();
        }
        serving.as_mut().poll(cx)
    });
    if let Err(error) = ended.await {
        tracing::debug!(%peer, %error, "HTTP/2 connection ended early");
    }
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
