//! Who of several Posterns writes: the holder of a Lease (coordination.k8s.io), by compare-and-swap.
//!
//! Expiry is judged as client-go does it: by our own clock, from the moment at which we saw the Lease change last, so
//! that clocks of nodes need not agree. The holder stops before others may take over: it holds for [`HOLD`] from
//! the beginning of its last renewal, others wait [`EXPIRY`] after the last renewal that they saw.

mod rivals;

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{Api, Client, api::PostParams, core::ObjectMeta};
use tokio::{sync::watch, time::Instant};

pub(super) use self::rivals::Found;
use self::rivals::{CONTROLLERS, Rivals};
use super::{
    Counts,
    peers::{ADDRESS, Advertised},
};

/// After that long without a renewal others take over.
const EXPIRY: Duration = Duration::from_secs(15);
/// For so long a renewal holds.
const HOLD: Duration = Duration::from_secs(10);
/// Between two looks.
const LOOK: Duration = Duration::from_secs(2);
/// So many looks go by until others are looked for.
const LOOKS: u32 = 5;
/// By which Leases of installations are found.
const LABEL: (&str, &str) = ("app.kubernetes.io/name", "postern");
/// A look that takes longer has failed.
const ANSWER: Duration = Duration::from_secs(5);
/// Giving it back may take so long.
const RELEASE: Duration = Duration::from_secs(2);

/// That we hold the Lease, for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    until: Instant,
}

impl Term {
    /// One that holds until then.
    pub fn until(until: Instant) -> Self {
        Self { until }
    }

    /// Whether it still holds at `now`.
    pub fn holds(self, now: Instant) -> bool {
        now < self.until
    }
}

/// A candidate for the Lease.
pub(super) struct Candidate {
    api: Api<Lease>,
    name: String,
    identity: Arc<str>,
    advertised: Advertised,
    term: watch::Sender<Option<Term>>,
    seen: Option<Sighting>,
    rivals: Rivals,
    office: Office,
    counts: Arc<Counts>,
}

/// Whether we may write, and who else might.
#[derive(Clone, Debug, Default)]
pub(super) struct Office {
    /// That the Lease is ours, while no older installation writes.
    pub(super) terms: watch::Sender<Option<Term>>,
    /// Other installations.
    pub(super) found: watch::Sender<Found>,
}

/// What the Lease said, and since when.
#[derive(Clone, Debug, PartialEq)]
struct Sighting {
    spec: LeaseSpec,
    since: Instant,
}

/// What to do about a Lease that somebody has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Move {
    Renew,
    TakeOver,
    Wait,
}

impl Candidate {
    /// For the Lease `name` in `namespace`; `identity` is unlike that of any other candidate. `term` says while it is
    /// ours, and the Lease where others reach us then.
    pub(super) fn new(
        (client, namespace, name): (Client, &str, &str),
        identity: Arc<str>,
        advertised: Advertised,
        term: watch::Sender<Option<Term>>,
        office: Office,
        controllers: Arc<[Arc<str>]>,
        counts: Arc<Counts>,
    ) -> Self {
        let api = Api::namespaced(client.clone(), namespace);
        let rivals = Rivals::new(client, namespace, name, controllers);
        Self { api, name: name.to_owned(), identity, advertised, term, seen: None, rivals, office, counts }
    }

    /// Tries to get the Lease, and keeps it, until `stopped` resolves; then gives it back.
    pub(super) async fn run(mut self, stopped: impl Future<Output = ()>) {
        tokio::select! {
            () = self.keep() => {}
            () = stopped => {}
        }
        self.office.terms.send_replace(None);
        if self.term.send_replace(None).is_some() {
            // Others take over after the expiry if this fails.
            let _in_time = tokio::time::timeout(RELEASE, self.release()).await;
        }
    }

    async fn keep(&mut self) {
        for look in 0_u32.. {
            let began = Instant::now();
            match tokio::time::timeout(ANSWER, self.look(began)).await {
                Ok(Ok(true)) => self.holding(began),
                Ok(Ok(false)) => self.lost("somebody else holds it"),
                Ok(Err(error)) => {
                    tracing::debug!(%error, "the Lease cannot be read or written");
                    self.expire(began);
                }
                Err(_) => self.expire(began),
            }
            if look % LOOKS == 0 {
                self.look_for_others().await;
            }
            tokio::time::sleep(LOOK.mul_f64(0.8 + 0.4 * rand::random::<f64>())).await;
        }
    }

    /// Looks for other installations, and tells of them.
    async fn look_for_others(&mut self) {
        let Ok(Some(found)) = tokio::time::timeout(ANSWER, self.rivals.look()).await else { return };
        self.counts.others(found.others.len());
        if let Some(elder) = &found.elder
            && self.office.terms.send_replace(None).is_some()
        {
            tracing::warn!(
                lease = self.name,
                elder = &**elder,
                "this Postern writes status no more, since an older one does"
            );
        }
        self.office.found.send_if_modified(|before| std::mem::replace(before, found.clone()) != found);
    }

    /// Looks at the Lease and renews it or takes it, where it may. Says whether it is ours.
    async fn look(&mut self, now: Instant) -> Result<bool, kube::Error> {
        let Some(lease) = self.api.get_opt(&self.name).await? else {
            let new = Lease { metadata: self.metadata(ObjectMeta::default()), spec: Some(self.spec(0, None)) };
            return won(self.api.create(&PostParams::default(), &new).await);
        };
        let spec = lease.spec.clone().unwrap_or_default();
        if self.seen.as_ref().is_none_or(|seen| seen.spec != spec) {
            self.seen = Some(Sighting { spec: spec.clone(), since: now });
        }
        let transitions = spec.lease_transitions.unwrap_or(0);
        let spec = match self.seen.as_ref().map_or(Move::Wait, |seen| choose(seen, &self.identity, now)) {
            Move::Wait => return Ok(false),
            Move::Renew => self.spec(transitions, spec.acquire_time),
            Move::TakeOver => self.spec(transitions.saturating_add(1), None),
        };
        let changed = Lease { metadata: self.metadata(lease.metadata), spec: Some(spec) };
        won(self.api.replace(&self.name, &PostParams::default(), &changed).await)
    }

    async fn release(&self) -> Result<(), kube::Error> {
        let Some(mut lease) = self.api.get_opt(&self.name).await? else { return Ok(()) };
        let spec = lease.spec.get_or_insert_default();
        if spec.holder_identity.as_deref() == Some(&*self.identity) {
            spec.holder_identity = Some(String::new());
            spec.lease_duration_seconds = Some(1);
            self.api.replace(&self.name, &PostParams::default(), &lease).await?;
        }
        Ok(())
    }

    fn holding(&self, began: Instant) {
        let term = Some(Term::until(began + HOLD));
        self.term.send_replace(term);
        self.counts.lease(true);
        if self.office.found.borrow().elder.is_some() {
            return;
        }
        if self.office.terms.send_replace(term).is_none() {
            tracing::info!(lease = self.name, "this Postern writes status from now on");
        }
    }

    fn lost(&self, why: &str) {
        self.counts.lease(false);
        self.term.send_replace(None);
        if self.office.terms.send_replace(None).is_some() {
            tracing::warn!(lease = self.name, why, "this Postern writes status no more");
        }
    }

    fn expire(&self, now: Instant) {
        let expired = self.term.borrow().is_some_and(|term| !term.holds(now));
        if expired {
            self.lost("it could not be renewed in time");
        }
    }

    /// With our address, and what others have put there.
    fn metadata(&self, mut metadata: ObjectMeta) -> ObjectMeta {
        let annotations = metadata.annotations.get_or_insert_default();
        match self.advertised.address() {
            Some(address) => drop(annotations.insert(ADDRESS.to_owned(), address.to_string())),
            None => drop(annotations.remove(ADDRESS)),
        }
        annotations.insert(CONTROLLERS.to_owned(), self.rivals.controllers());
        metadata.labels.get_or_insert_default().insert(LABEL.0.to_owned(), LABEL.1.to_owned());
        ObjectMeta { name: Some(self.name.clone()), managed_fields: None, ..metadata }
    }

    fn spec(&self, transitions: i32, acquired: Option<MicroTime>) -> LeaseSpec {
        let now = MicroTime(Timestamp::now());
        LeaseSpec {
            acquire_time: acquired.or_else(|| Some(now.clone())),
            holder_identity: Some(self.identity.as_ref().to_owned()),
            lease_duration_seconds: Some(EXPIRY.as_secs() as i32),
            lease_transitions: Some(transitions),
            renew_time: Some(now),
            ..LeaseSpec::default()
        }
    }
}

fn choose(seen: &Sighting, identity: &str, now: Instant) -> Move {
    let holder = seen.spec.holder_identity.as_deref().unwrap_or_default();
    let said = seen.spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
    // A holder that promises less than we do is given what it promises; one that promises more is believed.
    let expiry = said.map_or(EXPIRY, Duration::from_secs);
    match holder {
        _ if holder == identity => Move::Renew,
        "" => Move::TakeOver,
        _ if now.duration_since(seen.since) > expiry => Move::TakeOver,
        _ => Move::Wait,
    }
}

/// Somebody who was faster is no error.
fn won(outcome: Result<Lease, kube::Error>) -> Result<bool, kube::Error> {
    match outcome {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sighting(holder: &str, since: Instant) -> Sighting {
        let spec = LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            lease_duration_seconds: Some(15),
            ..LeaseSpec::default()
        };
        Sighting { spec, since }
    }

    #[test]
    fn a_lease_is_taken_when_it_is_free_or_was_not_renewed_for_its_time_and_never_before() {
        let since = Instant::now();
        let after = |seconds| since + Duration::from_secs(seconds);
        for (holder, now, expected) in [
            ("me", after(0), Move::Renew),
            ("me", after(100), Move::Renew),
            ("", after(0), Move::TakeOver),
            ("other", after(0), Move::Wait),
            ("other", after(15), Move::Wait),
            ("other", after(16), Move::TakeOver),
        ] {
            assert_eq!(choose(&sighting(holder, since), "me", now), expected, "{holder:?}");
        }
    }

    #[test]
    fn a_holder_stops_before_others_may_take_over() {
        assert!(HOLD < EXPIRY);
        let term = Term { until: Instant::now() + HOLD };
        assert!(term.holds(Instant::now()));
        assert!(!term.holds(Instant::now() + HOLD));
    }

    #[test]
    fn clocks_of_others_do_not_matter() {
        let since = Instant::now();
        for renewed in ["1999-01-01T00:00:00Z", "2099-01-01T00:00:00Z"] {
            let mut seen = sighting("other", since);
            seen.spec.renew_time = Some(MicroTime(renewed.parse().expect("a time")));
            assert_eq!(choose(&seen, "me", since + Duration::from_secs(14)), Move::Wait, "{renewed}");
            assert_eq!(choose(&seen, "me", since + Duration::from_secs(16)), Move::TakeOver, "{renewed}");
        }
    }
}
