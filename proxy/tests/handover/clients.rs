//! Clients of all kinds that count what they lose.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream as Blocking},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Instant,
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{
    PATIENCE,
    node::{HOST, Node},
};

pub(crate) fn request(connection: &str) -> Vec<u8> {
    format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: {connection}\r\n\r\n").into_bytes()
}

/// The status that a new connection gets.
pub(crate) fn get(address: SocketAddr) -> u16 {
    finish(Blocking::connect(address).expect("it listens"))
}

/// The status that an open connection gets.
pub(crate) fn finish(mut stream: Blocking) -> u16 {
    stream.set_read_timeout(Some(PATIENCE)).expect("a live socket");
    stream.write_all(&request("close")).expect("it is connected");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("no reset");
    answer.get(9..12).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{answer:?}"))
}

/// What the admin server answers.
pub(crate) fn admin(address: SocketAddr, path: &str) -> String {
    let mut stream = Blocking::connect(address).expect("the admin server listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a live socket");
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it is connected");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("no reset");
    answer.split_once("\r\n\r\n").expect("an answer").1.to_owned()
}

/// Ports of objects and where they are bound.
pub(crate) fn listeners(address: SocketAddr) -> Vec<(u16, SocketAddr)> {
    let answer: serde_json::Value = serde_json::from_str(&admin(address, "/api/v1/listeners")).expect("JSON");
    let port = |listener: &serde_json::Value| {
        listener["socket"].as_str()?.rsplit(':').next()?.trim_start_matches('*').parse().ok()
    };
    let bound = |listener: &serde_json::Value| listener["bound"][0].as_str()?.parse().ok();
    let list = answer.as_array().unwrap_or_else(|| panic!("{answer}"));
    list.iter().filter_map(|listener| Some((port(listener)?, bound(listener)?))).collect()
}

/// Clients that go on until they are told to stop.
pub(crate) struct Load {
    runtime: tokio::runtime::Runtime,
    shared: Arc<Shared>,
    clients: Vec<tokio::task::JoinHandle<()>>,
}

struct Shared {
    plain: SocketAddr,
    tls: SocketAddr,
    connector: [TlsConnector; 2],
    done: [AtomicUsize; KINDS],
    lost: Mutex<Vec<String>>,
    stop: AtomicBool,
}

/// New connections and kept ones, over HTTP/1.1 in plain and over TLS; and HTTP/2.
const KINDS: usize = 5;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

impl Load {
    pub(crate) fn start(node: &Node, authority: rustls_pki_types::CertificateDer<'static>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let shared = Arc::new(Shared {
            plain: node.listener(80),
            tls: node.listener(443),
            connector: [connector(&authority, b"http/1.1"), connector(&authority, b"h2")],
            done: Default::default(),
            lost: Mutex::default(),
            stop: AtomicBool::new(false),
        });
        let clients = (0..2 * KINDS).map(|at| runtime.spawn(client(at % KINDS, shared.clone()))).collect();
        Self { runtime, shared, clients }
    }

    /// Waits until each kind of client has done some more.
    pub(crate) fn runs(&self) {
        let before: Vec<_> = self.shared.done.iter().map(|done| done.load(Relaxed)).collect();
        let more = |(done, before): (&AtomicUsize, &usize)| done.load(Relaxed) >= before + 20;
        let deadline = Instant::now() + PATIENCE;
        while !self.shared.done.iter().zip(&before).all(more) {
            assert!(Instant::now() < deadline, "clients stand still: {before:?} {:?}", self.shared.done);
            std::thread::yield_now();
        }
    }

    /// What was lost.
    pub(crate) fn stop(self) -> Vec<String> {
        self.shared.stop.store(true, Relaxed);
        for client in self.clients {
            let ended = self.runtime.block_on(async { tokio::time::timeout(PATIENCE, client).await });
            ended.expect("a client ends").expect("a client does not panic");
        }
        std::mem::take(&mut *self.shared.lost.lock().expect("nobody panicked"))
    }
}

fn connector(authority: &rustls_pki_types::CertificateDer<'static>, protocol: &[u8]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(authority.clone()).expect("a root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = builder.expect("versions").with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    TlsConnector::from(Arc::new(config))
}

async fn client(kind: usize, shared: Arc<Shared>) {
    let mut kept = Kept::default();
    while !shared.stop.load(Relaxed) {
        let asked = async {
            match kind {
                0 => ask(&mut TcpStream::connect(shared.plain).await?, "close").await.map(drop),
                1 => ask(&mut secure(&shared, 0).await?, "close").await.map(drop),
                2 => kept.plain(&shared).await,
                3 => kept.tls(&shared).await,
                _ => kept.http2(&shared).await,
            }
        };
        match tokio::time::timeout(PATIENCE, asked).await.unwrap_or_else(|_| Err("no answer in time".into())) {
            Ok(()) => drop(shared.done[kind].fetch_add(1, Relaxed)),
            Err(error) => {
                shared.lost.lock().expect("nobody panicked").push(format!("kind {kind}: {error:?}"));
                kept = Kept::default();
            }
        }
        tokio::task::yield_now().await;
    }
}

async fn secure(shared: &Shared, protocol: usize) -> Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(HOST)?;
    Ok(shared.connector[protocol].connect(name, TcpStream::connect(shared.tls).await?).await?)
}

/// Connections that are used until the server says that they are not to be.
#[derive(Default)]
struct Kept {
    plain: Option<TcpStream>,
    tls: Option<TlsStream<TcpStream>>,
    http2: Option<SendRequest<Empty<Bytes>>>,
}

impl Kept {
    async fn plain(&mut self, shared: &Shared) -> Result<()> {
        let mut stream = match self.plain.take() {
            Some(stream) => stream,
            None => TcpStream::connect(shared.plain).await?,
        };
        if ask(&mut stream, "keep-alive").await? {
            self.plain = Some(stream);
        }
        Ok(())
    }

    async fn tls(&mut self, shared: &Shared) -> Result<()> {
        let mut stream = match self.tls.take() {
            Some(stream) => stream,
            None => secure(shared, 0).await?,
        };
        if ask(&mut stream, "keep-alive").await? {
            self.tls = Some(stream);
        }
        Ok(())
    }

    async fn http2(&mut self, shared: &Shared) -> Result<()> {
        let kept = match self.http2.take() {
            Some(mut sender) => sender.ready().await.is_ok().then_some(sender),
            None => None,
        };
        let mut sender = match kept {
            Some(sender) => sender,
            // A connection that was told to go away takes no request, and none is lost.
            None => {
                let stream = TokioIo::new(secure(shared, 1).await?);
                let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await?;
                tokio::spawn(connection);
                sender
            }
        };
        let request = http::Request::get(format!("https://{HOST}/")).body(Empty::new())?;
        match sender.send_request(request).await {
            Ok(answer) => {
                let status = answer.status();
                answer.into_body().collect().await?;
                self.http2 = Some(sender);
                if status == 200 { Ok(()) } else { Err(format!("status {status}").into()) }
            }
            // It was not sent, or the server said in good order that it will not look at it (RFC 9113 section 6.8): such a
            // request is sent again elsewhere.
            Err(error) if error.is_canceled() || is_farewell(&error) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Whether a server that goes away said so of a request that it did not begin.
fn is_farewell(error: &hyper::Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<h2::Error>());
    cause.is_some_and(|cause| cause.is_go_away() && cause.is_remote() && cause.reason() == Some(h2::Reason::NO_ERROR))
}

/// One request; whether the connection may be used again.
async fn ask<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, connection: &str) -> Result<bool> {
    stream.write_all(&request(connection)).await?;
    let mut answer = Vec::new();
    loop {
        if stream.read_buf(&mut answer).await? == 0 {
            return Err(format!("the end after {:?}", String::from_utf8_lossy(&answer)).into());
        }
        let text = String::from_utf8_lossy(&answer);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let head = head.to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
        if length.is_none_or(|length| body.len() < length) {
            continue;
        }
        return match head.starts_with("http/1.1 200") {
            true => Ok(!head.contains("connection: close")),
            false => Err(head.into()),
        };
    }
}
