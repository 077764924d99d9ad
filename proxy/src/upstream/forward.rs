//! The whole of forwarding one request: which backend, which endpoint, again when that is safe, and the answer made
//! fit for the client.

use std::{net::IpAddr, rc::Rc, sync::Arc};

use http::{HeaderMap, HeaderValue, Method, Response, Uri, header};
use hyper::body::Incoming;
use postern_config::model::{
    cluster::Protocol,
    route::{Backend, Forward, Target, Timeouts},
};
use tokio::time::{Instant, timeout_at};

use super::{
    again::{Fields, Payload},
    attempt::{Answered, Attempt, Broken, FirstByte, Lease, Needs},
    balance::share,
    body::{self, Held, Return},
    cluster::{Asking, Chosen, Cluster, Member, Ready},
    head::{self, Outgoing},
    live::InFlight,
    pool::Keep,
    retry::{Policy, Trouble},
    sticky,
    upgrade::Upgrade,
};
use crate::{
    exchange::{Body, Exchange, FilterSite, Flow, Trial, filter, forwarded::WithholdForwardedFor, internal},
    middleware::Permit,
    plan::Plan,
    respond::Failure,
    settings::UpstreamDefaults,
    telemetry::access_log::Record,
    worker::Worker,
};

/// Endpoints that are tried one after the other because nobody listens there.
const MOST_REFUSED: usize = 16;

/// Forwards `exchange` as `forward` says and returns the backend's answer, hop-by-hop fields removed. A request that
/// may be repeated is, while another endpoint lives. Upgrades are wired up here: when the backend answers 101, the
/// two connections are joined.
///
/// What is left of `exchange` has neither its fields nor its body any more: they were sent. Where somebody asks for
/// tries, a body that nobody has read is given back with the failure.
pub async fn forward(
    exchange: &mut Exchange,
    forward: &Forward,
    worker: &Rc<Worker>,
) -> Result<Response<Body>, Failure> {
    let plan = exchange.plan.clone();
    let (at, backend) = choose_backend(forward, worker)?;
    for (index, filter) in backend.filters.iter().enumerate() {
        if let Flow::Answer(response) = filter::run(filter, FilterSite::Backend(at, index), exchange) {
            return Ok(response);
        }
    }
    if let Target::Internal(service) = backend.target {
        // Boxed, since it is rare, and every request would carry the room for it.
        return Box::pin(internal::answer(service, exchange, worker)).await;
    }
    let cluster = resolve(&plan, forward, backend)?;
    let upgrade = Upgrade::take(&mut exchange.parts)?.map(Box::new);
    head::clean_request(&mut exchange.parts.headers);
    // Credentials for a proxy are ours to see and nobody's behind us; an auth server (`client`) may judge them.
    exchange.parts.headers.remove(header::PROXY_AUTHORIZATION);
    if let Some(upgrade) = &upgrade {
        upgrade.ask(&mut exchange.parts);
    }
    let settings = &worker.shared.settings;
    let withheld = exchange.parts.extensions.get::<WithholdForwardedFor>().is_some();
    if !settings.trust.not_append_forwarded_for && !withheld {
        head::append_forwarded_for(&mut exchange.parts.headers, &exchange.connection.peer_text);
    }
    let sending = Sending {
        cluster,
        worker,
        method: &exchange.parts.method,
        uri: &exchange.parts.uri,
        authority: &exchange.authority,
        client: Some(exchange.client),
        stuck: cluster.stuck_to(&exchange.parts.headers),
        policy: Policy::new(forward.retry.as_ref(), &settings.upstream),
        first_byte: first_byte(&forward.timeouts, &settings.upstream),
        deadline: deadline(&forward.timeouts, &settings.upstream, exchange.started),
        http1: upgrade.is_some(),
    };
    let mut parcel = Parcel {
        fields: Fields::new(std::mem::take(&mut exchange.parts.headers)),
        payload: sending.payload(std::mem::take(&mut exchange.body)),
        record: &mut exchange.record,
        trial: exchange.trial.as_deref_mut(),
    };
    let accepted = match sending.send(&mut parcel).await {
        Ok(accepted) => accepted,
        Err(failure) => {
            if parcel.trial.is_some() {
                exchange.body = parcel.payload.into_body().unwrap_or_default();
            }
            return Err(failure);
        }
    };
    sending.finish(accepted, upgrade, &mut exchange.permits)
}

/// Which of a rule's backends a request falls to.
pub(super) fn choose_backend<'f>(forward: &'f Forward, worker: &Worker) -> Result<(usize, &'f Backend), Failure> {
    let none = || Failure::Unresolved { status: forward.unresolved, reason: "no backend has a weight".into() };
    let at = match &*forward.backends {
        [only] if only.weight > 0 => 0,
        backends => {
            let weights = backends.iter().map(|backend| backend.weight);
            share::pick(weights, worker.upstream.shares.next()).ok_or_else(none)?
        }
    };
    forward.backends.get(at).map(|backend| (at, backend)).ok_or_else(none)
}

/// The cluster behind a backend.
pub(super) fn resolve<'p>(plan: &'p Plan, forward: &Forward, backend: &Backend) -> Result<&'p Ready, Failure> {
    let unresolved = |reason: Arc<str>| Failure::Unresolved { status: forward.unresolved, reason };
    match &backend.target {
        Target::Invalid { reason } => Err(unresolved(reason.clone())),
        Target::Internal(service) => Err(unresolved(format!("{service} has no endpoints").into())),
        Target::Cluster(id) => {
            let cluster = plan.clusters.get(id);
            let cluster = cluster.ok_or_else(|| unresolved(format!("cluster {id} is not there").into()))?;
            Cluster::ready(cluster).map_err(|reason| unresolved(reason.clone()))
        }
    }
}

pub(super) fn first_byte(timeouts: &Timeouts, defaults: &UpstreamDefaults) -> FirstByte {
    match timeouts.backend_request {
        Some(limit) if limit.is_zero() => FirstByte::Unlimited,
        Some(limit) => FirstByte::FromStart(limit),
        None if defaults.first_byte.is_zero() => FirstByte::Unlimited,
        None => FirstByte::FromRequestEnd(defaults.first_byte),
    }
}

fn deadline(timeouts: &Timeouts, defaults: &UpstreamDefaults, started: Instant) -> Option<Instant> {
    let limit = timeouts.request.unwrap_or(defaults.request);
    (!limit.is_zero()).then(|| started + limit)
}

/// A request on its way to a cluster.
pub(super) struct Sending<'a> {
    pub(super) cluster: &'a Ready,
    pub(super) worker: &'a Worker,
    pub(super) method: &'a Method,
    pub(super) uri: &'a Uri,
    pub(super) authority: &'a HeaderValue,
    pub(super) client: Option<IpAddr>,
    /// The member that the client's cookie names.
    pub(super) stuck: Option<usize>,
    pub(super) policy: Policy<'a>,
    pub(super) first_byte: FirstByte,
    /// When the answer must be complete.
    pub(super) deadline: Option<Instant>,
    /// Whether only HTTP/1.1 will do.
    pub(super) http1: bool,
}

/// What is sent, and what is noted of it.
pub(super) struct Parcel<'a> {
    pub(super) fields: Fields,
    pub(super) payload: Payload,
    pub(super) record: &'a mut Record,
    /// Where a middleware asks what becomes of tries, and says how many it allows.
    pub(super) trial: Option<&'a mut Trial>,
}

/// An answer that will be passed on.
pub(super) struct Accepted {
    answered: Answered,
    chosen: Chosen,
    in_flight: Option<InFlight>,
}

impl Sending<'_> {
    /// Sends it, again where that is safe, until there is an answer that can be passed on.
    pub(super) async fn send(&self, parcel: &mut Parcel<'_>) -> Result<Accepted, Failure> {
        // Pinned here once: a future that is handed on by value is kept twice by the one that awaits it.
        let trying = std::pin::pin!(self.try_endpoints(parcel));
        let accepted = match self.deadline {
            None => trying.await,
            Some(at) => Box::pin(timeout_at(at, trying)).await.unwrap_or(Err(Failure::TimedOut("request"))),
        };
        self.count(&accepted);
        accepted
    }

    fn count(&self, accepted: &Result<Accepted, Failure>) {
        let cell = self.cluster.series.cell(self.worker.index);
        match accepted {
            Ok(Accepted { answered, .. }) => cell.answered(answered.response.status(), answered.took),
            Err(failure) => cell.failed(failure),
        }
    }

    /// `body`, ready to be sent as often as is safe.
    pub(super) fn payload(&self, body: Body) -> Payload {
        Payload::new(body, self.method, self.needs_tracking())
    }

    async fn try_endpoints(&self, parcel: &mut Parcel<'_>) -> Result<Accepted, Failure> {
        let mut tries = Tries::new(self, parcel);
        loop {
            let Some(chosen) = tries.next(parcel.fields.map()) else { return Err(tries.exhausted()) };
            let Some(member) = self.cluster.members.get(chosen.index) else { return Err(Failure::NoEndpoints) };
            parcel.begin(chosen);
            if tries.repeated {
                parcel.record.retries += 1;
                self.cluster.live.count_retry();
                self.cluster.series.cell(self.worker.index).retried();
            }
            let in_flight = self.cluster.counts_in_flight().then(|| InFlight::new(&member.state));
            let attempt = self.attempt(member, tries.fresh, parcel.record);
            let broken = match attempt.run(parcel).await {
                Ok(answered) => {
                    parcel.record.endpoint = Some(answered.lease.address());
                    parcel.record.origin_duration = answered.took;
                    parcel.record.origin_status = Some(answered.response.status());
                    let trouble = Trouble::Status(answered.response.status());
                    let again = self.policy.is_retried(answered.response.status())
                        && trouble.may_repeat(self.method, parcel.payload.is_intact())
                        && tries.charge(chosen, parcel);
                    if !again {
                        return Ok(Accepted { answered, chosen, in_flight });
                    }
                    None
                }
                Err(broken) => Some(broken),
            };
            drop(in_flight);
            if let Some(broken) = broken {
                self.judge(member, &broken);
                parcel.payload.put_back(broken.returned);
                tries.failed(chosen, broken.trouble, broken.reused, broken.failure, parcel)?;
            }
            parcel.fields.renew();
            tries.repeated = true;
            if let Some(backoff) = self.policy.backoff().filter(|_| tries.pauses) {
                Box::pin(tokio::time::sleep(backoff)).await;
            }
        }
    }

    /// Whether more must be known of a request's body than hyper says.
    fn needs_tracking(&self) -> bool {
        self.cluster.protocol == Protocol::Http2
            || self.cluster.tls.is_some()
            || matches!(self.first_byte, FirstByte::FromRequestEnd(_))
    }

    fn attempt<'m>(&'m self, member: &'m Member, fresh: bool, record: &mut Record) -> Attempt<'m> {
        let home = self.cluster.home(member);
        let name = self.worker.upstream.pools.open(home, &member.state, self.cluster.id.as_str());
        record.cluster = Some(name);
        let authority = if self.cluster.pass_host { self.authority } else { &member.host };
        Attempt {
            cluster: self.cluster,
            member,
            worker: self.worker,
            home,
            outgoing: Outgoing { method: self.method, uri: self.uri, authority },
            needs: Needs { http1: self.http1, fresh },
            first_byte: self.first_byte,
        }
    }

    fn judge(&self, member: &Member, broken: &Broken) {
        if broken.trouble.is_endpoints_fault(broken.reused) {
            member.state.failed(&self.cluster.passive, self.worker.shared.live.upstream.now());
        }
    }

    /// Makes an answer fit for the client.
    /// `permits` go with the tunnel, where the answer is one.
    pub(super) fn finish(
        &self,
        accepted: Accepted,
        upgrade: Option<Box<Upgrade>>,
        permits: &mut Vec<Permit>,
    ) -> Result<Response<Body>, Failure> {
        let Accepted { answered, chosen, in_flight } = accepted;
        let Answered { response, lease, .. } = answered;
        let most_fields = self.worker.shared.settings.limits.response_header_count;
        head::check_answer(&response, upgrade.is_some(), most_fields)
            .map_err(|bad| Failure::BackendBroke(format!("its answer is refused: {bad}")))?;
        let Some(member) = self.cluster.members.get(chosen.index) else { return Err(Failure::NoEndpoints) };
        member.state.succeeded();
        if chosen.aside {
            super::health::passive::revived(&member.state);
        }
        let mut response = match upgrade {
            Some(upgrade) if upgrade.is_granted(&response) => {
                let held = (in_flight, std::mem::take(permits));
                upgrade.join(response, held, self.worker.shared.settings.limits.body_idle)?
            }
            Some(upgrade) => {
                upgrade.check_refusal(&response)?;
                self.pass_on(response, member, lease, in_flight)
            }
            None => self.pass_on(response, member, lease, in_flight),
        };
        self.stick(&mut response, member, chosen);
        Ok(response)
    }

    fn pass_on(
        &self,
        mut response: Response<Incoming>,
        member: &Member,
        lease: Lease,
        in_flight: Option<InFlight>,
    ) -> Response<Body> {
        head::clean_answer(&mut response);
        let mut held = Held { in_flight, deadline: self.deadline, ..Held::default() };
        match lease {
            Lease::Http2(stream) => held.stream = Some(stream),
            Lease::Http1(mut idle) => {
                let (home, pools) = (self.cluster.home(member), &self.worker.upstream.pools);
                let keep = Keep::from(&self.worker.shared.settings.upstream);
                // Ready means that hyper has read the whole answer: small ones need no watching.
                if idle.sender.is_ready() {
                    pools.give_back(home, idle, keep);
                } else {
                    idle.driver.detach();
                    held.on_end = Some(Return { pools: pools.clone(), home, idle, keep });
                }
            }
        }
        let (parts, incoming) = response.into_parts();
        Response::from_parts(parts, body::answer(incoming, held))
    }

    /// Makes the client stay with the endpoint, unless it did already.
    fn stick(&self, response: &mut Response<Body>, member: &Member, chosen: Chosen) {
        let Some(cookie) = &self.cluster.sticky else { return };
        if self.stuck == Some(chosen.index) {
            return;
        }
        if let Some(value) = sticky::set_cookie(cookie, &member.name) {
            response.headers_mut().append(header::SET_COOKIE, value);
        }
    }
}

/// What was tried, and what may be.
struct Tries<'a> {
    sending: &'a Sending<'a>,
    tried: Vec<usize>,
    left: u32,
    /// Whether an endpoint may be tried once more when all have been.
    again: bool,
    /// Whether the next try needs a connection of its own.
    fresh: bool,
    /// Whether there was a try before.
    repeated: bool,
    /// Whether the route's pause is due before the next try.
    pauses: bool,
    last: Option<Failure>,
}

impl Parcel<'_> {
    /// Notes that `chosen` is tried.
    fn begin(&mut self, chosen: Chosen) {
        if let Some(trial) = &mut self.trial {
            trial.unsent = false;
            trial.tried.push(chosen.index);
        }
    }
}

impl<'a> Tries<'a> {
    fn new(sending: &'a Sending<'a>, parcel: &mut Parcel<'_>) -> Self {
        let mut left = sending.policy.attempts;
        let mut tried = Vec::new();
        if let Some(trial) = &mut parcel.trial {
            left = left.min(trial.left);
            tried = trial.tried_of(&sending.cluster.live);
        }
        let again = !tried.is_empty();
        Self { sending, tried, left, again, fresh: false, repeated: false, pauses: false, last: None }
    }

    fn next(&mut self, headers: &HeaderMap) -> Option<Chosen> {
        if let Some(chosen) = self.choose(headers) {
            return Some(chosen);
        }
        if !std::mem::take(&mut self.again) || self.tried.is_empty() {
            return None;
        }
        self.tried.clear();
        self.fresh = true;
        self.choose(headers)
    }

    fn choose(&self, headers: &HeaderMap) -> Option<Chosen> {
        let Sending { cluster, worker, .. } = *self.sending;
        let asking = Asking { client: self.sending.client, uri: self.sending.uri, headers };
        let (random, live) = (worker.upstream.random(), &worker.shared.live.upstream);
        worker
            .upstream
            .with_cursor(cluster.live.key(), |cursor| cluster.choose(asking, cursor, random, live, &self.tried))
    }

    /// What the client is told when no endpoint is left.
    fn exhausted(self) -> Failure {
        self.last.unwrap_or(Failure::NoEndpoints)
    }

    /// Notes a failed try; an error when it was the last.
    fn failed(
        &mut self,
        chosen: Chosen,
        trouble: Trouble,
        reused: bool,
        failure: Failure,
        parcel: &mut Parcel<'_>,
    ) -> Result<(), Failure> {
        let intact = parcel.payload.is_intact();
        if let Some(trial) = &mut parcel.trial {
            trial.unsent = trouble.is_unsent() && intact;
        }
        if !trouble.may_repeat(self.sending.method, intact) {
            return Err(failure);
        }
        self.pauses = false;
        if trouble == Trouble::NotSent && reused {
            // The connection had been idle for too long: that says nothing of the endpoint, nor does it cost a try.
            return Ok(());
        }
        if trouble.is_free() {
            if self.tried.len() >= MOST_REFUSED {
                return Err(failure);
            }
            self.tried.push(chosen.index);
        } else if !self.charge(chosen, parcel) {
            return Err(failure);
        }
        self.last = Some(failure);
        Ok(())
    }

    /// Pays for one more try, if the policy and the cluster's budget allow it.
    fn charge(&mut self, chosen: Chosen, parcel: &mut Parcel<'_>) -> bool {
        let Sending { cluster, worker, .. } = *self.sending;
        let percent = worker.shared.settings.upstream.retry_budget_percent;
        if self.left == 0 || !cluster.live.withdraw(worker.shared.live.upstream.now(), percent) {
            return false;
        }
        self.left -= 1;
        if let Some(trial) = &mut parcel.trial {
            trial.left = trial.left.saturating_sub(1);
        }
        self.tried.push(chosen.index);
        self.again = true;
        self.pauses = true;
        true
    }
}
