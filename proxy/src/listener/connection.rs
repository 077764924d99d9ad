//! One accepted connection: PROXY protocol, TLS, then HTTP or a tunnel.

use std::{net::SocketAddr, rc::Rc, sync::Arc, time::Duration};

use bytes::BytesMut;
use http::{Request, Response};
use hyper::body::Incoming;
use postern_config::snapshot::{Listener, SocketKey, Transport};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout_at},
};

use super::{Site, proxy_protocol};
use crate::{
    exchange::{Body, Connection},
    lifecycle::drain::Ticket,
    plan::Plan,
    protocol::http::{self as protocol, Accepted, Spoken},
    respond::Failure,
    socket::Socket,
    telemetry::metrics::{EntryPointIndex, Limit, Wire},
    tls::{self, Outcome},
    upstream,
    worker::Worker,
};

/// A connection at its begin.
pub(super) struct Arrival {
    pub(super) stream: TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) local: SocketAddr,
    pub(super) ticket: Ticket,
}

/// Sees the connection through to its end.
pub(super) async fn attend<F, R>(mut arrival: Arrival, site: Arc<Site>, worker: Rc<Worker>, service: F)
where
    F: Fn(Request<Incoming>, Rc<Connection>, Rc<Worker>) -> R + Clone + 'static,
    R: Future<Output = Response<Body>> + 'static,
{
    let deadline = Instant::now() + worker.shared.settings.limits.handshake_deadline;
    if !take_ends(&mut arrival, deadline, &worker).await {
        return;
    }
    let (name, transport) = match current(&worker, site.key) {
        Some((_, listener)) => (listener.name.clone(), listener.transport),
        None => (site.name.clone(), site.transport),
    };
    let wire = if transport == Transport::Tls { Wire::Tls } else { Wire::Plain };
    let entry_point = worker.shared.metrics.entry_point(&name);
    let _open = Open::new(&worker, entry_point, wire);
    match transport {
        Transport::Plain => {
            let connection = Connection::new(arrival.peer, arrival.local, site.key, name, None).counted_as(entry_point);
            let (stream, connection) = (Socket::new(arrival.stream), Rc::new(connection));
            let accepted = Accepted { stream, spoken: Spoken::Unknown, connection, ticket: arrival.ticket };
            protocol::serve(accepted, worker, service).await;
        }
        Transport::Tls => {
            tls(arrival, name, deadline, &site, worker, service).await;
        }
    }
}

/// Takes over what a trusted peer says about the ends; false when it had to and did not.
async fn take_ends(arrival: &mut Arrival, deadline: Instant, worker: &Worker) -> bool {
    if !proxy_protocol::is_required(arrival.peer.ip(), &worker.shared.settings.trust.proxy_protocol) {
        return true;
    }
    let reading = Box::pin(proxy_protocol::read(&mut arrival.stream));
    match timeout_at(deadline, reading).await {
        Ok(Ok(Some((peer, local)))) => (arrival.peer, arrival.local) = (peer, local),
        Ok(Ok(None)) => {}
        Ok(Err(error)) => {
            tracing::warn!(peer = %arrival.peer, %error, "connection refused");
            return false;
        }
        Err(_) => {
            worker.metrics().limited(Limit::HandshakeDeadline);
            return false;
        }
    }
    true
}

/// The plan of the moment and its listener.
fn current(worker: &Worker, key: SocketKey) -> Option<(Arc<Plan>, Arc<Listener>)> {
    let plan = worker.plan();
    let listener = plan.snapshot.listeners.get(&key)?.clone();
    Some((Arc::clone(&plan), listener))
}

async fn tls<F, R>(arrival: Arrival, name: Arc<str>, deadline: Instant, site: &Site, worker: Rc<Worker>, service: F)
where
    F: Fn(Request<Incoming>, Rc<Connection>, Rc<Worker>) -> R + Clone + 'static,
    R: Future<Output = Response<Body>> + 'static,
{
    let Arrival { stream, peer, local, ticket } = arrival;
    let find = || current(&worker, site.key);
    // Boxed, so that its room is given back when the handshake is over.
    let handshake =
        Box::pin(tls::accept(Socket::new(stream), peer.ip(), &site.common.tls, &worker.listeners.tls, find, deadline));
    let outcome = match handshake.await {
        Ok(outcome) => outcome,
        Err(error) => {
            worker.metrics().handshake(error.outcome());
            if matches!(error, tls::HandshakeError::TimedOut) {
                worker.metrics().limited(Limit::HandshakeDeadline);
            }
            tracing::debug!(%peer, %error, "handshake failed");
            return;
        }
    };
    worker.metrics().handshake(outcome.label());
    match outcome {
        Outcome::Http(stream, session) => {
            let spoken = match stream.get_ref().1.alpn_protocol() {
                Some(b"h2") => Spoken::Http2,
                _ => Spoken::Http1,
            };
            let entry_point = worker.shared.metrics.entry_point(&name);
            let connection = Connection::new(peer, local, site.key, name, Some(session)).counted_as(entry_point);
            let connection = Rc::new(connection);
            protocol::serve(Accepted { stream, spoken, connection, ticket }, worker, service).await;
        }
        Outcome::Bytes(stream, tunnelled, _admission) => {
            let plan = worker.plan();
            let server_name = stream.get_ref().1.server_name().map(str::to_owned);
            let connecting = upstream::connect_terminated(&plan, &tunnelled.forward, server_name.as_deref(), &worker);
            let backend = Box::pin(connecting).await;
            Box::pin(tunnel(*stream, BytesMut::new(), backend, &name, worker, peer)).await;
        }
        Outcome::Passthrough(stream, hello, tunnelled, _admission) => {
            let plan = worker.plan();
            let backend = Box::pin(upstream::connect(&plan, &tunnelled.forward, &worker)).await;
            Box::pin(tunnel(stream, hello, backend, &name, worker, peer)).await;
        }
    }
}

/// Sends `early` and then everything to a backend.
async fn tunnel<S, B>(
    mut stream: S,
    early: BytesMut,
    backend: Result<B, Failure>,
    name: &str,
    worker: Rc<Worker>,
    peer: SocketAddr,
) where
    S: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let started = Instant::now();
    let mut backend = match backend {
        Ok(backend) => backend,
        Err(failure) => {
            worker.metrics().failed(&failure);
            tracing::debug!(%peer, %failure, "no backend for a tunnel");
            // Nobody is left to tell when this fails.
            let _ = stream.shutdown().await;
            return;
        }
    };
    if backend.write_all(&early).await.is_err() {
        return;
    }
    let (bytes_in, bytes_out) = super::tunnel::join(stream, backend, idle_of_tunnels(&worker)).await;
    let entry_point = worker.shared.metrics.entry_point(name);
    worker.metrics().tunnel(entry_point, started.elapsed(), bytes_in + early.len() as u64, bytes_out);
}

fn idle_of_tunnels(worker: &Worker) -> Duration {
    worker.shared.settings.limits.idle
}

/// Counts a connection as long as it lives.
struct Open {
    worker: Rc<Worker>,
    entry_point: EntryPointIndex,
    wire: Wire,
}

impl Open {
    fn new(worker: &Rc<Worker>, entry_point: EntryPointIndex, wire: Wire) -> Self {
        worker.metrics().connection_opened(entry_point, wire);
        Self { worker: worker.clone(), entry_point, wire }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.worker.metrics().connection_closed(self.entry_point, self.wire);
    }
}
