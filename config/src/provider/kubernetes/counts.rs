//! What is counted of a cluster's API, for whoever shows it: one tally, looked at when somebody scrapes. Rare, so a lock
//! is right here.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;

use super::resource::Source;
use crate::{allocation::Allocation, kubernetes::object::Kind};

/// Counts since the start, shared by those who write and those who read.
#[derive(Debug, Default)]
pub struct Counts(Mutex<Tally>);

/// What was counted so far.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Writes of status, by kind and what became of them.
    pub status: BTreeMap<(Kind, StatusOutcome), u64>,
    /// Events, by what became of them.
    pub events: BTreeMap<EventOutcome, u64>,
    /// Reads of objects that others refer to, by kind and what became of them.
    pub fetches: BTreeMap<(Kind, FetchOutcome), u64>,
    /// Requests that failed, by status; `0`: there was no answer, or it broke off.
    pub errors: BTreeMap<u16, u64>,
    /// What is followed, by kind and namespace; an empty one stands for all.
    pub follows: BTreeMap<(Kind, Arc<str>), Follow>,
    /// Whether we hold the Lease.
    pub holds_lease: bool,
    /// How often we came to hold it or held it no more.
    pub lease_transitions: u64,
    /// How many other installations of Postern speak for the same controllers.
    pub others: u64,
    /// Who has which address, where Postern gives them out.
    pub allocation: Arc<Allocation>,
    /// When the API server was heard last.
    pub last_contact: Option<Timestamp>,
    /// How far our clock is ahead of the API server's, in seconds.
    pub clock_skew: Option<f64>,
}

/// How it goes with one list and watch.
#[derive(Clone, Debug, Default)]
pub struct Follow {
    /// At the moment.
    pub state: FollowState,
    /// How often it was begun anew after trouble.
    pub restarts: u64,
    /// Whether it has ever been listed, or is known not to be there.
    pub listed: bool,
    /// When there was trouble last.
    pub last_error: Option<Timestamp>,
    /// What the trouble is, while there is some.
    pub trouble: Option<Arc<str>>,
}

macro_rules! closed_set {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Lower-case name for labels.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }
    };
}

closed_set!(
    /// How it goes with a list and watch.
    FollowState {
        /// Not listed yet.
        #[default]
        Waiting = "waiting",
        /// Listed, and the watch has begun.
        Listed = "listed",
        /// The watch holds.
        Ok = "ok",
        /// Begun again and again; what was listed last is served.
        Failing = "failing",
        /// We may not.
        Refused = "refused",
        /// The API has no such kind.
        Missing = "missing",
    }
);
closed_set!(
    /// What became of a write of status.
    StatusOutcome {
        /// Written.
        #[default]
        Written = "written",
        /// The object showed it, or there is no room, or it has gone.
        Unchanged = "unchanged",
        /// Somebody was faster.
        Conflict = "conflict",
        /// It will be tried again.
        Failed = "failed",
    }
);
closed_set!(
    /// What became of an event.
    EventOutcome {
        /// A new object was written.
        #[default]
        Written = "written",
        /// One that we had written was counted up.
        Repeated = "repeated",
        /// It was there, by whoever wrote before us.
        Known = "known",
        /// The API server does not take it, or the object has gone.
        Dropped = "dropped",
        /// It will be tried again.
        Failed = "failed",
    }
);
closed_set!(
    /// What became of a read of one object.
    FetchOutcome {
        /// Read.
        #[default]
        Read = "read",
        /// There is none.
        Absent = "absent",
        /// We may not.
        Refused = "refused",
    }
);

impl Tally {
    /// The kinds that have not been listed yet, each with what keeps it, if that is known.
    pub fn awaited(&self) -> impl Iterator<Item = (Kind, Option<&str>)> {
        let awaited = self.follows.iter().filter(|(_, follow)| !follow.listed);
        awaited.map(|((kind, _), follow)| (*kind, follow.trouble.as_deref()))
    }
}

impl Counts {
    /// So far.
    pub fn tally(&self) -> Tally {
        self.lock().clone()
    }

    pub(super) fn status(&self, kind: Kind, outcome: StatusOutcome) {
        *self.lock().status.entry((kind, outcome)).or_default() += 1;
    }

    pub(super) fn event(&self, outcome: EventOutcome) {
        *self.lock().events.entry(outcome).or_default() += 1;
    }

    pub(super) fn fetch(&self, kind: Kind, outcome: FetchOutcome) {
        *self.lock().fetches.entry((kind, outcome)).or_default() += 1;
    }

    /// A request was answered with `code`, or with nothing (0).
    pub(super) fn failed(&self, code: u16) {
        *self.lock().errors.entry(code).or_default() += 1;
    }

    /// The API server was heard.
    pub(super) fn contact(&self, now: Timestamp) {
        self.lock().last_contact = Some(now);
    }

    pub(super) fn clock_skew(&self, seconds: f64) {
        self.lock().clock_skew = Some(seconds);
    }

    /// Whether we hold the Lease from now on.
    pub(super) fn lease(&self, held: bool) {
        let mut tally = self.lock();
        tally.lease_transitions += u64::from(tally.holds_lease != held);
        tally.holds_lease = held;
    }

    /// Who has which address from now on.
    pub(super) fn allocation(&self, allocation: Arc<Allocation>) {
        self.lock().allocation = allocation;
    }

    /// So many other installations are alive.
    pub(super) fn others(&self, count: usize) {
        self.lock().others = count as u64;
    }

    /// How it goes with `source` from now on.
    pub(super) fn follow(&self, source: &Source, state: FollowState) {
        self.follow_of(source, |follow| {
            follow.state = state;
            follow.listed |= state != FollowState::Waiting;
            follow.trouble = None;
        });
    }

    /// `source` is to be listed.
    pub(super) fn waiting(&self, source: &Source) {
        self.follow_of(source, |_| {});
    }

    /// There was trouble with `source`, which is begun anew.
    pub(super) fn trouble(&self, source: &Source, state: FollowState, why: &str, now: Timestamp) {
        self.follow_of(source, |follow| {
            follow.state = state;
            follow.restarts += 1;
            follow.last_error = Some(now);
            follow.trouble = Some(why.into());
        });
    }

    fn follow_of(&self, source: &Source, change: impl FnOnce(&mut Follow)) {
        let key = (source.kind, source.namespace.clone().unwrap_or_default());
        change(self.lock().follows.entry(key).or_default());
    }

    fn lock(&self) -> MutexGuard<'_, Tally> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
