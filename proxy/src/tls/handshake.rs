//! From a ClientHello to what is inside: HTTP, bytes for a backend, or TLS for a backend.

use std::{net::IpAddr, sync::Arc};

use bytes::BytesMut;
use jiff::Timestamp;
use postern_config::{
    model::{id::CertificateId, route::Tunnel},
    snapshot::{Listener, SniAction, SniEntry},
};
use rustls::{HandshakeKind, ProtocolVersion};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, timeout_at},
};
use tokio_rustls::{StartHandshake, server::TlsStream};

use super::{
    HandshakeError, Tls, WorkerState, certificate,
    config::Inside,
    hello::{self, Hello},
};
use crate::{
    exchange::TlsSession,
    middleware::tcp::{Admission, admit},
    plan::Plan,
    telemetry::metrics::Handshake,
};

/// What a TLS connection turned out to be.
pub enum Outcome<S> {
    /// HTTP inside.
    Http(Box<TlsStream<S>>, TlsSession),
    /// Bytes inside, for a backend.
    Bytes(Box<TlsStream<S>>, Arc<Tunnel>, Admission),
    /// Not ours to end: the stream, and the hello that the backend has yet to see.
    Passthrough(S, BytesMut, Arc<Tunnel>, Admission),
}

impl<S> Outcome<S> {
    /// The metric's label.
    pub fn label(&self) -> Handshake {
        match self {
            Self::Passthrough(..) => Handshake::Passthrough,
            Self::Http(stream, _) | Self::Bytes(stream, ..) => match stream.get_ref().1.handshake_kind() {
                Some(HandshakeKind::Resumed) => Handshake::Resumed,
                _ => Handshake::Full,
            },
        }
    }
}

/// Goes through the handshake as `listener` says, until `deadline`. `plan` is asked for once the hello has come.
/// Middlewares of connections judge `peer` before anything is said to it.
pub async fn accept<S, P>(
    stream: S,
    peer: IpAddr,
    tls: &Tls,
    state: &WorkerState,
    find: P,
    deadline: Instant,
) -> Result<Outcome<S>, HandshakeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
    P: FnOnce() -> Option<(Arc<Plan>, Arc<Listener>)>,
{
    timeout_at(deadline, run(stream, peer, tls, state, find)).await.unwrap_or(Err(HandshakeError::TimedOut))
}

async fn run<S, P>(
    stream: S,
    peer: IpAddr,
    tls: &Tls,
    state: &WorkerState,
    find: P,
) -> Result<Outcome<S>, HandshakeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
    P: FnOnce() -> Option<(Arc<Plan>, Arc<Listener>)>,
{
    let hello = hello::read(stream).await?;
    let found = find();
    let entry = found.as_ref().and_then(|(_, listener)| listener.sni.find(hello.server_name.as_deref()).cloned());
    let (Some((plan, _)), Some(entry)) = (found.as_ref().map(|(plan, listener)| (plan.clone(), listener)), entry)
    else {
        // Where TLS always ends elsewhere nobody speaks it here: the connection is closed without a word.
        if found.is_none_or(|(_, listener)| listener.sni.terminates()) {
            hello::refuse_name(hello.stream).await;
        }
        return Err(HandshakeError::UnknownName(hello.server_name));
    };
    match &entry.action {
        SniAction::Passthrough(tunnel) => {
            let admission = admit(&plan, &tunnel.middlewares, peer)?;
            Ok(Outcome::Passthrough(hello.stream, hello.raw, tunnel.clone(), admission))
        }
        SniAction::Terminate(candidates) => {
            let name = hello.server_name.clone();
            let stream = finish(hello, tls, state, &plan, candidates, Inside::Http).await?;
            let session = session(&stream, name, entry.clone());
            Ok(Outcome::Http(stream, session))
        }
        SniAction::TerminateTcp(candidates, tunnel) => {
            let (tunnel, admission) = (tunnel.clone(), admit(&plan, &tunnel.middlewares, peer)?);
            let stream = finish(hello, tls, state, &plan, candidates, Inside::Bytes).await?;
            Ok(Outcome::Bytes(stream, tunnel, admission))
        }
    }
}

async fn finish<S>(
    hello: Hello<S>,
    tls: &Tls,
    state: &WorkerState,
    plan: &Plan,
    candidates: &[CertificateId],
    inside: Inside,
) -> Result<Box<TlsStream<S>>, HandshakeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let chosen = certificate::choose(plan, candidates, hello.server_name.as_deref(), Timestamp::now());
    let config = state.config(tls, plan, chosen.unwrap_or_else(|| tls.default_certificate()), inside);
    drop(hello.raw);
    Ok(Box::new(StartHandshake::from_parts(hello.accepted, hello.stream).into_stream(config).await?))
}

fn session<S>(stream: &TlsStream<S>, server_name: Option<Arc<str>>, entry: Arc<SniEntry>) -> TlsSession {
    let connection = stream.get_ref().1;
    let version = match connection.protocol_version() {
        Some(ProtocolVersion::TLSv1_2) => "1.2",
        _ => "1.3",
    };
    let cipher = connection.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str()).unwrap_or("");
    let shown = connection.peer_certificates().unwrap_or_default();
    let client_certificates = shown.iter().map(|certificate| certificate.clone().into_owned()).collect();
    TlsSession { server_name, entry: Some(entry), version, cipher, client_certificates }
}
