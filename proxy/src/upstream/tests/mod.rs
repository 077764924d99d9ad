//! Forwarding against backends on real sockets, in this process. Here is the world that the tests build; each file
//! beside it is about one promise.

mod balancing;
mod connections;
mod fetching;
mod framing;
mod health;
mod http2;
mod retries;
mod streams;
mod timeouts;
mod tls;
mod upgrades;

use std::{
    cell::{Cell, RefCell},
    future::Future,
    net::SocketAddr,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use bytes::Bytes as Chunk;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use postern_config::{
    model::{
        cluster::{Balance, Cluster as Spec, ClusterSlot, Endpoint, EndpointAddress, PassiveHealth, Protocol},
        id::{ClusterId, ObjectId},
        path::PathPattern,
        route::{
            Action, Backend as Share, Family, Forward, Outcome, Predicates, Rank, Rule, RuleSource, Target, Timeouts,
        },
    },
    snapshot::SocketKey,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::LocalSet,
    time::Instant,
};

use super::{Cluster, forward};
use crate::{
    exchange::{Body, Connection, Exchange},
    plan::{Live, Plan},
    respond::Failure,
    settings::Settings,
    telemetry::{access_log, metrics::Metrics},
    worker::{Inside, Shared, Worker},
};

/// Runs `test` as a worker runs its tasks. What hangs fails.
fn on_worker(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let limited = async { tokio::time::timeout(Duration::from_secs(30), test).await.expect("the test came to an end") };
    LocalSet::new().block_on(&runtime, limited);
}

/// One worker, one cluster, one rule.
struct World {
    worker: Rc<Worker>,
    forward: Forward,
}

/// What a test may change before the world is made.
struct Plans {
    settings: Settings,
    spec: Spec,
    forward: Forward,
}

const CLUSTER: &str = "default/web:80";

fn socket(address: SocketAddr) -> Endpoint {
    Endpoint { address: EndpointAddress::Socket(address), weight: 1, draining: false }
}

impl Plans {
    fn new(endpoints: impl IntoIterator<Item = SocketAddr>) -> Self {
        let id = ClusterId::new(CLUSTER);
        let spec = Spec {
            id: id.clone(),
            endpoints: endpoints.into_iter().map(socket).collect(),
            protocol: Protocol::Http,
            tls: None,
            balance: Balance::RoundRobin,
            sticky: None,
            health: None,
            passive: PassiveHealth::default(),
            pass_host: true,
            connect_timeout: None,
        };
        let forward = Forward {
            backends: vec![Share { target: Target::Cluster(id), weight: 1, filters: Vec::new() }],
            unresolved: StatusCode::SERVICE_UNAVAILABLE,
            timeouts: Timeouts::default(),
            retry: None,
        };
        Self { settings: Settings::default(), spec, forward }
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn build(self) -> World {
        let live = Live::default();
        let plan = plan_of(self.spec, &live);
        let shared = Shared {
            plan: Arc::new(ArcSwap::from_pointee(plan)),
            settings: Arc::new(self.settings),
            server_name: HeaderValue::from_static("test"),
            live,
            metrics: Arc::new(Metrics::new(1)),
            offload: tokio::runtime::Handle::current(),
            observing: std::sync::atomic::AtomicBool::new(false),
            inside: Inside::default(),
        };
        let worker = Rc::new(Worker::new(0, Arc::new(shared), access_log::Queue::default()));
        World { worker, forward: self.forward }
    }
}

fn plan_of(spec: Spec, live: &Live) -> Plan {
    let id = spec.id.clone();
    let cluster = Cluster::build(&id, &Arc::new(ClusterSlot::Ready(spec)), &live.upstream);
    let mut plan = Plan::default();
    plan.clusters.insert(id, Arc::new(cluster));
    plan
}

impl World {
    fn of(endpoints: impl IntoIterator<Item = SocketAddr>) -> Self {
        Plans::new(endpoints).build()
    }

    /// Swaps the plan, as a change of the cluster does.
    fn change(&self, spec: Spec) {
        let plan = plan_of(spec, &self.worker.shared.live);
        self.worker.shared.plan.store(Arc::new(plan));
    }

    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, Failure> {
        self.exchange(request).await.1
    }

    /// The exchange as it is afterwards, and the answer.
    async fn exchange(&self, request: Request<Body>) -> (Exchange, Result<Response<Body>, Failure>) {
        let mut exchange = self.begin(request);
        let answer = forward(&mut exchange, &self.forward, &self.worker).await;
        (exchange, answer)
    }

    fn begin(&self, request: Request<Body>) -> Exchange {
        let (mut parts, body) = request.into_parts();
        // What the exchange promises: path and query alone.
        let target = parts.uri.path_and_query().cloned().expect("a path");
        parts.uri = target.into();
        let authority = parts.headers.remove(header::HOST).unwrap_or(HeaderValue::from_static("web.example"));
        let any = SocketAddr::from(([127, 0, 0, 1], 1));
        let client = SocketAddr::from(([192, 0, 2, 7], 4711));
        let socket = SocketKey { address: None, port: 80 };
        Exchange {
            parts,
            body,
            authority,
            host: "web.example".into(),
            client: client.ip(),
            scheme: "http",
            connection: Rc::new(Connection::new(client, any, socket, "web".into(), None)),
            plan: self.worker.plan(),
            rule: Arc::new(rule(self.forward.clone())),
            started: Instant::now(),
            record: access_log::Record::default(),
            response_steps: Vec::new(),
            permits: Vec::new(),
            trial: None,
        }
    }

    /// Status and text of the answer to a GET.
    async fn get(&self, path: &str) -> Result<(u16, String), Failure> {
        let answer = self.send(get(path)).await?;
        Ok((answer.status().as_u16(), text(answer).await))
    }

    fn idle(&self) -> usize {
        self.worker.upstream.pools.idle()
    }

    /// Sum of a count over all endpoints.
    fn count(&self, of: impl Fn(&super::EndpointState) -> u64) -> u64 {
        let mut sum = 0;
        self.worker.shared.live.upstream.for_each_endpoint(|_, _, state| sum += of(state));
        sum
    }
}

fn rule(forward: Forward) -> Rule {
    let object = ObjectId { kind: "HTTPRoute".into(), namespace: "default".into(), name: "web".into() };
    Rule {
        source: Arc::new(RuleSource { object, created: None, rule_index: 0, rule_name: None }),
        match_index: 0,
        rank: Rank { priority: 0, family: Family::Gateway },
        fallback: false,
        path: PathPattern::prefix("/").expect("a path"),
        predicates: Predicates::default(),
        except_hosts: Arc::new([]),
        action: Arc::new(Action { steps: Vec::new(), outcome: Outcome::Forward(forward) }),
    }
}

fn get(path: &str) -> Request<Body> {
    request(Method::GET, path, Body::Empty)
}

fn request(method: Method, path: &str, body: Body) -> Request<Body> {
    Request::builder().method(method).uri(path).body(body).expect("a valid request")
}

async fn text(answer: Response<Body>) -> String {
    let bytes = answer.into_body().collect().await.expect("a whole body").to_bytes();
    String::from_utf8(bytes.to_vec()).expect("text")
}

/// A backend of the test's own.
#[derive(Clone)]
struct Backend {
    address: SocketAddr,
    connections: Rc<Cell<usize>>,
    requests: Rc<Cell<usize>>,
    /// Heads as they arrived.
    heads: Rc<RefCell<Vec<String>>>,
    task: Rc<tokio::task::AbortHandle>,
}

impl Backend {
    /// Speaks whatever `speak` says on each connection; it is told how many came before.
    async fn raw<F: Future<Output = ()> + 'static>(speak: impl Fn(Peer, usize) -> F + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (connections, requests, heads) = (Rc::<Cell<usize>>::default(), Rc::default(), Rc::default());
        let (counted, seen, kept) = (connections.clone(), Rc::clone(&requests), Rc::clone(&heads));
        let task = tokio::task::spawn_local(async move {
            // Dropped with the accepting task: aborting it kills the connections too.
            let mut running = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let before = counted.replace(counted.get() + 1);
                let peer = Peer { stream, requests: Rc::clone(&seen), heads: Rc::clone(&kept) };
                running.spawn_local(speak(peer, before));
            }
        });
        Self { address, connections, requests, heads, task: Rc::new(task.abort_handle()) }
    }

    /// Answers each request with `name`.
    async fn named(name: &'static str) -> Self {
        Self::raw(move |mut peer, _| async move {
            while peer.head().await.is_some() {
                peer.answer(name).await;
            }
        })
        .await
    }

    /// An HTTP/1.1 server of hyper's.
    async fn http<F>(serve: impl Fn(Request<Incoming>) -> F + Clone + 'static) -> Self
    where
        F: Future<Output = Response<Full<Chunk>>> + 'static,
    {
        Self::raw(move |peer, _| {
            let serve = serve.clone();
            async move {
                let requests = peer.requests.clone();
                let service = service_fn(move |request| {
                    requests.set(requests.get() + 1);
                    let answer = serve(request);
                    async move { Ok::<_, std::convert::Infallible>(answer.await) }
                });
                let io = TokioIo::new(peer.stream);
                // A client that goes away is no concern of the test's.
                let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
            }
        })
        .await
    }

    /// Kills it: connections are reset, new ones refused.
    async fn kill(&self) {
        self.task.abort();
        tokio::task::yield_now().await;
        while TcpStream::connect(self.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    }
}

/// A connection as a backend sees it.
struct Peer {
    stream: TcpStream,
    requests: Rc<Cell<usize>>,
    heads: Rc<RefCell<Vec<String>>>,
}

impl Peer {
    /// Reads a head; `None` when the proxy has closed.
    async fn head(&mut self) -> Option<String> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.stream.read_u8().await.ok()?);
        }
        self.requests.set(self.requests.get() + 1);
        let head = String::from_utf8(head).expect("a head of text");
        self.heads.borrow_mut().push(head.clone());
        Some(head)
    }

    async fn body(&mut self, len: usize) -> Vec<u8> {
        let mut body = vec![0; len];
        self.stream.read_exact(&mut body).await.expect("a body");
        body
    }

    async fn answer(&mut self, text: &str) {
        self.write(&format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}", text.len())).await;
    }

    async fn write(&mut self, text: &str) {
        // What a proxy that has gone away does not read is no concern of the test's.
        let _ = self.stream.write_all(text.as_bytes()).await;
    }

    /// Closes with a reset.
    fn reset(self) {
        let stream = self.stream.into_std().expect("a socket");
        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("a socket option");
    }

    /// Keeps the connection open and says nothing.
    async fn silence(mut self) {
        let mut rest = Vec::new();
        let _ = self.stream.read_to_end(&mut rest).await;
        std::future::pending::<()>().await;
    }
}

/// A port where nobody listens.
async fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    listener.local_addr().expect("an address")
}
