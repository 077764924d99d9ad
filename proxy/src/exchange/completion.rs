//! The end of an exchange: counted and logged once, when the last byte of the answer has gone or the client has.

use std::{
    cell::Cell,
    net::IpAddr,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, Version, header, request::Parts};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use postern_config::model::route::Rule;
use tokio::time::Instant;

use super::{Body, BodyError, Connection};
use crate::{
    middleware::Permit,
    respond::{self, Failure},
    telemetry::{
        access_log::{Finish, Record},
        metrics::Protocol,
    },
    worker::Worker,
};

/// What is counted and logged at the end, and the answer's body, whose end that is. Dropping it is the end: one box
/// from the first header byte to the last body byte.
pub struct Completion {
    body: Body,
    worker: Rc<Worker>,
    connection: Rc<Connection>,
    /// Absent until a rule has won.
    pub(super) rule: Option<Arc<Rule>>,
    /// Address that limits and lists judged; the peer until that is known.
    pub(super) client: IpAddr,
    pub(super) record: Record,
    /// Given back with the end.
    pub(super) permits: Vec<Permit>,
    started: Instant,
    protocol: Protocol,
    grpc: bool,
    /// `None`: the request has no body.
    bytes_in: Option<Rc<Cell<u64>>>,
    bytes_out: u64,
    status: StatusCode,
    response_headers: Option<HeaderMap>,
}

impl Completion {
    /// Begins to watch a request whose head is complete; to be called before the head is changed.
    pub(super) fn begin(parts: &Parts, connection: &Rc<Connection>, worker: &Rc<Worker>) -> Box<Self> {
        let mut record = Record::default();
        if worker.access_log.is_on() {
            worker.access_log.begin(&mut record, parts, &written_host(parts));
        }
        Box::new(Self {
            body: Body::Empty,
            worker: worker.clone(),
            connection: connection.clone(),
            rule: None,
            client: connection.peer.ip(),
            record,
            permits: Vec::new(),
            started: Instant::now(),
            protocol: protocol(parts),
            grpc: respond::is_grpc(&parts.headers),
            bytes_in: None,
            bytes_out: 0,
            // Until there is an answer, the end is that the client left.
            status: Failure::ClientGone.status(),
            response_headers: None,
        })
    }

    /// When the head was complete.
    pub(super) fn started(&self) -> Instant {
        self.started
    }

    /// The request's body, counted.
    pub(super) fn count(&mut self, body: Incoming) -> Body {
        if body.is_end_stream() {
            return Body::Empty;
        }
        Body::Counted(body, self.bytes_in.insert(Rc::default()).clone())
    }

    /// The answer to `failure`, which is counted and kept for the log.
    pub(super) fn fail(&mut self, failure: &Failure) -> Response<Body> {
        self.worker.metrics().failed(failure);
        self.record.reason = Some(failure.reason());
        if self.worker.access_log.is_on() {
            self.record.detail = Some(failure.to_string());
        }
        respond::answer_as(failure, self.grpc)
    }

    /// Notes that the client did not wait for an answer.
    pub(super) fn abandon(&mut self) {
        let failure = Failure::ClientGone;
        self.worker.metrics().failed(&failure);
        self.record.reason.get_or_insert(failure.reason());
    }

    /// Makes the end of `response` the end of the exchange.
    pub(super) fn watch(mut self: Box<Self>, response: Response<Body>) -> Response<Body> {
        self.status = response.status();
        if self.worker.access_log.is_on() {
            self.response_headers = Some(response.headers().clone());
        }
        response.map(|body| {
            self.body = body;
            Body::Watched(self)
        })
    }

    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
        {
            self.bytes_out += data.len() as u64;
        }
        polled
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        let shard = self.worker.metrics();
        let duration = self.started.elapsed();
        let bytes_in = self.bytes_in.as_ref().map_or(0, |count| count.get());
        let protocol = if self.status == StatusCode::SWITCHING_PROTOCOLS { Protocol::Upgrade } else { self.protocol };
        shard.request(self.connection.metrics, protocol, self.status, duration, bytes_in, self.bytes_out);
        if let Some(rule) = self.rule.as_ref().filter(|_| self.worker.shared.settings.metrics.routes) {
            shard.routes.request(&rule.source.object, self.status);
        }
        if !self.worker.access_log.is_on() {
            return;
        }
        let connection = &*self.connection;
        let tls = connection.tls.as_ref();
        let finish = Finish {
            entry_point: &connection.entry_point,
            client: self.client,
            peer: connection.peer,
            scheme: if tls.is_some() { "https" } else { "http" },
            tls: tls.map(|tls| (tls.version, tls.cipher)),
            server_name: tls.and_then(|tls| tls.server_name.as_deref()),
            route: self.rule.as_ref().map(|rule| &*rule.source),
            status: self.status,
            response_headers: self.response_headers.as_ref(),
            bytes_in,
            bytes_out: self.bytes_out,
            duration,
        };
        self.worker.access_log.write(&self.record, &finish, shard);
    }
}

fn written_host(parts: &Parts) -> HeaderValue {
    let field = parts.headers.get(header::HOST).cloned();
    let target = || HeaderValue::from_str(parts.uri.authority()?.as_str()).ok();
    field.or_else(target).unwrap_or_else(|| HeaderValue::from_static(""))
}

fn protocol(parts: &Parts) -> Protocol {
    if parts.version != Version::HTTP_2 {
        Protocol::Http1
    } else if parts.extensions.get::<hyper::ext::Protocol>().is_some() {
        Protocol::Upgrade
    } else {
        Protocol::Http2
    }
}
