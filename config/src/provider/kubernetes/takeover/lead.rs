//! Keeps the adopted Service leading to the nodes that run Postern, as the holder of the Lease.
//!
//! Who is listed: the members of the headless Service that selects Postern's pods, as far as they are ready and a
//! connection to their port is taken. (A Postern that observes is ready too, and has bound nothing.) On its way out the
//! holder writes once more, so that what goes with it is not listed when it has gone.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use futures_util::future::join_all;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::{
    Api, Client, Error as ClientError, ResourceExt as _,
    api::{DeleteParams, ListParams, PostParams},
    runtime::watcher::Config,
};
use tokio::{
    net::TcpStream,
    sync::watch,
    time::{Instant, timeout},
};

use super::super::{
    follow::said,
    lease::Term,
    mirror::{mirror, tell},
};
use crate::kubernetes::takeover::{
    adoption::Adopted,
    slice::{self, MANAGED_BY, MANAGED_BY_LABEL, Member, SERVICE_LABEL},
};

/// Between two looks at who takes connections, and whether what is written is still there.
const LOOK: Duration = Duration::from_secs(2);
/// A connection on one's own network is taken much sooner.
const CONNECT: Duration = Duration::from_secs(1);
/// A node is taken out after so many looks in a row without a connection.
const MISSES: u32 = 2;

/// What it goes by.
pub(in super::super) struct Leading {
    pub(in super::super) client: Client,
    pub(in super::super) lease: watch::Receiver<Option<Term>>,
    /// The Service, as it is now; `None`: it has gone.
    pub(in super::super) adopted: watch::Receiver<Option<Adopted>>,
    /// Entry points and the ports that are bound for them.
    pub(in super::super) bound: BTreeMap<String, u16>,
    /// The headless Service that selects Postern's pods: namespace and name.
    pub(in super::super) peers: (String, String),
}

impl Leading {
    /// Until `ended` is closed; then once more.
    pub(in super::super) async fn run(mut self, mut ended: watch::Receiver<()>) {
        let (tell, mut listed) = watch::channel(None);
        let following = follow(self.client.clone(), self.peers.clone(), tell);
        tokio::pin!(following);
        let (mut misses, mut serving) = (BTreeMap::new(), BTreeSet::new());
        let mut look = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                () = &mut following => return,
                changed = ended.changed() => if changed.is_err() { break },
                changed = listed.changed() => if changed.is_err() { return },
                changed = self.adopted.changed() => if changed.is_err() { return },
                _ = look.tick() => {}
            }
            let members = listed.borrow_and_update().clone();
            if let Some(members) = members.filter(|_| self.holds()) {
                serving = self.that_answer(members, &mut misses).await;
                self.write(&serving).await;
            }
        }
        // Of those that served, what is terminating is listed no more; where that is all, nothing is left behind. What the
        // watch has not told yet counts.
        if self.holds() {
            let (namespace, service) = &self.peers;
            let api = Api::<EndpointSlice>::namespaced(self.client.clone(), namespace);
            match api.list(&ListParams::default().labels(&format!("{SERVICE_LABEL}={service}"))).await {
                Ok(slices) => {
                    serving.retain(|member| slice::members(&slices.items).contains(member));
                    self.write(&serving).await;
                }
                Err(error) => tracing::warn!(
                    error = said(&error),
                    "which nodes stay is not known; the adopted Service leads to all"
                ),
            }
        }
    }

    fn holds(&self) -> bool {
        self.lease.borrow().is_some_and(|term| term.holds(Instant::now()))
    }

    fn ports(&self) -> Vec<(String, u16)> {
        let adopted = self.adopted.borrow();
        adopted
            .as_ref()
            .map(|adopted| slice::ports(adopted, |point| self.bound.get(point).copied()))
            .unwrap_or_default()
    }

    /// Those that take connections, or did a moment ago.
    async fn that_answer(&self, members: BTreeSet<Member>, misses: &mut BTreeMap<IpAddr, u32>) -> BTreeSet<Member> {
        let Some(port) = self.ports().first().map(|(_, port)| *port) else { return BTreeSet::new() };
        let asked = members.into_iter().filter(|member| member.ready).map(async |member| {
            let connect = TcpStream::connect(SocketAddr::new(member.address, port));
            (matches!(timeout(CONNECT, connect).await, Ok(Ok(_))), member)
        });
        let answers = join_all(asked).await;
        let mut before = std::mem::take(misses);
        let mut there = BTreeSet::new();
        for (answers, member) in answers {
            // One that was never heard has missed enough already.
            let missed = if answers { 0 } else { before.remove(&member.address).unwrap_or(MISSES).saturating_add(1) };
            misses.insert(member.address, missed);
            if missed < MISSES {
                there.insert(member);
            }
        }
        there
    }

    async fn write(&self, members: &BTreeSet<Member>) {
        let Some(adopted) = self.adopted.borrow().clone() else { return };
        let wanted = slice::desired(&adopted, members, &self.ports());
        let api = Api::<EndpointSlice>::namespaced(self.client.clone(), &adopted.namespace);
        for name in slice::names(&adopted.name) {
            let wanted = wanted.iter().find(|slice| slice.name_any() == name);
            if let Err(error) = put(&api, &name, wanted).await {
                tracing::warn!(
                    namespace = adopted.namespace,
                    service = adopted.name,
                    error = said(&error),
                    "the EndpointSlice that leads an adopted Service here cannot be written"
                );
            }
        }
    }
}

/// Brings one slice in line; one of that name that is somebody else's is left alone. A change in between is told by the
/// next look.
async fn put(api: &Api<EndpointSlice>, name: &str, wanted: Option<&EndpointSlice>) -> Result<(), ClientError> {
    let outcome = match (api.get_opt(name).await?, wanted) {
        (None, None) => return Ok(()),
        (Some(there), _) if !is_ours(&there) => return Ok(()),
        (Some(there), Some(wanted)) if slice::is_as(&there, wanted) => return Ok(()),
        (None, Some(wanted)) => api.create(&PostParams::default(), wanted).await.map(drop),
        (Some(_), None) => api.delete(name, &DeleteParams::default()).await.map(drop),
        (Some(there), Some(wanted)) => {
            let mut changed = wanted.clone();
            changed.metadata.resource_version = there.metadata.resource_version;
            api.replace(name, &PostParams::default(), &changed).await.map(drop)
        }
    };
    match outcome {
        Err(ClientError::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
        Ok(()) => {
            let endpoints = wanted.map_or(0, |slice| slice.endpoints.len());
            tracing::info!(slice = name, endpoints, "the adopted Service leads to these many nodes");
            Ok(())
        }
        error => error,
    }
}

/// Whether a slice is one of ours.
pub(in super::super) fn is_ours(slice: &EndpointSlice) -> bool {
    slice.labels().get(MANAGED_BY_LABEL).is_some_and(|by| by == MANAGED_BY)
}

/// Tells who is listed, whenever that changes.
async fn follow(client: Client, (namespace, service): (String, String), told: watch::Sender<Option<BTreeSet<Member>>>) {
    let config = Config::default().labels(&format!("{SERVICE_LABEL}={service}"));
    let api = Api::<EndpointSlice>::namespaced(client, &namespace);
    mirror(api, config, |slices| match slices {
        Ok(slices) => tell(&told, Some(slice::members(slices.values()))),
        Err(error) => tracing::debug!(%error, namespace, service, "the nodes that run Postern cannot be followed"),
    })
    .await;
}
