//! One request from its head to its answer: prepare, match, run the steps, forward, finish.
//!
//! Each part is a function of its own below; nothing here knows how bytes arrive or how a backend is reached.

use std::{net::IpAddr, rc::Rc, sync::Arc};

use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header, request::Parts};
use hyper::body::Incoming;
use postern_config::{
    model::route::Rule,
    snapshot::{Listener, Observer, RequestKey, Snapshot, SniAction, SniEntry},
};

use super::{
    Body, Connection, Exchange, RequestHost, Rest, authority, completion::Completion, filter, forwarded, normalise,
};
use crate::{respond::Failure, settings::Trust, worker::Worker};

/// Answers one request. Whatever becomes of it is counted and logged when the answer has ended.
///
/// What can be decided at once is done at once: hyper moves the future to its place, so the less it holds the better.
pub fn serve(
    request: Request<Incoming>,
    connection: Rc<Connection>,
    worker: Rc<Worker>,
) -> impl Future<Output = Response<Body>> + 'static {
    let mut underway = Underway::begin(request, connection, worker);
    async move { underway.answer().await }
}

/// A request between its head and the head of its answer.
struct Underway {
    /// The request with its rule, or why there is none.
    admitted: Result<Exchange, Failure>,
    /// Its way.
    rest: Rest,
    /// Gone with the answer.
    completion: Option<Box<Completion>>,
    worker: Rc<Worker>,
}

impl Underway {
    fn begin(request: Request<Incoming>, connection: Rc<Connection>, worker: Rc<Worker>) -> Box<Self> {
        let (parts, body) = request.into_parts();
        let mut completion = Completion::begin(&parts, &connection, &worker);
        let admitted = admit(parts, body, connection, &worker, &mut completion);
        Box::new(Self { admitted, rest: Rest::default(), completion: Some(completion), worker })
    }

    async fn answer(&mut self) -> Response<Body> {
        let answered = match &mut self.admitted {
            Ok(exchange) => self.rest.run(exchange, &self.worker).await,
            Err(failure) => Err(failure.clone()),
        };
        let mut completion = self.reclaim().expect("a request is answered once");
        let mut response = answered.unwrap_or_else(|failure| completion.fail(&failure));
        if let Ok(exchange) = &mut self.admitted {
            exchange.unwind(0, &mut response, &self.worker).await;
        }
        completion.watch(response)
    }

    /// Takes the completion, with what the exchange has noted for it.
    fn reclaim(&mut self) -> Option<Box<Completion>> {
        let mut completion = self.completion.take()?;
        if let Ok(exchange) = &mut self.admitted {
            completion.record = std::mem::take(&mut exchange.record);
            completion.permits = std::mem::take(&mut exchange.permits);
        }
        Some(completion)
    }
}

impl Drop for Underway {
    /// The client has gone before there was an answer: that too is counted and logged, with what is known.
    fn drop(&mut self) {
        if let Some(mut completion) = self.reclaim() {
            completion.abandon();
        }
    }
}

/// Cleans the head and finds its rule.
fn admit(
    mut parts: Parts,
    body: Incoming,
    connection: Rc<Connection>,
    worker: &Worker,
    completion: &mut Completion,
) -> Result<Exchange, Failure> {
    let shared = &worker.shared;
    let prepared = prepare(&mut parts, &connection, &shared.settings.trust, &shared.server_name)?;
    let plan = worker.plan();
    let rule = choose(&plan.snapshot, &parts, &prepared, &connection, &mut ())?;
    completion.rule = Some(rule.clone());
    completion.client = prepared.client;
    Ok(Exchange {
        parts,
        body: completion.count(body),
        authority: prepared.host.written,
        host: prepared.host.name,
        client: prepared.client,
        scheme: if connection.tls.is_some() { "https" } else { "http" },
        connection,
        plan,
        rule,
        started: completion.started(),
        record: std::mem::take(&mut completion.record),
        response_steps: Vec::new(),
        permits: Vec::new(),
        trial: None,
    })
}

/// What the rest needs to know of a head once it has been cleaned.
pub struct Prepared {
    /// Whom it is for.
    pub host: RequestHost,
    /// Address that limits and lists judge.
    pub client: IpAddr,
}

/// Cleans the head in place: host, path, forwarded fields. `explain` asks the same.
pub fn prepare(
    parts: &mut Parts,
    connection: &Connection,
    trust: &Trust,
    server_name: &HeaderValue,
) -> Result<Prepared, Failure> {
    accept_connect(parts)?;
    let host = authority::take(parts)?;
    normalise_target(parts)?;
    let mut held = forwarded::Held::by(&parts.headers);
    let client = forwarded::clean(parts, &mut held, connection, trust);
    forwarded::complete(&mut parts.headers, held, connection, &host, server_name);
    Ok(Prepared { host, client })
}

/// RFC 8441: an extended CONNECT for a WebSocket is routed, judged and forwarded as the GET upgrade that it stands for;
/// `upstream` knows it by the protocol that stays among the extensions. No other CONNECT is served.
fn accept_connect(parts: &mut Parts) -> Result<(), Failure> {
    if parts.method != Method::CONNECT {
        return Ok(());
    }
    match parts.extensions.get::<hyper::ext::Protocol>() {
        Some(protocol) if protocol.as_str() == "websocket" => {
            parts.method = Method::GET;
            parts.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            parts.headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
            Ok(())
        }
        _ => {
            let reason = "CONNECT is served for WebSockets alone".to_owned();
            Err(Failure::Refused { status: StatusCode::NOT_IMPLEMENTED, reason })
        }
    }
}

/// Leaves path and query alone in the URI, the path in its one form.
fn normalise_target(parts: &mut Parts) -> Result<(), Failure> {
    let path = match parts.uri.path() {
        "" => "/",
        path => path,
    };
    let normal = normalise::normalise(path).map_err(|refused| Failure::BadRequest(refused.as_str()))?;
    if normal == parts.uri.path() && parts.uri.authority().is_none() {
        return Ok(());
    }
    let uri: Option<Uri> = filter::with_path(&parts.uri, &normal);
    parts.uri = uri.ok_or(Failure::BadRequest("invalid path"))?;
    Ok(())
}

/// The rule that serves the request. `explain` asks the same, with an observer of the look-up.
pub(crate) fn choose<O: Observer>(
    snapshot: &Snapshot,
    parts: &Parts,
    prepared: &Prepared,
    connection: &Connection,
    observer: &mut O,
) -> Result<Arc<Rule>, Failure> {
    let none = || if snapshot.incomplete { Failure::Incomplete } else { Failure::NoRoute };
    let listener = snapshot.listeners.get(&connection.socket).ok_or_else(none)?;
    if is_misdirected(listener, connection, &prepared.host.name) {
        return Err(Failure::Misdirected);
    }
    let key = RequestKey {
        host: &prepared.host.name,
        path: parts.uri.path(),
        query: parts.uri.query(),
        method: &parts.method,
        headers: &parts.headers,
        peer: connection.peer.ip(),
    };
    listener.find_observed(key, observer).cloned().ok_or_else(none)
}

/// RFC 9110 section 15.5.20 and Gateway API GEP-3567: a connection made for one host must not carry requests for a
/// host whose certificate or policy is another. A client that sent no server name is not held to one.
fn is_misdirected(listener: &Listener, connection: &Connection, host: &str) -> bool {
    let Some(tls) = &connection.tls else { return false };
    let Some(server_name) = &tls.server_name else { return false };
    if **server_name == *host {
        return false;
    }
    match (&tls.entry, listener.sni.find(Some(host))) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(made_for), Some(asked)) => !Arc::ptr_eq(made_for, asked) && !share_connections(made_for, asked),
    }
}

/// Entries are named after a listener, or else after the certificate that ends TLS.
fn share_connections(a: &SniEntry, b: &SniEntry) -> bool {
    a.owner == b.owner && matches!((&a.action, &b.action), (SniAction::Terminate(_), SniAction::Terminate(_)))
}

#[cfg(test)]
mod tests {
    use postern_config::{
        model::{
            host::HostPattern,
            id::{CertificateId, ObjectId},
        },
        snapshot::OwnerId,
    };

    use super::*;

    fn entry(kind: &str, name: &str, section: &str, certificates: &[&str]) -> SniEntry {
        let object = ObjectId { kind: kind.into(), namespace: "default".into(), name: name.into() };
        SniEntry {
            pattern: HostPattern::Any,
            owner: OwnerId { object, section: section.into() },
            action: SniAction::Terminate(certificates.iter().map(|id| CertificateId::new(*id)).collect()),
        }
    }

    #[test]
    fn hosts_of_one_certificate_share_connections_whatever_stands_in_for_it() {
        let alone = entry("Secret", "wild", "", &["wild"]);
        let helped = entry("Secret", "wild", "", &["wild", "copy"]);
        let other = entry("Secret", "copy", "", &["copy"]);
        assert!(share_connections(&alone, &helped));
        assert!(!share_connections(&helped, &other));
    }

    #[test]
    fn listeners_stand_for_themselves_even_with_one_certificate() {
        let one = entry("Gateway", "edge", "one", &["wild"]);
        let other = entry("Gateway", "edge", "other", &["wild"]);
        assert!(share_connections(&one, &one.clone()));
        assert!(!share_connections(&one, &other));
    }

    /// hyper moves the future of each request to its place, and keeps that room in each connection, idle ones too.
    #[test]
    fn the_future_of_a_request_stays_small() {
        fn size<A, B, C, R>(_: impl Fn(A, B, C) -> R) -> usize {
            size_of::<R>()
        }
        let bytes = size(serve);
        assert!(bytes <= 1_480, "{bytes} bytes: box what waits seldom, pin in place what is awaited by several");
    }
}
