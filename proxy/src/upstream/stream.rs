//! Bytes to an endpoint, for TLS passthrough and for TLS that ends here while bytes go on.

use std::rc::Rc;

use http::{HeaderMap, Uri};
use postern_config::model::route::Forward;

use super::{
    attempt::{dial, judge_connect},
    cluster::{Asking, Member, Ready},
    connect::{ConnectError, Dialer, Stream, Target},
    forward::{choose_backend, resolve},
    retry::Trouble,
};
use crate::{plan::Plan, respond::Failure, socket::Socket, worker::Worker};

/// A byte stream to an endpoint that `forward` chooses, for TLS passthrough. The TLS settings of the cluster do not
/// matter: the client's own handshake goes through.
pub async fn connect(plan: &Plan, forward: &Forward, worker: &Rc<Worker>) -> Result<Socket, Failure> {
    let (_, backend) = choose_backend(forward, worker)?;
    let cluster = resolve(plan, forward, backend)?;
    let connected = try_endpoints(cluster, worker, async |member| connect_plain(cluster, member, worker).await).await?;
    match connected {
        Stream::Plain(stream) => Ok(stream),
        Stream::Tls(_) => Err(Failure::Unreachable("a plaintext connection came up in TLS".into())),
    }
}

/// A stream to an endpoint that `forward` chooses, inside TLS where the cluster asks for it. `server_name` stands in
/// where the cluster's setting names none.
pub async fn connect_terminated(
    plan: &Plan,
    forward: &Forward,
    server_name: Option<&str>,
    worker: &Rc<Worker>,
) -> Result<Stream, Failure> {
    let (_, backend) = choose_backend(forward, worker)?;
    let cluster = resolve(plan, forward, backend)?;
    try_endpoints(cluster, worker, async |member| {
        dial(worker, cluster, member, server_name, true).await.map(|(stream, _)| stream)
    })
    .await
}

async fn connect_plain(cluster: &Ready, member: &Member, worker: &Worker) -> Result<Stream, ConnectError> {
    let timeout = cluster.connect_timeout.unwrap_or(worker.shared.settings.upstream.connect);
    let dialer = Dialer { resolver: &worker.shared.live.upstream.resolver, control: &worker.shared.offload };
    let connected = dialer.connect(Target { address: &member.address, tls: None, timeout }).await;
    connected.map(|(stream, _)| stream)
}

/// Endpoints one after the other until one takes the connection.
async fn try_endpoints(
    cluster: &Ready,
    worker: &Worker,
    connect: impl AsyncFn(&Member) -> Result<Stream, ConnectError>,
) -> Result<Stream, Failure> {
    let (uri, headers) = (Uri::default(), HeaderMap::new());
    let asking = Asking { client: None, uri: &uri, headers: &headers };
    let live = &worker.shared.live.upstream;
    let mut left = worker.shared.settings.upstream.retries;
    let mut tried = Vec::new();
    let mut last = Failure::NoEndpoints;
    loop {
        let random = worker.upstream.random();
        let chosen = worker
            .upstream
            .with_cursor(cluster.live.key(), |cursor| cluster.choose(asking, cursor, random, live, &tried));
        let Some(chosen) = chosen else { return Err(last) };
        let Some(member) = cluster.members.get(chosen.index) else { return Err(last) };
        member.state.count_request();
        let error = match connect(member).await {
            Ok(stream) => {
                member.state.succeeded();
                if chosen.aside {
                    super::health::passive::revived(&member.state);
                }
                return Ok(stream);
            }
            Err(error) => error,
        };
        let (trouble, failure) = judge_connect(&error);
        member.state.count_connect_error();
        if trouble.is_endpoints_fault(false) {
            member.state.failed(&cluster.passive, live.now());
        }
        if trouble == Trouble::Final || (!trouble.is_free() && left == 0) {
            return Err(failure);
        }
        left -= u32::from(!trouble.is_free());
        cluster.live.count_retry();
        tried.push(chosen.index);
        last = failure;
    }
}
