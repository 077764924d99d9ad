//! What the cluster says about the other nodes: who holds the Lease and where it listens, the key that all share, and
//! who should be there. Each is one watch of its own in Postern's own namespace.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::Arc,
    time::Duration,
};

use k8s_openapi::{
    ByteString,
    api::{
        coordination::v1::Lease,
        core::v1::Secret,
        discovery::v1::{Endpoint, EndpointSlice},
    },
};
use kube::{Api, Client, Resource, api::PostParams, core::ObjectMeta, runtime::watcher::Config};
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use super::gate::{Member, Members};
use crate::{
    model::cluster_key::{ClusterKey, ClusterKeys, KeyError},
    provider::kubernetes::{
        follow::chain,
        lease::Term,
        mirror::{mirror, one, tell},
    },
};

/// On the Lease: where its holder listens.
pub(crate) const ADDRESS: &str = "postern.dev/peer-address";
/// The Secret with the key.
const KEY: &str = "postern-peer-key";
/// Its field with the key to speak with.
const CURRENT: &str = "key";
/// Its field with the key before.
const PREVIOUS: &str = "previous";
/// Between two tries to make the Secret.
const AGAIN: Duration = Duration::from_secs(5);

/// Who holds the Lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Unlike that of any other Postern, also of the same one after a restart.
    pub identity: Arc<str>,
    /// Where it listens, if it does.
    pub address: Option<SocketAddr>,
}

/// The key, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Keys {
    /// Nobody has said.
    #[default]
    Unknown,
    /// There is none yet.
    Absent,
    /// What there is is none.
    Bad,
    /// These.
    Known(ClusterKeys),
}

/// Follows the one object `name`; `show` is told of every change, and of its absence.
pub(crate) async fn follow_lease(client: Client, namespace: &str, name: &str, shown: watch::Sender<Option<Holder>>) {
    follow(Api::<Lease>::namespaced(client, namespace), one(name), "leases", |leases| {
        tell(&shown, leases.values().next().and_then(holder));
    })
    .await;
}

/// Follows the Secret with the key.
pub(crate) async fn follow_keys(client: Client, namespace: &str, shown: watch::Sender<Keys>) {
    follow(Api::<Secret>::namespaced(client, namespace), one(KEY), "secrets", |secrets| {
        tell(&shown, secrets.values().next().map_or(Keys::Absent, keys));
    })
    .await;
}

/// Follows the EndpointSlices of the Service `service`.
pub(crate) async fn follow_members(client: Client, namespace: &str, service: &str, shown: watch::Sender<Members>) {
    let config = Config::default().labels(&format!("kubernetes.io/service-name={service}"));
    follow(Api::<EndpointSlice>::namespaced(client, namespace), config, "endpointslices", |slices| {
        tell(&shown, Members::Known(members(slices.values())));
    })
    .await;
}

/// Makes the key where there is none, as the holder of the Lease.
pub(crate) async fn make_key(
    client: Client,
    namespace: &str,
    mut terms: watch::Receiver<Option<Term>>,
    mut keys: watch::Receiver<Keys>,
) {
    let api = Api::<Secret>::namespaced(client, namespace);
    loop {
        let wanted = terms.borrow_and_update().is_some() && *keys.borrow_and_update() == Keys::Absent;
        if wanted {
            create(&api, namespace).await;
        }
        tokio::select! {
            changed = terms.changed() => if changed.is_err() { return },
            changed = keys.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(AGAIN), if wanted => {}
        }
    }
}

async fn create(api: &Api<Secret>, namespace: &str) {
    let mut key = vec![0; ClusterKey::LENGTH];
    let random = rustls::crypto::aws_lc_rs::default_provider().secure_random;
    if random.fill(&mut key).is_err() {
        return tracing::error!("the system gives no random numbers, so there is no key for the peers");
    }
    let secret = Secret {
        metadata: ObjectMeta { name: Some(KEY.to_owned()), ..ObjectMeta::default() },
        data: Some(BTreeMap::from([(CURRENT.to_owned(), ByteString(key))])),
        ..Secret::default()
    };
    match api.create(&PostParams::default(), &secret).await {
        Ok(_) => tracing::info!(namespace, secret = KEY, "made the key that peers share"),
        // Somebody was faster; the watch brings it.
        Err(kube::Error::Api(status)) if status.code == 409 => {}
        Err(error) => tracing::warn!(
            namespace,
            secret = KEY,
            error = chain(&error),
            "the key that peers share cannot be made; grant create on secrets in this namespace, or make it"
        ),
    }
}

/// Where others reach us, if we listen.
#[derive(Clone, Debug)]
pub(crate) struct Advertised {
    pub(crate) name: Arc<str>,
    /// Address and port that we listen on; all addresses where it is none.
    pub(crate) listen: Option<(Option<IpAddr>, u16)>,
    pub(crate) members: watch::Receiver<Members>,
    /// The address that we speak to the API server with.
    pub(crate) source: Option<IpAddr>,
}

impl Advertised {
    /// The address that we listen on; where that is all, the one under which the cluster lists us; where it does not,
    /// the one that we speak to the API server with.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        let (ip, port) = self.listen?;
        let listed = || match &*self.members.borrow() {
            Members::Known(members) => members.get(&self.name).and_then(|member| member.address),
            _ => None,
        };
        Some(SocketAddr::new(ip.or_else(listed).or(self.source)?, port))
    }
}

/// The address that packets to `host` would have; nothing is sent.
pub(crate) fn source_towards(host: Option<&str>) -> Option<IpAddr> {
    let host = host.and_then(|host| host.trim_matches(['[', ']']).parse().ok());
    // Where the host is a name: as towards the internet (an address for documentation).
    let towards = host.unwrap_or(IpAddr::from([192, 0, 2, 1]));
    let any = if towards.is_ipv4() { IpAddr::from([0; 4]) } else { IpAddr::from([0; 16]) };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect((towards, 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// Mirrors what peers are known by, and says once what keeps it from that.
async fn follow<K>(api: Api<K>, config: Config, resource: &str, mut show: impl FnMut(&BTreeMap<String, K>))
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let mut trouble = String::new();
    mirror(api, config, |mirrored| match mirrored {
        Ok(objects) => {
            trouble.clear();
            show(objects);
        }
        Err(error) => {
            let said = chain(error);
            if trouble != said {
                tracing::warn!(
                    resource,
                    error = said,
                    "peers cannot be followed; it needs get, list and watch in Postern's own namespace"
                );
                trouble = said;
            }
        }
    })
    .await;
}

fn holder(lease: &Lease) -> Option<Holder> {
    let identity = lease.spec.as_ref()?.holder_identity.as_deref().filter(|identity| !identity.is_empty())?;
    let address = lease.metadata.annotations.as_ref().and_then(|annotations| annotations.get(ADDRESS)?.parse().ok());
    Some(Holder { identity: identity.into(), address })
}

fn keys(secret: &Secret) -> Keys {
    let field = |name: &str| secret.data.as_ref().and_then(|data| data.get(name));
    let key = |name: &str| field(name).map(|ByteString(bytes)| ClusterKey::from_bytes(bytes));
    let bad = |name: &str, error: &KeyError| tracing::warn!(secret = KEY, field = name, %error, "no key of peers");
    let previous = key(PREVIOUS).and_then(|key| key.inspect_err(|error| bad(PREVIOUS, error)).ok());
    match key(CURRENT).unwrap_or(Err(KeyError::Length(0))) {
        Ok(current) => Keys::Known(ClusterKeys { current, previous }),
        Err(error) => {
            bad(CURRENT, &error);
            Keys::Bad
        }
    }
}

/// An endpoint that several slices have counts once: as one that is there, if any of them says so.
fn members<'s>(slices: impl Iterator<Item = &'s EndpointSlice>) -> BTreeMap<Arc<str>, Member> {
    let mut members = BTreeMap::<Arc<str>, Member>::new();
    for (name, member) in slices.flat_map(|slice| &slice.endpoints).filter_map(member) {
        let known = members.entry(name).or_insert_with(|| member.clone());
        known.counts |= member.counts;
    }
    members
}

/// `ready` says nothing here: a Service that publishes addresses that are not ready calls all of them ready.
fn member(endpoint: &Endpoint) -> Option<(Arc<str>, Member)> {
    let pod = endpoint.target_ref.as_ref().filter(|target| target.kind.as_deref() == Some("Pod"))?.name.as_deref()?;
    let conditions = endpoint.conditions.clone().unwrap_or_default();
    let serving = conditions.serving.or(conditions.ready).unwrap_or(true);
    let member = Member {
        node: endpoint.node_name.as_deref().unwrap_or_default().into(),
        address: endpoint.addresses.first().and_then(|address| address.parse().ok()),
        counts: serving && !conditions.terminating.unwrap_or(false),
    };
    Some((pod.into(), member))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_member_counts_while_its_pod_is_ready_and_not_on_its_way_out() {
        let endpoint = |pod: &str, serving: bool, terminating: bool| {
            json!({"addresses": ["10.0.0.1"], "nodeName": "n", "targetRef": {"kind": "Pod", "name": pod},
                "conditions": {"ready": true, "serving": serving, "terminating": terminating}})
        };
        let slice = |endpoints: Vec<serde_json::Value>| {
            let slice = json!({"addressType": "IPv4", "metadata": {"name": "s"}, "endpoints": endpoints});
            serde_json::from_value::<EndpointSlice>(slice).expect("a slice")
        };
        let all = slice(vec![
            endpoint("ready", true, false),
            endpoint("starting", false, false),
            endpoint("leaving", true, true),
            json!({"addresses": ["10.0.0.2"]}),
        ]);
        let counts: Vec<_> = members([&all].into_iter()).into_iter().map(|(name, m)| (name, m.counts)).collect();
        assert_eq!(counts, [("leaving".into(), false), ("ready".into(), true), ("starting".into(), false)]);
        let twice = [slice(vec![endpoint("a", false, false)]), slice(vec![endpoint("a", true, false)])];
        assert!(members(twice.iter()).get("a").is_some_and(|member| member.counts));
    }

    #[test]
    fn a_holder_is_where_the_lease_says() {
        let lease = |identity: &str, address: &str| {
            let lease = json!({"metadata": {"annotations": {ADDRESS: address}}, "spec": {"holderIdentity": identity}});
            holder(&serde_json::from_value(lease).expect("a Lease"))
        };
        assert_eq!(lease("", "10.0.0.1:7947"), None);
        let address = lease("a", "10.0.0.1:7947").and_then(|holder| holder.address);
        assert_eq!(address, Some(SocketAddr::from(([10, 0, 0, 1], 7947))));
        assert_eq!(lease("a", "nowhere").map(|holder| holder.address), Some(None));
    }

    #[test]
    fn a_secret_without_32_bytes_is_no_key() {
        let secret = |data: serde_json::Value| keys(&serde_json::from_value(json!({"data": data})).expect("a Secret"));
        let good = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        assert_eq!(secret(json!({"key": "AAAA"})), Keys::Bad);
        assert_eq!(secret(json!({})), Keys::Bad);
        assert!(matches!(secret(json!({"key": good, "previous": good})), Keys::Known(keys) if keys.previous.is_some()));
    }
}
