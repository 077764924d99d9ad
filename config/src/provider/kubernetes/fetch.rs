//! The content of what is referred to: Secrets and ConfigMaps by name.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use kube::{Client, Error as ClientError};

use super::{
    collect::Seen,
    counts::{Counts, FetchOutcome},
    follow::said,
    resource::api_of,
};
use crate::kubernetes::store::Key;

/// What is fetched has no status of ours, whoever the controllers are.
const NO_STATUS: &[Arc<str>] = &[];
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// So many refusals in a row are meant: an API server that is starting does not know anybody's rights for a moment.
const REFUSALS: u32 = 4;

/// What became of a fetch.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) key: Key,
    /// `None`: there is no such object. An error says why we may not read it; it is asked for again.
    pub(super) outcome: Result<Option<Seen>, String>,
    /// Whether publishing waits for it.
    pub(super) answers: bool,
}

/// The keys that are wanted, for those who follow names.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted(Arc<Mutex<HashSet<Key>>>);

impl Wanted {
    /// Whether `key` is wanted. What happens to others before they are is no news: they are fetched then.
    pub(super) fn has(&self, key: &Key) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(key)
    }

    fn set(&self, key: &Key, wanted: bool) {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if wanted {
            keys.insert(key.clone());
        } else {
            keys.remove(key);
        }
    }
}

/// Wanted objects and fetches under way.
pub(super) struct Fetches {
    client: Client,
    counts: Arc<Counts>,
    names: Wanted,
    wanted: HashMap<Key, Fetch>,
    /// Tells a fetch from an earlier one of the same key.
    count: u64,
    under_way: FuturesUnordered<BoxFuture<'static, (u64, Fetched)>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Fetch {
    under_way: Option<u64>,
    /// It has changed since the fetch began.
    again: bool,
}

impl Fetches {
    /// None yet.
    pub(super) fn new(client: Client, counts: Arc<Counts>) -> Self {
        let (names, wanted) = (Wanted::default(), HashMap::new());
        Self { client, counts, names, wanted, count: 0, under_way: FuturesUnordered::new() }
    }

    /// The keys that are wanted, as they come and go.
    pub(super) fn wanted(&self) -> Wanted {
        self.names.clone()
    }

    /// `key` is referred to from now on; publishing waits for it if `answers`.
    pub(super) fn want(&mut self, key: Key, answers: bool) {
        self.names.set(&key, true);
        self.start(key, answers, Duration::ZERO);
    }

    /// `key` is referred to no more.
    pub(super) fn forget(&mut self, key: &Key) {
        self.names.set(key, false);
        self.wanted.remove(key);
    }

    /// The content of `key` has changed.
    pub(super) fn refresh(&mut self, key: &Key) {
        let Some(fetch) = self.wanted.get_mut(key) else { return };
        if fetch.under_way.is_some() {
            fetch.again = true;
        } else {
            self.start(key.clone(), false, Duration::ZERO);
        }
    }

    /// The next that is ready; `None` when none is under way.
    pub(super) async fn next(&mut self) -> Option<Fetched> {
        loop {
            let (number, mut fetched) = self.under_way.next().await?;
            self.counts.fetch(fetched.key.kind, outcome(&fetched));
            let key = &fetched.key;
            match self.wanted.get_mut(key) {
                // A later fetch of the same is under way and knows better; whoever waits for this one is told by that.
                Some(fetch) if fetch.under_way != Some(number) => continue,
                Some(fetch) if fetch.again => self.start(key.clone(), false, Duration::ZERO),
                // Rights may be granted, and nobody says so.
                Some(_) if fetched.outcome.is_err() => self.start(key.clone(), false, LONGEST_PAUSE),
                Some(fetch) => fetch.under_way = None,
                // Nobody refers to it any more: nothing of it is kept.
                None => fetched.outcome = Ok(None),
            }
            return Some(fetched);
        }
    }

    fn start(&mut self, key: Key, answers: bool, after: Duration) {
        self.count += 1;
        let number = self.count;
        self.wanted.insert(key.clone(), Fetch { under_way: Some(number), again: false });
        let client = self.client.clone();
        self.under_way.push(Box::pin(async move {
            tokio::time::sleep(after).await;
            (number, fetch(client, key, answers).await)
        }));
    }
}

fn outcome(fetched: &Fetched) -> FetchOutcome {
    match &fetched.outcome {
        Ok(Some(_)) => FetchOutcome::Read,
        Ok(None) => FetchOutcome::Absent,
        Err(_) => FetchOutcome::Refused,
    }
}

/// Asks until there is an answer.
async fn fetch(client: Client, key: Key, answers: bool) -> Fetched {
    let api = api_of(client, &key);
    let mut pause = FIRST_PAUSE;
    let mut refusals = 0;
    let outcome = loop {
        match api.get_opt(&key.name).await {
            Ok(object) => break Ok(object.map(|object| Seen::whole(key.kind, object, NO_STATUS))),
            Err(ClientError::Api(status))
                if matches!(status.code, 400..=499) && status.code != 429 && refusals + 1 >= REFUSALS =>
            {
                break Err(status.message.clone());
            }
            Err(error) => {
                refusals =
                    if matches!(&error, ClientError::Api(status) if status.code < 500) { refusals + 1 } else { 0 };
                tracing::debug!(
                    kind = key.kind.as_str(),
                    namespace = &*key.namespace,
                    name = &*key.name,
                    error = said(&error),
                    "not fetched yet"
                );
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    };
    Fetched { key, outcome, answers }
}
