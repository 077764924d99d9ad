//! HTTP/1 on hyper, behind the guard.

use std::{cell::Cell, convert::Infallible, future::poll_fn, net::SocketAddr, pin::pin, rc::Rc, sync::Arc};

use bytes::BytesMut;
use futures_util::FutureExt as _;
use http::{HeaderValue, StatusCode, Version, header};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Accepted, closing::Closing};
use crate::{
    exchange::{Body, Connection},
    protocol::http1_guard::{Deadlines, Guard, HeadLimits, Link, Offence},
    respond::Failure,
    settings::Limits,
    telemetry::metrics::Limit,
    worker::Worker,
};

/// hyper keeps room for this many fields on its stack; a lower limit is set by asking for it.
const FIELDS_ON_STACK: usize = 100;
/// The most that hyper buffers in either direction, unless heads may be larger.
const BUFFER: usize = 128 * 1024;

/// Serves until the connection ends.
pub(super) async fn serve<S, F, R>(accepted: Accepted<S>, early: BytesMut, worker: Rc<Worker>, service: F)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Fn(http::Request<Incoming>, Rc<Connection>, Rc<Worker>) -> R + Clone + 'static,
    R: Future<Output = http::Response<Body>> + 'static,
{
    let Accepted { stream, connection, ticket, .. } = accepted;
    let link = Arc::new(Link::default());
    let limits = &worker.shared.settings.limits;
    let io = TokioIo::new(Guard::new(stream, early, head_limits(limits), deadlines(limits), link.clone()));
    let builder = builder(limits);
    let peer = connection.peer;
    let answers = link.clone();
    let metrics = worker.clone();
    let last = Rc::new(Cell::new(false));
    let switched = Rc::new(Cell::new(false));
    let switches_to = switched.clone();
    let mut closing = Closing::new(ticket, last.clone());
    let call = service_fn(move |request: http::Request<Incoming>| {
        let upgrade = request.version() == Version::HTTP_11 && request.headers().contains_key(header::UPGRADE);
        let (link, last, switched) = (answers.clone(), last.clone(), switches_to.clone());
        service(request, connection.clone(), worker.clone()).map(move |mut response| {
            let switches = response.status() == StatusCode::SWITCHING_PROTOCOLS;
            if upgrade {
                link.decide(switches);
                switched.set(switches);
            }
            if last.get() && !switches {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response)
        })
    });
    let ended = {
        let mut serving = pin!(builder.serve_connection(io, call).with_upgrades());
        let serves = poll_fn(|cx| {
            let polled = serving.as_mut().poll(cx);
            if polled.is_pending() && closing.poll_begin(cx).is_ready() {
                serving.as_mut().graceful_shutdown();
                return serving.as_mut().poll(cx);
            }
            polled
        });
        serves.await
    };
    let mut too_long = false;
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "HTTP/1 connection ended early");
        too_long = error.is_parse_too_large();
    }
    if switched.get() {
        // A tunnel is a connection like another: it counts, and a drain waits for it and breaks it off.
        link.closed().await;
    }
    // hyper asks for no more when its buffer is full, so that the guard may not have seen the byte that is too many.
    let offence = link.offence().or(too_long.then_some(Offence::HeadTooLong));
    report(offence, link.overdue(), peer, &metrics);
}

/// Counts and logs what is held against the client.
fn report(offence: Option<Offence>, overdue: Option<Limit>, peer: SocketAddr, worker: &Worker) {
    if let Some(offence) = offence {
        worker.metrics().failed(&Failure::BadRequest("malformed HTTP/1 message"));
        worker.offences.log(|| tracing::info!(%peer, %offence, "refused a malformed HTTP/1 message"));
    }
    if let Some(limit) = offence.and_then(Offence::limit).or(overdue) {
        worker.metrics().limited(limit);
        if limit == Limit::Idle {
            tracing::debug!(%peer, "closed an idle connection");
        } else {
            worker.offences.log(|| tracing::info!(%peer, limit = limit.as_str(), "a limit ended the connection"));
        }
    }
}

fn head_limits(limits: &Limits) -> HeadLimits {
    HeadLimits { bytes: limits.header_bytes, fields: limits.header_count }
}

fn deadlines(limits: &Limits) -> Deadlines {
    Deadlines { head: limits.header_deadline, idle: limits.idle, body: limits.body_idle }
}

fn builder(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    // `header_read_timeout` would count idle time too, and `pipeline_flush` lifts the bound of the write buffer
    // (`Buffered::can_buffer`): the guard keeps the time, and answers are flushed one by one.
    builder
        .header_read_timeout(None)
        .half_close(true)
        .max_header_size(limits.header_bytes)
        .max_buf_size(BUFFER.max(limits.header_bytes.saturating_mul(2)));
    if limits.header_count != FIELDS_ON_STACK {
        builder.max_headers(limits.header_count);
    }
    builder
}
