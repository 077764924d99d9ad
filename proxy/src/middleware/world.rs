//! Requests through middlewares to backends on loopback, in this process, for what stands around the rest of their way.

use std::{cell::RefCell, net::SocketAddr, rc::Rc, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use postern_config::model::{
    cluster::{Balance, Cluster as Spec, ClusterSlot, Endpoint, EndpointAddress, PassiveHealth, Protocol},
    id::{ClusterId, MiddlewareId, ObjectId},
    path::PathPattern,
    route::{
        Action, Backend as Share, Family, Forward, Outcome, Predicates, Rank, Rule, RuleSource, Step, Target, Timeouts,
    },
};
use tokio::net::TcpListener;

use super::testing::{Builder, built_as, object, worker};
use crate::{
    exchange::{Body, Rest},
    plan::Plan,
    respond,
    telemetry::access_log::Record,
    upstream::Cluster,
    worker::{PlanRef, Worker},
};

/// Runs `test` as a worker runs its tasks. What hangs fails.
pub(super) fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be built");
    let limited = async { tokio::time::timeout(Duration::from_secs(30), test).await.expect("the test came to an end") };
    tokio::task::LocalSet::new().block_on(&runtime, limited)
}

/// What a backend was asked.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// A backend that answers as it is told.
pub(super) struct Backend {
    pub(super) address: SocketAddr,
    pub(super) asked: Rc<RefCell<Vec<Asked>>>,
}

/// An answer of a backend.
pub(super) fn reply(status: u16, fields: &[(&str, &str)], body: &str) -> Response<Full<Bytes>> {
    let mut builder = Response::builder().status(status);
    for (name, value) in fields {
        builder = builder.header(*name, *value);
    }
    builder.body(Full::from(body.to_owned())).expect("a valid answer")
}

impl Backend {
    /// `answer` is told how often it was asked before, and what it is asked.
    pub(super) async fn answering(answer: impl Fn(usize, &Asked) -> Response<Full<Bytes>> + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let asked: Rc<RefCell<Vec<Asked>>> = Rc::default();
        let (seen, answer) = (asked.clone(), Rc::new(answer));
        tokio::task::spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (seen, answer) = (seen.clone(), answer.clone());
                let service = service_fn(move |request: Request<Incoming>| {
                    let (seen, answer) = (seen.clone(), answer.clone());
                    async move {
                        let (parts, body) = request.into_parts();
                        let body = body.collect().await?.to_bytes();
                        let (method, target) = (parts.method.to_string(), parts.uri.to_string());
                        let asked = Asked { method, target, headers: parts.headers, body };
                        let before = seen.borrow().len();
                        seen.borrow_mut().push(asked.clone());
                        Ok::<_, hyper::Error>(answer(before, &asked))
                    }
                });
                let connection = hyper::server::conn::http1::Builder::new()
                    .timer(TokioTimer::new())
                    .serve_connection(TokioIo::new(stream), service);
                tokio::task::spawn_local(async move { drop(connection.await) });
            }
        });
        Self { address, asked }
    }

    /// One that always answers the same.
    pub(super) async fn saying(status: u16, fields: &'static [(&str, &str)], body: &'static str) -> Self {
        Self::answering(move |_, _| reply(status, fields, body)).await
    }

    /// An address where nobody listens.
    pub(super) async fn nobody() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        listener.local_addr().expect("it is bound")
    }

    pub(super) fn count(&self) -> usize {
        self.asked.borrow().len()
    }

    pub(super) fn last(&self) -> Asked {
        self.asked.borrow().last().cloned().expect("the backend was asked")
    }
}

/// One worker, one rule with middlewares, one backend, and a Service `pages`.
pub(super) struct World {
    pub(super) worker: Rc<Worker>,
    plan: PlanRef,
    rule: Arc<Rule>,
}

/// What a client gets, and what is noted of it.
pub(super) struct Got {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
    pub(super) record: Record,
}

impl World {
    /// A rule whose middlewares are of these YAMLs, outermost first.
    pub(super) fn new(middlewares: &[&str], backend: SocketAddr, pages: SocketAddr) -> Self {
        let worker = worker();
        let mut world = Self { worker, plan: Rc::new(Arc::new(Plan::default())), rule: rule("r", Vec::new()) };
        world.configure(middlewares, backend, pages);
        world
    }

    /// Another configuration of the same node.
    pub(super) fn configure(&mut self, middlewares: &[&str], backend: SocketAddr, pages: SocketAddr) {
        let live = &self.worker.shared.live;
        let service = object_service();
        let mut plan = Plan::default();
        let mut steps = Vec::new();
        for (at, yaml) in middlewares.iter().enumerate() {
            let id = MiddlewareId::new(format!("default/m{at}"));
            let slot = built_as(&id, yaml, vec![service()], &live.middleware);
            plan.middlewares.insert(id.clone(), Arc::new(slot));
            steps.push(Step::Middleware(id));
        }
        for (name, address) in [("default/web:80", backend), ("default/pages:80", pages)] {
            let id = ClusterId::new(name);
            let cluster = Cluster::build(&id, &Arc::new(ClusterSlot::Ready(cluster(&id, address))), &live.upstream);
            plan.clusters.insert(id, Arc::new(cluster));
        }
        (self.plan, self.rule) = (Rc::new(Arc::new(plan)), rule("r", steps));
    }

    /// The same node, asked by another rule of the same configuration.
    pub(super) fn by_another_rule(mut self) -> Self {
        self.rule = rule("other", self.rule.action.steps.clone());
        self
    }

    pub(super) async fn ask(&self, request: Builder) -> Got {
        let mut exchange = request.build();
        (exchange.plan, exchange.rule) = (self.plan.clone(), self.rule.clone());
        let answered = Rest::default().run(&mut exchange, &self.worker).await;
        let mut response = answered.unwrap_or_else(|failure| {
            exchange.record.reason = Some(failure.reason());
            respond::answer_as(&failure, false)
        });
        exchange.unwind(0, &mut response, &self.worker).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("a whole answer").to_bytes();
        Got {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: String::from_utf8_lossy(&body).into_owned(),
            record: exchange.record,
        }
    }
}

impl World {
    /// Answers a request that came over a connection.
    pub(super) async fn serve(&self, request: Request<Incoming>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let mut exchange = super::testing::exchange("GET", "http://a/").body(Body::Incoming(body)).build();
        exchange.parts = parts;
        (exchange.plan, exchange.rule) = (self.plan.clone(), self.rule.clone());
        let answered = Rest::default().run(&mut exchange, &self.worker).await;
        let mut response = answered.unwrap_or_else(|failure| respond::answer_as(&failure, false));
        exchange.unwind(0, &mut response, &self.worker).await;
        response
    }
}

impl Got {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value: &HeaderValue| value.to_str().expect("text"))
    }
}

fn object_service() -> impl Fn() -> postern_config::kubernetes::object::Object {
    || {
        let body = serde_json::json!({ "spec": { "ports": [{ "port": 80 }] } });
        object(postern_config::kubernetes::object::Kind::Service, "pages", body)
    }
}

fn cluster(id: &ClusterId, address: SocketAddr) -> Spec {
    Spec {
        id: id.clone(),
        endpoints: vec![Endpoint { address: EndpointAddress::Socket(address), weight: 1, draining: false }],
        protocol: Protocol::Http,
        tls: None,
        balance: Balance::RoundRobin,
        sticky: None,
        health: None,
        passive: PassiveHealth::default(),
        pass_host: true,
        connect_timeout: None,
    }
}

fn rule(name: &str, steps: Vec<Step>) -> Arc<Rule> {
    let object = ObjectId { kind: "Route".into(), namespace: "default".into(), name: name.into() };
    let target = Target::Cluster(ClusterId::new("default/web:80"));
    let forward = Forward {
        backends: vec![Share { target, weight: 1, filters: Vec::new() }],
        unresolved: StatusCode::SERVICE_UNAVAILABLE,
        timeouts: Timeouts::default(),
        retry: None,
    };
    Arc::new(Rule {
        source: Arc::new(RuleSource { object, created: None, rule_index: 0, rule_name: None }),
        match_index: 0,
        rank: Rank { priority: 0, family: Family::Gateway },
        fallback: false,
        path: PathPattern::prefix("/").expect("a valid prefix"),
        predicates: Predicates::default(),
        except_hosts: Arc::default(),
        action: Arc::new(Action { steps, outcome: Outcome::Forward(forward) }),
    })
}
