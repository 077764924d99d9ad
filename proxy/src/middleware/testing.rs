//! Exchanges without a connection, middlewares from what users write, and a worker to run them on.

use std::{
    net::SocketAddr,
    rc::Rc,
    sync::{Arc, atomic::AtomicBool},
};

use arc_swap::ArcSwap;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri};
use jiff::Timestamp;
use postern_config::{
    kubernetes::{
        convert::{Settings as ConvertSettings, middleware::convert},
        object::{Item, Kind, Meta, Object, traefik},
        store::Store,
        view::{Holders, View},
    },
    model::{
        id::{MiddlewareId, ObjectId},
        path::PathPattern,
        route::{Action, Family, Outcome, Predicates, Rank, Rule, RuleSource},
    },
    snapshot::SocketKey,
};
use rustls_pki_types::CertificateDer;
use tokio::time::Instant;

use super::{Live, Middleware, Slot};
use crate::{
    exchange::{Body, Connection, Exchange, Flow, TlsSession},
    plan::{self, Plan},
    settings::Settings,
    telemetry::{access_log, metrics::Metrics},
    worker::{Inside, Shared, Worker},
};

/// A middleware from the YAML of its `spec`.
pub(super) fn spec(yaml: &str) -> Middleware {
    spec_in(yaml, &Live::default())
}

/// The same, with live state.
pub(super) fn spec_in(yaml: &str, live: &Live) -> Middleware {
    built(yaml, Vec::new(), live)
}

/// The same beside a Secret `users` that holds `file`.
pub(super) fn spec_beside_secret(yaml: &str, file: &str) -> Middleware {
    let secret = object(Kind::Secret, "users", serde_json::json!({ "stringData": { "users": file } }));
    built(yaml, vec![secret], &Live::default())
}

/// basicAuth with the users of `file` and further `options`.
pub(super) fn spec_with_users(file: &str, options: &str) -> Middleware {
    spec_beside_secret(&format!("basicAuth: {{secret: users{options}}}"), file)
}

pub(super) fn object(kind: Kind, name: &str, body: serde_json::Value) -> Object {
    let meta = serde_json::json!({ "name": name, "namespace": "default" });
    let meta: Meta = serde_json::from_value(meta).expect("readable metadata");
    Object::deserialize(kind, meta, body).expect("a readable object")
}

fn built(yaml: &str, others: Vec<Object>, live: &Live) -> Middleware {
    match built_as(&MiddlewareId::new("default/m"), yaml, others, live) {
        Slot::Ready(middleware) => middleware,
        Slot::Closed { reason } => panic!("{yaml} is refused: {reason}"),
    }
}

/// The slot `id` of a YAML `spec` beside `others`.
pub(super) fn built_as(id: &MiddlewareId, yaml: &str, others: Vec<Object>, live: &Live) -> Slot {
    let spec: serde_json::Value = serde_saphyr::from_str(yaml).expect("valid YAML");
    let mut store = Store::default();
    for object in others.into_iter().chain([object(Kind::Middleware, "m", serde_json::json!({ "spec": spec }))]) {
        store.insert(object);
    }
    let settings = ConvertSettings::for_files(Timestamp::UNIX_EPOCH);
    let holders = Holders::default();
    let view = View::new(&store, &holders);
    let item: &Arc<Item<traefik::Middleware>> = view.get("default", "m").expect("it was inserted");
    let (slot, _, _) = convert(item, &view, &settings);
    Slot::build(id, &slot, live)
}

fn session(client_certificates: Vec<CertificateDer<'static>>) -> TlsSession {
    TlsSession { server_name: None, entry: None, version: "1.3", cipher: "x", client_certificates }
}

/// Makes it one of a connection whose client has shown these.
pub(super) fn client_certificates(exchange: &mut Exchange, shown: Vec<CertificateDer<'static>>) {
    let held = &exchange.connection;
    let (peer, local, socket) = (held.peer, held.local, held.socket);
    exchange.connection = Rc::new(Connection::new(peer, local, socket, "web".into(), Some(session(shown))));
}

/// An exchange in the making.
pub(super) struct Builder {
    request: http::request::Builder,
    uri: Uri,
    client: String,
    body: Body,
}

/// A request of `method` for an absolute URL; `https` came over TLS.
pub(super) fn exchange(method: &str, url: &str) -> Builder {
    let uri: Uri = url.parse().expect("a valid URL");
    let target = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str).to_owned();
    let request = Request::builder().method(method).uri(target);
    Builder { request, uri, client: "192.0.2.1".to_owned(), body: Body::Empty }
}

impl Builder {
    pub(super) fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    pub(super) fn from(mut self, client: &str) -> Self {
        client.clone_into(&mut self.client);
        self
    }

    pub(super) fn body(mut self, body: Body) -> Self {
        self.body = body;
        self
    }

    pub(super) fn build(self) -> Exchange {
        let (parts, ()) = self.request.body(()).expect("a valid request").into_parts();
        let peer = SocketAddr::new(self.client.parse().expect("an address"), 1234);
        let tls = self.uri.scheme_str() == Some("https");
        let session = session(Vec::new());
        let socket = SocketKey { address: None, port: if tls { 443 } else { 80 } };
        let connection = Connection::new(peer, peer, socket, "web".into(), tls.then_some(session));
        let authority = self.uri.authority().map_or("", http::uri::Authority::as_str);
        Exchange {
            parts,
            body: self.body,
            authority: HeaderValue::from_str(authority).expect("a valid host"),
            host: self.uri.host().unwrap_or_default().to_ascii_lowercase().into(),
            client: peer.ip(),
            scheme: if tls { "https" } else { "http" },
            connection: Rc::new(connection),
            plan: Rc::new(Arc::new(Plan::default())),
            rule: rule(),
            started: Instant::now(),
            record: access_log::Record::default(),
            response_steps: Vec::new(),
            permits: Vec::new(),
            trial: None,
        }
    }
}

fn rule() -> Arc<Rule> {
    let object = ObjectId { kind: "Route".into(), namespace: "default".into(), name: "r".into() };
    let outcome = Outcome::Closed { status: StatusCode::SERVICE_UNAVAILABLE, reason: "none".into() };
    Arc::new(Rule {
        source: Arc::new(RuleSource { object, created: None, rule_index: 0, rule_name: None }),
        match_index: 0,
        rank: Rank { priority: 0, family: Family::Gateway },
        fallback: false,
        path: PathPattern::prefix("/").expect("a valid prefix"),
        predicates: Predicates::default(),
        except_hosts: Arc::default(),
        action: Arc::new(Action { steps: Vec::new(), outcome }),
    })
}

/// A worker with an empty plan.
pub(super) fn worker() -> Rc<Worker> {
    let shared = Shared {
        plan: Arc::new(ArcSwap::from_pointee(Plan::default())),
        settings: Arc::new(Settings::default()),
        server_name: HeaderValue::from_static("node"),
        live: plan::Live::default(),
        metrics: Arc::new(Metrics::new(1)),
        offload: tokio::runtime::Handle::current(),
        observing: AtomicBool::new(false),
        inside: Inside::default(),
    };
    Rc::new(Worker::new(0, Arc::new(shared), access_log::Queue::default()))
}

/// What the middleware answers itself, if it does.
pub(super) async fn answered(middleware: &Middleware, exchange: &mut Exchange) -> Option<Response<Body>> {
    match middleware.on_request(exchange, &worker()).await {
        Flow::Continue => None,
        Flow::Answer(response) => Some(response),
    }
}

/// The same, of middlewares that wait for nothing.
pub(super) fn handled(middleware: &Middleware, exchange: &mut Exchange) -> Option<Response<Body>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be built");
    runtime.block_on(answered(middleware, exchange))
}

/// The status of what the middleware answers itself.
pub(super) fn status(middleware: &Middleware, exchange: &mut Exchange) -> Option<u16> {
    handled(middleware, exchange).map(|response| response.status().as_u16())
}

/// Status and Location of a redirect.
pub(super) fn redirected(middleware: &Middleware, exchange: &mut Exchange) -> Option<(u16, String)> {
    let response = handled(middleware, exchange)?;
    let location = response.headers().get("location").expect("a redirect names where to");
    Some((response.status().as_u16(), location.to_str().expect("text").to_owned()))
}

/// Path and query (or the status of a refusal) and the header fields that the backend sees of a GET for `target`.
pub(super) fn rewritten(yaml: &str, target: &str) -> (Result<String, u16>, HeaderMap) {
    let mut exchange = exchange("GET", &format!("http://example.com{target}")).build();
    let status = status(&spec(yaml), &mut exchange);
    let target = status.map_or_else(|| Ok(exchange.parts.uri.to_string()), Err);
    (target, exchange.parts.headers)
}

/// The backend's answer as the client gets it.
pub(super) fn answer(
    middleware: &Middleware,
    mut exchange: Exchange,
    status: u16,
    fields: &[(&'static str, &'static str)],
    body: String,
) -> Response<Body> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be built");
    runtime.block_on(async {
        assert!(answered(middleware, &mut exchange).await.is_none(), "the backend is asked");
        let mut response = Response::builder().status(status).body(Body::from(body)).expect("a valid answer");
        for (name, value) in fields {
            response.headers_mut().append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        finish(&mut exchange, &mut response).await;
        response
    })
}

/// Runs the steps that middlewares left for the answer.
pub(super) async fn finish(exchange: &mut Exchange, response: &mut Response<Body>) {
    exchange.unwind(0, response, &worker()).await;
}

/// [`answer`]'s header fields, sorted by name.
pub(super) fn answer_headers(
    middleware: &Middleware,
    exchange: Exchange,
    fields: &[(&'static str, &'static str)],
) -> String {
    shown(answer(middleware, exchange, 200, fields, String::new()).headers())
}

/// Header fields sorted by name.
pub(super) fn shown(headers: &HeaderMap) -> String {
    let mut lines: Vec<_> =
        headers.iter().map(|(name, value)| (name.as_str(), value.to_str().expect("text"))).collect();
    lines.sort_by_key(|(name, _)| *name);
    lines.into_iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>().join("; ")
}
