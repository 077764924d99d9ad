//! The running counterpart of a cluster slot: members with their live state, and the choice among them.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use http::{HeaderMap, HeaderValue, Uri, uri::Scheme};
use postern_config::model::{
    cluster::{
        Balance, Cluster as Spec, ClusterSlot, Endpoint, EndpointAddress, HashKey, PassiveHealth, Protocol,
        StickyCookie,
    },
    id::ClusterId,
};

use super::{
    balance::{consistent_hash::Ring, power_of_two, round_robin::Cursor},
    health::{active::Probes, passive},
    live::{ClusterLive, EndpointState, Live},
    pool::Home,
    sticky,
    tls::Connector,
};
use crate::telemetry::metrics::ClusterSeries;

/// The running counterpart of a cluster slot.
#[derive(Debug)]
pub struct Cluster(Kind);

#[derive(Debug)]
enum Kind {
    Ready(Box<Ready>),
    Refused(Arc<str>),
}

/// A usable cluster.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) id: ClusterId,
    pub(super) members: Box<[Member]>,
    pub(super) protocol: Protocol,
    pub(super) tls: Option<Arc<Connector>>,
    pub(super) sticky: Option<StickyCookie>,
    pub(super) passive: PassiveHealth,
    pub(super) pass_host: bool,
    pub(super) connect_timeout: Option<Duration>,
    pub(super) live: Arc<ClusterLive>,
    pub(super) series: Arc<ClusterSeries>,
    choice: Choice,
    equal_weights: bool,
    transport: u64,
    build: u64,
    /// Kept for as long as a plan has the cluster: its probes end with it.
    _probes: Option<Arc<Probes>>,
}

#[derive(Debug)]
enum Choice {
    RoundRobin,
    PowerOfTwo,
    Hash(HashKey, Ring),
}

/// An endpoint of a cluster, as requests see it.
#[derive(Debug)]
pub struct Member {
    /// Where it is.
    pub address: EndpointAddress,
    weight: u32,
    draining: bool,
    /// Value of a sticky cookie.
    pub(super) name: Box<str>,
    /// Its own name as a Host field, for clusters that do not pass the client's.
    pub(super) host: HeaderValue,
    pub(super) state: Arc<EndpointState>,
}

/// What the choice of an endpoint may depend on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asking<'a> {
    pub(super) client: Option<IpAddr>,
    pub(super) uri: &'a Uri,
    pub(super) headers: &'a HeaderMap,
}

/// An endpoint that was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chosen {
    pub(super) index: usize,
    /// Chosen although it is aside, because every one is: a success brings it back.
    pub(super) aside: bool,
}

/// Counts builds, so that a worker sees whether its cursor is for this one.
static BUILDS: AtomicU64 = AtomicU64::new(0);

impl Cluster {
    /// Builds what runs for `slot`, taking over live state by id and endpoint.
    pub fn build(id: &ClusterId, slot: &Arc<ClusterSlot>, live: &Live) -> Self {
        match &**slot {
            ClusterSlot::Refused { reason } => Self(Kind::Refused(reason.clone())),
            ClusterSlot::Ready(spec) => match Ready::build(id, spec, live) {
                Ok(ready) => Self(Kind::Ready(Box::new(ready))),
                Err(reason) => Self(Kind::Refused(reason.into())),
            },
        }
    }

    /// What serves requests, or why nothing does.
    pub(super) fn ready(&self) -> Result<&Ready, &Arc<str>> {
        match &self.0 {
            Kind::Ready(ready) => Ok(ready),
            Kind::Refused(reason) => Err(reason),
        }
    }

    /// The endpoints; none when the slot is refused.
    pub fn members(&self) -> &[Member] {
        self.ready().map_or(&[], |ready| &ready.members)
    }

    /// Why requests for it cannot be served, when they cannot.
    pub fn refused(&self) -> Option<&Arc<str>> {
        self.ready().err()
    }
}

impl Ready {
    /// The error is a reason for logs.
    fn build(id: &ClusterId, spec: &Spec, live: &Live) -> Result<Self, String> {
        let tls = spec.tls.as_ref().map(|setting| live.tls.connector(setting, spec.protocol)).transpose();
        let tls = tls.map_err(|error| error.to_string())?;
        let cluster_live = live.cluster(id);
        let members: Box<[Member]> =
            spec.endpoints.iter().map(|endpoint| Member::new(endpoint, spec, &cluster_live, live)).collect();
        let transport = cluster_live.transport(spec.protocol, spec.tls.as_ref());
        let probes = spec.health.as_ref().map(|health| Probes::new(health, spec.protocol, tls.clone(), &members));
        live.probes.set(id, probes.as_ref());
        Ok(Self {
            id: id.clone(),
            choice: Choice::new(&spec.balance, &members),
            equal_weights: members.windows(2).all(|pair| matches!(pair, [a, b] if a.weight == b.weight)),
            members,
            protocol: spec.protocol,
            tls,
            sticky: spec.sticky.clone(),
            passive: spec.passive.clone(),
            pass_host: spec.pass_host,
            connect_timeout: spec.connect_timeout,
            live: cluster_live,
            series: live.series.series(id),
            transport,
            build: BUILDS.fetch_add(1, Relaxed) + 1,
            _probes: probes,
        })
    }

    /// Where a worker keeps connections to `member`.
    pub(super) fn home(&self, member: &Member) -> Home {
        let key = member.state.key();
        Home { index: key.index, serial: key.serial, transport: self.transport }
    }

    pub(super) fn scheme(&self) -> Scheme {
        if self.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP }
    }

    /// Whether requests under way must be counted.
    pub(super) fn counts_in_flight(&self) -> bool {
        matches!(self.choice, Choice::PowerOfTwo)
    }

    /// An endpoint that is not in `tried`: healthy ones first, draining ones when no other is left, ones that are
    /// aside when all are. What probes call unhealthy is never chosen.
    pub(super) fn choose(
        &self,
        asking: Asking<'_>,
        cursor: &mut Cursor,
        random: u64,
        live: &Live,
        tried: &[usize],
    ) -> Option<Chosen> {
        let usable = |index: usize, member: &Member| !member.state.is_unhealthy() && !tried.contains(&index);
        let aside = |member: &Member| passive::is_aside(&member.state, || live.now());
        if let Some(index) = self.stuck_to(asking.headers)
            && self.members.get(index).is_some_and(|member| usable(index, member) && !aside(member))
        {
            return Some(Chosen { index, aside: false });
        }
        if cursor.build != self.build {
            cursor.reset(self.build, random);
        }
        let mut pick = |fits: &dyn Fn(&Member) -> bool| {
            self.pick(asking, cursor, random, |index| {
                self.members.get(index).is_some_and(|member| usable(index, member) && fits(member))
            })
        };
        let unaside = |index| Chosen { index, aside: false };
        pick(&|member| !member.draining && !aside(member))
            .or_else(|| pick(&|member| member.draining && !aside(member)))
            .map(unaside)
            .or_else(|| pick(&|_| true).map(|index| Chosen { index, aside: true }))
    }

    /// The endpoint that the client's sticky cookie names.
    pub(super) fn stuck_to(&self, headers: &HeaderMap) -> Option<usize> {
        let cookie = sticky::cookie(headers, &self.sticky.as_ref()?.name)?;
        self.members.iter().position(|member| *member.name == *cookie)
    }

    fn pick(
        &self,
        asking: Asking<'_>,
        cursor: &mut Cursor,
        random: u64,
        eligible: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        match &self.choice {
            Choice::PowerOfTwo => {
                let load = |index: usize| self.members.get(index).map_or(0, |member| member.state.in_flight());
                let weight = |index: usize| self.members.get(index).map_or(1, |member| member.weight);
                return power_of_two::pick(self.members.len(), random, eligible, load, weight);
            }
            Choice::Hash(key, ring) => {
                if let Some(picked) = with_key(key, asking, |key| ring.pick(key, &eligible)) {
                    return picked;
                }
            }
            Choice::RoundRobin => {}
        }
        if self.equal_weights {
            cursor.pick_equal(self.members.len(), eligible)
        } else {
            cursor.pick_weighted(self.members.iter().map(|member| member.weight), eligible)
        }
    }
}

impl Choice {
    fn new(balance: &Balance, members: &[Member]) -> Self {
        match balance {
            Balance::RoundRobin => Self::RoundRobin,
            Balance::PowerOfTwo => Self::PowerOfTwo,
            Balance::ConsistentHash(key) => {
                let ring = Ring::new(members.iter().map(|member| (&member.address, member.weight)));
                Self::Hash(key.clone(), ring)
            }
        }
    }
}

impl Member {
    fn new(endpoint: &Endpoint, spec: &Spec, cluster: &ClusterLive, live: &Live) -> Self {
        let text = match &endpoint.address {
            EndpointAddress::Socket(address) => address.to_string(),
            EndpointAddress::Name(name, port) => format!("{name}:{port}"),
        };
        let scheme = match (&spec.tls, spec.protocol) {
            (Some(_), _) => "https",
            (None, Protocol::Http2) => "h2c",
            (None, _) => "http",
        };
        Self {
            address: endpoint.address.clone(),
            weight: endpoint.weight.max(1),
            draining: endpoint.draining,
            name: sticky::server_name(&format!("{scheme}://{text}")),
            host: own_host(&endpoint.address, text, spec.tls.is_some()),
            state: live.endpoint(cluster, &endpoint.address),
        }
    }

    /// What is shared with all plans and workers.
    pub fn state(&self) -> &EndpointState {
        &self.state
    }
}

/// The endpoint's own Host: without the port where that is the scheme's, as clients write it.
fn own_host(address: &EndpointAddress, text: String, tls: bool) -> HeaderValue {
    let default = if tls { 443 } else { 80 };
    let host = match address {
        EndpointAddress::Name(name, port) if *port == default => name.to_string(),
        EndpointAddress::Name(..) | EndpointAddress::Socket(_) => text,
    };
    HeaderValue::try_from(host).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// Runs `pick` on the key that `asking` has; `None` when it has none.
fn with_key<R>(key: &HashKey, asking: Asking<'_>, pick: impl FnOnce(&[u8]) -> R) -> Option<R> {
    match key {
        HashKey::ClientAddress => match asking.client? {
            IpAddr::V4(address) => Some(pick(&address.octets())),
            IpAddr::V6(address) => Some(pick(&address.octets())),
        },
        HashKey::Header(name) => asking.headers.get(name).map(|value| pick(value.as_bytes())),
        HashKey::Cookie(name) => sticky::cookie(asking.headers, name).map(|value| pick(value.as_bytes())),
        HashKey::Uri => asking.uri.path_and_query().map(|target| pick(target.as_str().as_bytes())),
    }
}
