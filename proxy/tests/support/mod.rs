//! A worker without sockets, and a client that speaks bytes.
#![allow(dead_code, reason = "each test file uses its part")]

pub(crate) mod control_plane;

use std::{
    cell::RefCell,
    net::SocketAddr,
    rc::Rc,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use http_body_util::BodyExt;
use hyper::body::Incoming;
use postern_config::snapshot::SocketKey;
use postern_proxy::{
    exchange::{Body, Connection},
    lifecycle::drain::Drain,
    plan::{Live, Plan},
    protocol::http::{Accepted, Spoken, serve},
    settings::Settings,
    telemetry::{access_log, metrics::Metrics},
    worker::{Inside, Shared, Worker},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

/// What came of a conversation.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    /// Requests whose service was called.
    pub(crate) begun: usize,
    /// Method and target of requests that came completely, with their body.
    pub(crate) requests: Vec<String>,
    /// Statuses of the answers.
    pub(crate) statuses: Vec<u16>,
    /// Whether the server closed the connection before the client did.
    pub(crate) closed: bool,
}

/// A worker with `settings`.
pub(crate) fn worker(settings: Settings) -> Rc<Worker> {
    let shared = Shared {
        plan: Arc::new(arc_swap::ArcSwap::from_pointee(Plan::default())),
        settings: Arc::new(settings),
        server_name: http::HeaderValue::from_static("node"),
        live: Live::default(),
        metrics: Arc::new(Metrics::new(1)),
        offload: tokio::runtime::Handle::current(),
        observing: AtomicBool::new(false),
        inside: Inside::default(),
    };
    Rc::new(Worker::new(0, Arc::new(shared), access_log::Queue::default()))
}

/// A plaintext connection without addresses.
pub(crate) fn connection() -> Rc<Connection> {
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let socket = SocketKey { address: None, port: 80 };
    Rc::new(Connection::new(nowhere, nowhere, socket, "web".into(), None))
}

/// Runs `test` where tasks may be local and time stands still until everybody waits.
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime can be built");
    tokio::task::LocalSet::new().block_on(&runtime, test)
}

/// Serves one side of a pipe, and says on `log` what was asked.
pub(crate) fn serve_pipe(settings: Settings, spoken: Spoken, log: Rc<RefCell<Sent>>) -> DuplexStream {
    serve_pipe_until(&Drain::default(), settings, spoken, log)
}

/// The same, until `drain` asks the connection to finish.
pub(crate) fn serve_pipe_until(
    drain: &Drain,
    settings: Settings,
    spoken: Spoken,
    log: Rc<RefCell<Sent>>,
) -> DuplexStream {
    serve_pipe_on(worker(settings), drain, spoken, log)
}

/// The same on a worker that is at hand.
pub(crate) fn serve_pipe_on(worker: Rc<Worker>, drain: &Drain, spoken: Spoken, log: Rc<RefCell<Sent>>) -> DuplexStream {
    let (client, server) = tokio::io::duplex(64 * 1024);
    let accepted = Accepted { stream: server, spoken, connection: connection(), ticket: drain.ticket() };
    let service = move |request, _, _| record(request, log.clone());
    tokio::task::spawn_local(serve(accepted, worker, service));
    client
}

async fn record(request: http::Request<Incoming>, log: Rc<RefCell<Sent>>) -> http::Response<Body> {
    log.borrow_mut().begun += 1;
    let line = format!("{} {}", request.method(), request.uri());
    let mut response = http::Response::new(Body::from("ok"));
    match request.into_body().collect().await {
        Ok(_) => log.borrow_mut().requests.push(line),
        Err(_) => *response.status_mut() = http::StatusCode::BAD_REQUEST,
    }
    response
}

/// Sends `bytes` at once.
pub(crate) fn exchange(bytes: &[u8]) -> Sent {
    in_pieces(bytes, usize::MAX)
}

/// Sends `bytes` in pieces and waits until the server closes or says nothing more.
pub(crate) fn in_pieces(bytes: &[u8], size: usize) -> Sent {
    run(async {
        let log = Rc::new(RefCell::new(Sent::default()));
        let mut client = serve_pipe(Settings::default(), Spoken::Unknown, log.clone());
        for piece in bytes.chunks(size.min(bytes.len())) {
            if client.write_all(piece).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
        let mut answer = Vec::new();
        let closed = read_until_silent(&mut client, &mut answer).await;
        let mut sent = std::mem::take(&mut *log.borrow_mut());
        sent.closed = closed;
        sent.statuses = statuses(&answer);
        sent
    })
}

/// Reads until the end of the stream (true) or until nothing has come for a second (false).
pub(crate) async fn read_until_silent(client: &mut DuplexStream, answer: &mut Vec<u8>) -> bool {
    loop {
        match tokio::time::timeout(Duration::from_secs(1), client.read_buf(answer)).await {
            Ok(Ok(0) | Err(_)) => return true,
            Ok(Ok(_)) => {}
            Err(_) => return false,
        }
    }
}

fn statuses(answer: &[u8]) -> Vec<u16> {
    let text = String::from_utf8_lossy(answer);
    text.match_indices("HTTP/1.")
        .filter_map(|(at, _)| text.get(at + 9..at + 12).and_then(|code| code.parse().ok()))
        .collect()
}
