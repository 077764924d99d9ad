//! One try with one endpoint: a connection from the pool or a new one, the request, the head of the answer.

use std::{
    error::Error as _,
    future::poll_fn,
    net::SocketAddr,
    pin::{Pin, pin},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use futures_util::future::Either;
use http::{Request, Response};
use http_body::Body as _;
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http1, http2},
};
use hyper_util::rt::{TokioIo, TokioTimer};
use postern_config::model::cluster::Protocol;
use rustls::pki_types::ServerName;
use tokio::time::{Instant, timeout_at};

use super::{
    body::Tracked,
    cluster::{Member, Ready},
    connect::{self, ConnectError, Dialer, Target},
    driven::Driver,
    forward::Parcel,
    head::Outgoing,
    pool::{Home, Idle, Keep, Shared, Stream, Taken},
    retry::Trouble,
};
use crate::{exchange::Body, respond::Failure, settings::Settings, worker::Worker};

/// How often a silent HTTP/2 backend is asked whether it is there, and how long it has to say so.
const PING: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(10));

/// A connection for one request.
pub(super) enum Lease {
    Http1(Idle),
    Http2(Stream),
}

impl Lease {
    pub(super) fn address(&self) -> SocketAddr {
        match self {
            Self::Http1(idle) => idle.address,
            Self::Http2(stream) => stream.0.address,
        }
    }
}

/// What a connection must be.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Needs {
    /// HTTP/1.1, because the request asks for an upgrade.
    pub(super) http1: bool,
    /// Made now, because one from the pool has just failed.
    pub(super) fresh: bool,
}

/// How long the first byte of an answer may take.
#[derive(Clone, Copy, Debug)]
pub(super) enum FirstByte {
    /// As long as it likes.
    Unlimited,
    /// From the begin of the try (Gateway API `backendRequest`).
    FromStart(Duration),
    /// From the last byte of the request: an upload takes as long as it likes.
    FromRequestEnd(Duration),
}

/// A failed try.
pub(super) struct Broken {
    pub(super) trouble: Trouble,
    pub(super) failure: Failure,
    /// Whether the connection was from the pool.
    pub(super) reused: bool,
    /// What was to be sent, when hyper gave it back untouched.
    pub(super) returned: Option<Body>,
}

/// One try with `member`.
pub(super) struct Attempt<'a> {
    pub(super) cluster: &'a Ready,
    pub(super) member: &'a Member,
    pub(super) worker: &'a Worker,
    pub(super) home: Home,
    pub(super) outgoing: Outgoing<'a>,
    pub(super) needs: Needs,
    pub(super) first_byte: FirstByte,
}

/// The head of an answer, and the connection that the rest comes on.
pub(super) struct Answered {
    pub(super) response: Response<Incoming>,
    pub(super) lease: Lease,
    pub(super) took: Duration,
}

impl Attempt<'_> {
    /// Sends the fields and the body of `parcel`, which are taken once there is a connection.
    pub(super) async fn run(&self, parcel: &mut Parcel<'_>) -> Result<Answered, Broken> {
        let (mut lease, reused) = self.lease().await.map_err(|error| Broken::unsent(&error))?;
        let (body, tracked) = parcel.payload.take();
        let alone = body.is_end_stream() && !self.needs.http1;
        let started = Instant::now();
        self.member.state.count_request();
        // One future for both protocols: two would each have their room in the future of every request.
        let sent = match &mut lease {
            Lease::Http1(idle) => {
                Either::Left(idle.sender.try_send_request(self.outgoing.http1(parcel.fields.take(), body)))
            }
            Lease::Http2(stream) => match self.outgoing.http2(self.cluster.scheme(), parcel.fields.take(), body) {
                Ok(request) => Either::Right(stream.0.sender.borrow_mut().try_send_request(request)),
                Err(error) => return Err(Broken::of(Trouble::Final, Failure::Unreachable(error.to_string()))),
            },
        };
        let mut driver = match &mut lease {
            Lease::Http1(idle) => Some(&mut idle.driver),
            Lease::Http2(_) => None,
        };
        if let Some(driver) = driver.as_mut().filter(|_| !alone) {
            driver.detach();
        }
        let answered = {
            let mut sent = pin!(sent);
            let answer = poll_fn(move |cx| match &mut driver {
                Some(driver) => driver.poll_answer(cx, sent.as_mut()),
                None => sent.as_mut().poll(cx),
            });
            self.wait(pin!(answer), started, tracked.as_ref()).await
        };
        match answered {
            Ok(response) => Ok(Answered { response, lease, took: started.elapsed() }),
            Err(broken) => Err(Broken { reused, ..broken }),
        }
    }

    /// A connection to the member, and whether it is from the pool.
    async fn lease(&self) -> Result<(Lease, bool), ConnectError> {
        let tls_host = self.tls_host();
        let host = tls_host.as_deref();
        let pools = &self.worker.upstream.pools;
        // Once only: with an endpoint that cannot be reached, requests must not fail one after the other.
        let mut waited = false;
        loop {
            match pools.take(self.home, host, self.needs.http1) {
                Taken::Idle(_) if self.needs.fresh => {}
                Taken::Idle(idle) => return Ok((Lease::Http1(idle), true)),
                Taken::Stream(stream) => return Ok((Lease::Http2(stream), true)),
                Taken::Wait(connecting) if !waited => {
                    waited = true;
                    connecting.notified().await;
                }
                Taken::Wait(_) | Taken::Nothing => break,
            }
        }
        // A connect is rare and its future large: it must not make every request's future larger.
        Ok((Box::pin(self.connect(tls_host)).await?, false))
    }

    /// The host that TLS is made for, where that is the request's.
    fn tls_host(&self) -> Option<Arc<str>> {
        let connector = self.cluster.tls.as_ref()?;
        if connector.server_name().is_some() {
            return None;
        }
        Some(host_of(self.outgoing.authority.to_str().unwrap_or_default()).to_ascii_lowercase().into())
    }

    async fn connect(&self, tls_host: Option<Arc<str>>) -> Result<Lease, ConnectError> {
        let pools = &self.worker.upstream.pools;
        let may_share = self.cluster.protocol == Protocol::Http2;
        // Others that could share the connection wait until this guard is gone.
        let _connecting = (!self.needs.http1).then(|| pools.begin_connecting(self.home, may_share));
        let connected = dial(self.worker, self.cluster, self.member, tls_host.as_deref(), self.needs.http1).await;
        let (stream, address) = connected.inspect_err(|_| self.member.state.count_connect_error())?;
        let settings = &self.worker.shared.settings;
        if may_share || stream.is_http2() {
            let shared = begin_http2(stream, address, tls_host, settings).await?;
            pools.add_shared(self.home, &shared, Keep::from(&settings.upstream));
            return Ok(Lease::Http2(shared.begin()));
        }
        begin_http1(stream, address, tls_host, settings).await.map(Lease::Http1)
    }

    async fn wait(
        &self,
        sent: Pin<&mut impl Future<Output = Result<Response<Incoming>, TrySendError<Request<Body>>>>>,
        started: Instant,
        tracked: Option<&Tracked>,
    ) -> Result<Response<Incoming>, Broken> {
        let answered = match self.first_byte {
            FirstByte::Unlimited => sent.await,
            // Boxed, as timers are large and every request would hold their room.
            FirstByte::FromStart(limit) => {
                Box::pin(timeout_at(started + limit, sent)).await.map_err(|_| Broken::timed_out())?
            }
            FirstByte::FromRequestEnd(limit) => Box::pin(within(limit, started, tracked, sent)).await?,
        };
        answered.map_err(Broken::by_hyper)
    }
}

/// Waits for `sent` until `limit` after the last byte of the request.
async fn within<F: Future>(
    limit: Duration,
    started: Instant,
    tracked: Option<&Tracked>,
    mut sent: Pin<&mut F>,
) -> Result<F::Output, Broken> {
    let mut deadline = started + limit;
    loop {
        if let Ok(answered) = timeout_at(deadline, sent.as_mut()).await {
            return Ok(answered);
        }
        let now = Instant::now();
        deadline = match tracked.map(Tracked::ended) {
            // The upload goes on: look again later.
            Some(None) => now + limit,
            Some(Some(ended)) if ended + limit > now => ended + limit,
            _ => return Err(Broken::timed_out()),
        };
    }
}

impl Broken {
    fn of(trouble: Trouble, failure: Failure) -> Self {
        Self { trouble, failure, reused: false, returned: None }
    }

    fn unsent(error: &ConnectError) -> Self {
        let (trouble, failure) = judge_connect(error);
        Self::of(trouble, failure)
    }

    fn timed_out() -> Self {
        Self::of(Trouble::TimedOut, Failure::TimedOut("backend"))
    }

    fn by_hyper(mut error: TrySendError<Request<Body>>) -> Self {
        let returned = error.take_message().map(Request::into_body);
        let (trouble, failure) = judge(&error.into_error(), returned.is_some());
        Self { returned, ..Self::of(trouble, failure) }
    }
}

/// The name in an authority.
pub(super) fn host_of(authority: &str) -> &str {
    if authority.starts_with('[') {
        return authority.split_inclusive(']').next().unwrap_or(authority);
    }
    authority.split(':').next().unwrap_or(authority)
}

/// Connects to `member`; `tls_host` is the server name where the setting has none.
pub(super) async fn dial(
    worker: &Worker,
    cluster: &Ready,
    member: &Member,
    tls_host: Option<&str>,
    http1: bool,
) -> Result<(connect::Stream, SocketAddr), ConnectError> {
    let tls = match &cluster.tls {
        None => None,
        Some(connector) => {
            let name = match connector.server_name() {
                Some(name) => name.clone(),
                None => parse_server_name(tls_host.unwrap_or_default())?,
            };
            Some((connector.configuration(http1), name))
        }
    };
    let timeout = cluster.connect_timeout.unwrap_or(worker.shared.settings.upstream.connect);
    let dialer = Dialer { resolver: &worker.shared.live.upstream.resolver, control: &worker.shared.offload };
    dialer.connect(Target { address: &member.address, tls, timeout }).await
}

pub(super) fn parse_server_name(host: &str) -> Result<ServerName<'static>, ConnectError> {
    let bare = host.trim_matches(['[', ']']);
    ServerName::try_from(bare.to_owned()).map_err(|_| ConnectError::ServerName(host.to_owned()))
}

async fn begin_http1(
    stream: connect::Stream,
    address: SocketAddr,
    host: Option<Arc<str>>,
    settings: &Settings,
) -> Result<Idle, ConnectError> {
    let limits = &settings.limits;
    let mut builder = http1::Builder::new();
    builder.max_header_size(limits.response_header_bytes);
    if limits.response_header_count != FIELDS_ON_STACK {
        builder.max_headers(limits.response_header_count);
    }
    // The head must fit into the read buffer.
    builder.max_buf_size(limits.response_header_bytes.max(DEFAULT_BUFFER));
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(ConnectError::Begin)?;
    Ok(Idle::new(sender, Driver::new(connection.with_upgrades()), address, host))
}

/// hyper keeps room for this many fields on its stack; any other limit costs each answer two allocations.
const FIELDS_ON_STACK: usize = 100;
/// What hyper takes when nothing is said.
const DEFAULT_BUFFER: usize = 8192 + 4096 * 100;

async fn begin_http2(
    stream: connect::Stream,
    address: SocketAddr,
    host: Option<Arc<str>>,
    settings: &Settings,
) -> Result<Rc<Shared>, ConnectError> {
    let list_size = u32::try_from(settings.limits.response_header_bytes).unwrap_or(u32::MAX);
    let mut builder = http2::Builder::new(LocalExecutor);
    builder.timer(TokioTimer::new()).max_header_list_size(list_size);
    builder.keep_alive_interval(PING.0).keep_alive_timeout(PING.1);
    let (sender, mut connection) = builder.handshake(TokioIo::new(stream)).await.map_err(ConnectError::Begin)?;
    let shared = Shared::new(sender, address, host);
    let weak = Rc::downgrade(&shared);
    tokio::task::spawn_local(poll_fn(move |cx| {
        let polled = Pin::new(&mut connection).poll(cx);
        if let Some(shared) = weak.upgrade() {
            shared.allow(connection.current_max_send_streams());
        }
        polled
    }));
    Ok(shared)
}

/// Runs hyper's tasks on the worker itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct LocalExecutor;

impl<F: Future + 'static> hyper::rt::Executor<F> for LocalExecutor {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(async move {
            future.await;
        });
    }
}

pub(super) fn judge_connect(error: &ConnectError) -> (Trouble, Failure) {
    match error {
        ConnectError::TimedOut(_) => (Trouble::ConnectTimedOut, Failure::TimedOut("connect")),
        ConnectError::ServerName(_) => (Trouble::Final, Failure::Unreachable(error.to_string())),
        ConnectError::Connect { source, .. } if is_ours(source) => {
            (Trouble::Final, Failure::Overloaded("no socket is left to connect to a backend"))
        }
        _ => (Trouble::Refused, Failure::Unreachable(error.to_string())),
    }
}

/// Whether this node, not the endpoint, is why a connect failed.
fn is_ours(error: &std::io::Error) -> bool {
    use rustix::io::Errno;
    let ours = [Errno::MFILE, Errno::NFILE, Errno::ADDRNOTAVAIL, Errno::NOBUFS, Errno::NOMEM];
    error.raw_os_error().is_some_and(|code| ours.iter().any(|errno| errno.raw_os_error() == code))
}

/// What a failed exchange means; `returned` says that the request was never written.
fn judge(error: &hyper::Error, returned: bool) -> (Trouble, Failure) {
    let text = chain(error);
    if returned {
        return (Trouble::NotSent, Failure::Unreachable(text));
    }
    if let Some(failure) = source::<Failure>(error) {
        return (Trouble::Final, failure.clone());
    }
    if error.is_user() {
        return (Trouble::Final, Failure::ClientGone);
    }
    if let Some(error) = source::<h2::Error>(error) {
        return (judge_http2(error), Failure::BackendBroke(text));
    }
    let trouble = if error.is_parse() { Trouble::Final } else { Trouble::Reset };
    (trouble, Failure::BackendBroke(text))
}

/// RFC 9113 sections 6.8 and 8.7: what a backend refuses by these it has not processed.
fn judge_http2(error: &h2::Error) -> Trouble {
    match error.reason() {
        Some(h2::Reason::REFUSED_STREAM) if error.is_remote() => Trouble::NotProcessed,
        Some(h2::Reason::NO_ERROR) if error.is_go_away() && error.is_remote() => Trouble::NotProcessed,
        _ => Trouble::Reset,
    }
}

fn source<E: std::error::Error + 'static>(error: &hyper::Error) -> Option<&E> {
    std::iter::successors(error.source(), |&error| error.source()).find_map(|error| error.downcast_ref())
}

/// An error and its causes in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    for cause in std::iter::successors(error.source(), |&cause| cause.source()) {
        text.push_str(": ");
        text.push_str(&cause.to_string());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_of_an_authority_has_no_port() {
        for (authority, want) in [("a:80", "a"), ("a", "a"), ("[::1]:80", "[::1]"), ("[::1]", "[::1]"), ("", "")] {
            assert_eq!(host_of(authority), want);
        }
    }
}
