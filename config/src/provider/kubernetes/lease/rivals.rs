//! Other installations of Postern that speak for the same controllers: found by their Leases, in other namespaces.
//!
//! Both serve. If both wrote, each would undo what the other wrote, so the younger one writes nothing; age is that of
//! the Lease, by the API server's clock. A Lease that is not renewed is what an installation has left behind.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client, api::ListParams};
use tokio::time::Instant;

use super::{EXPIRY, LABEL};

/// Names the controllers whose objects an installation serves.
pub(super) const CONTROLLERS: &str = "postern.dev/controllers";

/// An installation: where its Lease is.
pub(in super::super) type Namespace = Arc<str>;

/// Looks for others.
pub(super) struct Rivals {
    all: Api<Lease>,
    name: String,
    namespace: Namespace,
    controllers: Arc<[Arc<str>]>,
    seen: BTreeMap<Namespace, Sighting>,
    refused: bool,
}

/// A Lease that changes is somebody's.
#[derive(Debug)]
struct Sighting {
    renewals: BTreeSet<String>,
    last: Instant,
    age: Age,
}

/// Orders installations, the elder first.
type Age = (Option<Timestamp>, Namespace);

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Found {
    /// Others that are alive, by namespace.
    pub(in super::super) others: Vec<Namespace>,
    /// Ourselves.
    pub(in super::super) own: Namespace,
    /// The one that writes, where that is not us.
    pub(in super::super) elder: Option<Namespace>,
}

impl Rivals {
    /// Of the installation with the Lease `name` in `namespace`, which speaks for `controllers`.
    pub(super) fn new(client: Client, namespace: &str, name: &str, controllers: Arc<[Arc<str>]>) -> Self {
        let (all, name, namespace) = (Api::all(client), name.to_owned(), namespace.into());
        Self { all, name, namespace, controllers, seen: BTreeMap::new(), refused: false }
    }

    /// What our own Lease says of our controllers.
    pub(super) fn controllers(&self) -> String {
        self.controllers.join(",")
    }

    /// Looks; `None` where that cannot be told at the moment.
    pub(super) async fn look(&mut self) -> Option<Found> {
        let params = ListParams::default().labels(&format!("{}={}", LABEL.0, LABEL.1));
        match self.all.list(&params).await {
            Ok(leases) => {
                self.refused = false;
                Some(self.judge(&leases.items, Instant::now()))
            }
            Err(error) => {
                let is_refused = matches!(&error, kube::Error::Api(status) if matches!(status.code, 401 | 403));
                if is_refused && !std::mem::replace(&mut self.refused, true) {
                    tracing::info!(
                        "other installations of Postern are not looked for: that needs the right to list leases.coordination.k8s.io"
                    );
                }
                is_refused.then(Found::default)
            }
        }
    }

    fn judge(&mut self, leases: &[Lease], now: Instant) -> Found {
        let ours = leases.iter().filter(|lease| lease.metadata.name.as_deref() == Some(&self.name));
        let mut own = (None, self.namespace.clone());
        for lease in ours {
            let namespace: Namespace = lease.metadata.namespace.as_deref().unwrap_or_default().into();
            let age = (lease.metadata.creation_timestamp.as_ref().map(|time| time.0), namespace.clone());
            if namespace == self.namespace {
                own = age;
            } else if speaks_for(lease, &self.controllers) {
                let sighting = self.seen.entry(namespace).or_insert_with(|| Sighting::new(age, now));
                sighting.look(lease, now);
            }
        }
        self.seen.retain(|_, sighting| now.duration_since(sighting.last) <= 2 * EXPIRY);
        let alive = || self.seen.values().filter(|sighting| sighting.is_alive(now));
        let elder = alive().map(|sighting| &sighting.age).min().filter(|eldest| **eldest < own);
        let others = alive().map(|sighting| sighting.age.1.clone()).collect();
        Found { others, elder: elder.map(|age| age.1.clone()), own: self.namespace.clone() }
    }
}

impl Sighting {
    fn new(age: Age, now: Instant) -> Self {
        Self { renewals: BTreeSet::new(), last: now, age }
    }

    fn look(&mut self, lease: &Lease, now: Instant) {
        let spec = lease.spec.clone().unwrap_or_default();
        let is_held = spec.holder_identity.is_some_and(|holder| !holder.is_empty());
        let renewal = spec.renew_time.map(|time| time.0.to_string()).unwrap_or_default();
        if !is_held {
            self.renewals.clear();
        } else if !self.renewals.contains(&renewal) {
            // The first may be years old; a second one is alive.
            if self.renewals.len() >= 2 {
                self.renewals.pop_first();
            }
            self.renewals.insert(renewal);
            self.last = now;
        }
    }

    fn is_alive(&self, now: Instant) -> bool {
        self.renewals.len() >= 2 && now.duration_since(self.last) <= EXPIRY
    }
}

/// Whether `lease` is of an installation that shares a controller with `controllers`; one that does not say is believed to.
fn speaks_for(lease: &Lease, controllers: &[Arc<str>]) -> bool {
    let said = lease.metadata.annotations.as_ref().and_then(|annotations| annotations.get(CONTROLLERS));
    said.is_none_or(|said| said.split(',').any(|theirs| controllers.iter().any(|ours| **ours == *theirs)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;

    fn lease(namespace: &str, created: &str, renewed: u64, holder: &str, controllers: &str) -> Lease {
        let renewed = format!("2026-11-01T00:00:{renewed:02}.000000Z");
        let annotations = if controllers.is_empty() { Value::Null } else { json!({CONTROLLERS: controllers}) };
        serde_json::from_value(json!({
            "metadata": {"name": "postern", "namespace": namespace, "creationTimestamp": created,
                "annotations": annotations},
            "spec": {"holderIdentity": holder, "renewTime": renewed},
        }))
        .expect("a Lease")
    }

    /// What is found when the Leases of others, which may be renewed or not, are seen twice.
    fn found(others: &[(&str, &str, bool, &str, &str)]) -> Found {
        let config = kube::Config::new(http::Uri::from_static("http://127.0.0.1:9"));
        let _crypto = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let client = Client::try_from(config).expect("nothing is asked");
        let mut rivals = Rivals::new(client, "edge", "postern", ["postern.dev/gateway".into()].into());
        let now = Instant::now();
        let mut last = Found::default();
        for look in 0..2 {
            let other = |(namespace, created, renews, holder, controllers): &(&str, &str, bool, &str, &str)| {
                lease(namespace, created, if *renews { look } else { 0 }, holder, controllers)
            };
            let mut leases: Vec<_> = others.iter().map(other).collect();
            leases.push(lease("edge", "2026-06-01T00:00:00Z", look, "us", ""));
            last = rivals.judge(&leases, now + Duration::from_secs(10 * look));
        }
        last
    }

    #[tokio::test]
    async fn the_elder_of_those_that_are_alive_and_speak_for_the_same_writes() {
        type Others = &'static [(&'static str, &'static str, bool, &'static str, &'static str)];
        let table: [(Others, &[&str], Option<&str>); 7] = [
            (&[], &[], None),
            (&[("a", "2026-09-01T00:00:00Z", true, "x", "")], &["a"], None),
            (&[("a", "2026-01-01T00:00:00Z", true, "x", "a,postern.dev/gateway")], &["a"], Some("a")),
            // Left behind, given back, or for others.
            (&[("a", "2026-01-01T00:00:00Z", false, "x", "")], &[], None),
            (&[("a", "2026-01-01T00:00:00Z", true, "", "")], &[], None),
            (&[("a", "2026-01-01T00:00:00Z", true, "x", "other.dev/gateway")], &[], None),
            // Of one age: by name.
            (
                &[("a", "2026-06-01T00:00:00Z", true, "x", ""), ("z", "2026-06-01T00:00:00Z", true, "x", "")],
                &["a", "z"],
                Some("a"),
            ),
        ];
        for (others, alive, writes) in table {
            let found = found(others);
            let alive: Vec<Namespace> = alive.iter().map(|name| Arc::from(*name)).collect();
            assert_eq!((found.others, found.elder.as_deref()), (alive, writes), "{others:?}");
        }
    }
}
