//! Probes: an HTTP GET to each endpoint of a cluster that asks for it, with the TLS settings of its requests.
//!
//! One task per cluster on the control runtime, one probe at a time per endpoint. A cluster's probes end when no plan
//! has it any more.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, Uri, header, uri::Scheme};
use http_body_util::Empty;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use postern_config::model::{
    cluster::{ActiveHealth, EndpointAddress, Protocol},
    id::ClusterId,
};
use tokio::{sync::Notify, task::JoinSet, time::timeout};

use crate::{
    upstream::{
        attempt::parse_server_name,
        cluster::Member,
        connect::{Dialer, Stream, Target},
        live::{EndpointState, lock},
        tls::Connector,
    },
    worker::Shared,
};

/// What the probes of one build of a cluster need.
#[derive(Debug)]
pub(in crate::upstream) struct Probes {
    health: ActiveHealth,
    protocol: Protocol,
    tls: Option<Arc<Connector>>,
    targets: Vec<Probed>,
}

#[derive(Debug)]
struct Probed {
    /// Where the endpoint is, and where it is probed.
    address: EndpointAddress,
    at: EndpointAddress,
    host: HeaderValue,
    state: Arc<EndpointState>,
}

/// The probes that should run, by cluster.
#[derive(Debug, Default)]
pub(in crate::upstream) struct ProbeTable {
    probes: Mutex<HashMap<ClusterId, Weak<Probes>>>,
    changed: Notify,
}

impl ProbeTable {
    /// Replaces what runs for `id`.
    pub(in crate::upstream) fn set(&self, id: &ClusterId, probes: Option<&Arc<Probes>>) {
        let before = {
            let mut table = lock(&self.probes);
            match probes {
                Some(probes) => table.insert(id.clone(), Arc::downgrade(probes)),
                None => table.remove(id),
            }
        };
        if before.is_some() || probes.is_some() {
            self.changed.notify_one();
        }
    }
}

impl Probes {
    pub(in crate::upstream) fn new(
        health: &ActiveHealth,
        protocol: Protocol,
        tls: Option<Arc<Connector>>,
        members: &[Member],
    ) -> Arc<Self> {
        let targets = members.iter().map(|member| Probed::new(member, health)).collect();
        Arc::new(Self { health: health.clone(), protocol, tls, targets })
    }
}

impl Probed {
    fn new(member: &Member, health: &ActiveHealth) -> Self {
        let at = match (&member.address, health.port) {
            (address, None) => address.clone(),
            (EndpointAddress::Socket(address), Some(port)) => {
                EndpointAddress::Socket(std::net::SocketAddr::new(address.ip(), port))
            }
            (EndpointAddress::Name(name, _), Some(port)) => EndpointAddress::Name(name.clone(), port),
        };
        let host = health.host.as_deref().and_then(|host| HeaderValue::from_str(host).ok());
        Self {
            address: member.address.clone(),
            at,
            host: host.unwrap_or_else(|| member.host.clone()),
            state: member.state.clone(),
        }
    }
}

/// Runs the probes that the plans ask for, until it is dropped. To be spawned once, on the control runtime.
pub async fn run(shared: Arc<Shared>) {
    let table = &shared.live.upstream.probes;
    let mut running: HashMap<ClusterId, (Weak<Probes>, tokio::task::AbortHandle)> = HashMap::new();
    let mut tasks = JoinSet::new();
    loop {
        let wanted = {
            let mut probes = lock(&table.probes);
            probes.retain(|_, probes| probes.strong_count() > 0);
            probes.clone()
        };
        running.retain(|id, (probes, task)| {
            let stays = wanted.get(id).is_some_and(|wanted| Weak::ptr_eq(wanted, probes));
            if !stays {
                task.abort();
            }
            stays
        });
        for (id, probes) in wanted {
            running.entry(id.clone()).or_insert_with(|| {
                let task = tasks.spawn(probe_cluster(shared.clone(), id, probes.clone()));
                (probes, task)
            });
        }
        tokio::select! {
            () = table.changed.notified() => {}
            Some(_) = tasks.join_next(), if !tasks.is_empty() => {}
        }
    }
}

/// Ends with the last plan that has the cluster.
async fn probe_cluster(shared: Arc<Shared>, id: ClusterId, probes: Weak<Probes>) {
    let mut streaks: Vec<Streak> = Vec::new();
    let mut first = true;
    loop {
        let Some(current) = probes.upgrade() else { return };
        let interval = current.health.interval.max(Duration::from_millis(100));
        // Spread, so that clusters and nodes do not all probe at one moment; the first round begins soon.
        let pause = jittered(if first { interval.min(Duration::from_secs(1)) / 4 } else { interval }, rand::random());
        first = false;
        drop(current);
        tokio::time::sleep(pause).await;
        let Some(current) = probes.upgrade() else { return };
        streaks.resize_with(current.targets.len(), Streak::default);
        let mut round = JoinSet::new();
        for index in 0..current.targets.len() {
            let (shared, current) = (shared.clone(), current.clone());
            round.spawn(async move { (index, probe(&shared, &current, index).await) });
        }
        while let Some(done) = round.join_next().await {
            let Ok((index, outcome)) = done else { continue };
            if let (Some(streak), Some(target)) = (streaks.get_mut(index), current.targets.get(index)) {
                note(&id, &current.health, streak, target, outcome);
            }
        }
    }
}

/// Between 90 and 110 percent of `interval`.
fn jittered(interval: Duration, random: u16) -> Duration {
    interval.mul_f64(0.9 + 0.2 * f64::from(random) / f64::from(u16::MAX))
}

fn note(id: &ClusterId, health: &ActiveHealth, streak: &mut Streak, target: &Probed, outcome: Result<(), String>) {
    let unhealthy = target.state.is_unhealthy();
    let Some(healthy) = streak.note(outcome.is_ok(), !unhealthy, health) else { return };
    target.state.set_unhealthy(!healthy);
    let address = match &target.address {
        EndpointAddress::Socket(address) => address.to_string(),
        EndpointAddress::Name(name, port) => format!("{name}:{port}"),
    };
    match outcome {
        Ok(()) => tracing::info!(cluster = %id, endpoint = %address, "the endpoint is healthy again"),
        Err(reason) => tracing::warn!(cluster = %id, endpoint = %address, %reason, "the endpoint is unhealthy"),
    }
}

/// Probes in a row that contradict what the endpoint is taken for.
#[derive(Debug, Default)]
struct Streak(u32);

impl Streak {
    /// Notes an outcome; the new verdict, when it changes.
    fn note(&mut self, success: bool, healthy: bool, health: &ActiveHealth) -> Option<bool> {
        if success == healthy {
            self.0 = 0;
            return None;
        }
        self.0 += 1;
        let needed = if success { health.healthy_after } else { health.unhealthy_after };
        if self.0 < needed.max(1) {
            return None;
        }
        self.0 = 0;
        Some(success)
    }
}

async fn probe(shared: &Shared, probes: &Probes, index: usize) -> Result<(), String> {
    let Some(target) = probes.targets.get(index) else { return Ok(()) };
    let limit = probes.health.timeout;
    match timeout(limit, status(shared, probes, target)).await {
        Err(_) => Err(format!("no answer within {limit:?}")),
        Ok(Err(reason)) => Err(reason),
        Ok(Ok(status)) => judge(status, probes.health.status),
    }
}

fn judge(status: StatusCode, wanted: Option<StatusCode>) -> Result<(), String> {
    let good = match wanted {
        Some(wanted) => status == wanted,
        None => status.is_success() || status.is_redirection(),
    };
    if good { Ok(()) } else { Err(format!("status {}", status.as_u16())) }
}

async fn status(shared: &Shared, probes: &Probes, target: &Probed) -> Result<StatusCode, String> {
    let tls = match &probes.tls {
        None => None,
        Some(connector) => {
            let name = match connector.server_name() {
                Some(name) => name.clone(),
                None => {
                    let host = target.host.to_str().unwrap_or_default();
                    parse_server_name(crate::upstream::attempt::host_of(host)).map_err(|error| error.to_string())?
                }
            };
            Some((connector.configuration(false), name))
        }
    };
    let control = tokio::runtime::Handle::current();
    let dialer = Dialer { resolver: &shared.live.upstream.resolver, control: &control };
    let connect = dialer.connect(Target { address: &target.at, tls, timeout: probes.health.timeout });
    let (stream, _) = connect.await.map_err(|error| error.to_string())?;
    let http2 = probes.protocol == Protocol::Http2 || stream.is_http2();
    let request = request(probes, target, http2)?;
    let sent = if http2 { ask_http2(stream, request).await } else { ask_http1(stream, request).await };
    sent.map_err(|error| crate::upstream::attempt::chain(&error))
}

fn request(probes: &Probes, target: &Probed, http2: bool) -> Result<Request<Empty<Bytes>>, String> {
    let path = &*probes.health.path;
    let mut request = Request::get(path).header(header::USER_AGENT, "postern-health");
    if http2 {
        let scheme = if probes.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP };
        let uri = Uri::builder().scheme(scheme).authority(target.host.as_bytes()).path_and_query(path);
        request = request.uri(uri.build().map_err(|error| error.to_string())?);
    } else {
        request = request.header(header::HOST, target.host.clone());
    }
    request.body(Empty::new()).map_err(|error| error.to_string())
}

async fn ask_http1(stream: Stream, request: Request<Empty<Bytes>>) -> hyper::Result<StatusCode> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let answer = async { sender.send_request(request).await.map(|response| response.status()) };
    drive(connection, answer).await
}

async fn ask_http2(stream: Stream, request: Request<Empty<Bytes>>) -> hyper::Result<StatusCode> {
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    let answer = async { sender.send_request(request).await.map(|response| response.status()) };
    drive(connection, answer).await
}

/// Runs the connection for as long as the answer takes.
async fn drive<T>(
    connection: impl Future<Output = hyper::Result<()>>,
    answer: impl Future<Output = hyper::Result<T>>,
) -> hyper::Result<T> {
    let (connection, answer) = (std::pin::pin!(connection), std::pin::pin!(answer));
    match futures_util::future::select(answer, connection).await {
        futures_util::future::Either::Left((answer, _)) => answer,
        // The connection has ended: what it has to say is in the answer.
        futures_util::future::Either::Right((_, answer)) => answer.await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health() -> ActiveHealth {
        ActiveHealth {
            path: "/healthz".into(),
            host: None,
            port: None,
            interval: Duration::from_secs(30),
            timeout: Duration::from_secs(5),
            status: None,
            healthy_after: 2,
            unhealthy_after: 3,
        }
    }

    #[test]
    fn a_verdict_changes_after_so_many_contradictions_in_a_row() {
        let health = health();
        let mut streak = Streak::default();
        assert_eq!(streak.note(false, true, &health), None);
        assert_eq!(streak.note(false, true, &health), None);
        assert_eq!(streak.note(true, true, &health), None, "a success in between starts anew");
        assert_eq!(streak.note(false, true, &health), None);
        assert_eq!(streak.note(false, true, &health), None);
        assert_eq!(streak.note(false, true, &health), Some(false));
        assert_eq!(streak.note(true, false, &health), None);
        assert_eq!(streak.note(true, false, &health), Some(true));
    }

    #[test]
    fn success_is_2xx_and_3xx_unless_one_status_is_asked_for() {
        for (status, wanted, good) in [
            (200, None, true),
            (302, None, true),
            (404, None, false),
            (500, None, false),
            (401, Some(401), true),
            (200, Some(204), false),
        ] {
            let status = StatusCode::from_u16(status).expect("a status");
            let wanted = wanted.map(|wanted| StatusCode::from_u16(wanted).expect("a status"));
            assert_eq!(judge(status, wanted).is_ok(), good, "{status} {wanted:?}");
        }
    }

    #[test]
    fn probes_are_spread_by_a_tenth() {
        let interval = Duration::from_secs(10);
        assert_eq!(jittered(interval, 0), Duration::from_secs(9));
        assert_eq!(jittered(interval, u16::MAX), Duration::from_secs(11));
    }
}
