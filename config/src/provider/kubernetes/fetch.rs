//! The content of what is referred to: Secrets and ConfigMaps by name.

use std::{collections::HashMap, time::Duration};

use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use kube::{Api, Client, Error as ClientError, api::DynamicObject};

use super::{
    collect::{self, Content},
    follow::chain,
    resource::api_resource,
};
use crate::{kubernetes::store::Key, provider::Demand};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What became of a fetch.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) key: Key,
    /// `None`: there is no such object. An error says why we may not read it.
    pub(super) outcome: Result<Option<Content>, String>,
    /// Whether publishing waits for it.
    pub(super) answers: bool,
}

/// Wanted objects and fetches under way.
pub(super) struct Fetches {
    client: Client,
    wanted: HashMap<Key, Fetch>,
    under_way: FuturesUnordered<BoxFuture<'static, Fetched>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Fetch {
    under_way: bool,
    /// It has changed since the fetch began.
    again: bool,
}

impl Fetches {
    /// None yet.
    pub(super) fn new(client: Client) -> Self {
        Self { client, wanted: HashMap::new(), under_way: FuturesUnordered::new() }
    }

    /// Takes over what is referred to from now on.
    pub(super) fn demand(&mut self, demand: Demand) {
        for key in demand.unwanted {
            self.wanted.remove(&key);
        }
        for key in demand.wanted {
            self.wanted.insert(key.clone(), Fetch { under_way: true, again: false });
            self.start(key, true);
        }
    }

    /// The content of `key` has changed.
    pub(super) fn refresh(&mut self, key: &Key) {
        let Some(fetch) = self.wanted.get_mut(key) else { return };
        if fetch.under_way {
            fetch.again = true;
        } else {
            fetch.under_way = true;
            self.start(key.clone(), false);
        }
    }

    /// The next that is ready; `None` when none is under way.
    pub(super) async fn next(&mut self) -> Option<Fetched> {
        let mut fetched = self.under_way.next().await?;
        match self.wanted.get_mut(&fetched.key) {
            Some(fetch) if fetch.again => {
                *fetch = Fetch { under_way: true, again: false };
                self.start(fetched.key.clone(), false);
            }
            Some(fetch) => fetch.under_way = false,
            // Nobody refers to it any more: nothing of it is kept.
            None => fetched.outcome = Ok(None),
        }
        Some(fetched)
    }

    fn start(&mut self, key: Key, answers: bool) {
        self.under_way.push(Box::pin(fetch(self.client.clone(), key, answers)));
    }
}

/// Asks until there is an answer.
async fn fetch(client: Client, key: Key, answers: bool) -> Fetched {
    let version = key.kind.versions().first().copied().unwrap_or_default();
    let api: Api<DynamicObject> = Api::namespaced_with(client, &key.namespace, &api_resource(key.kind, version));
    let mut pause = FIRST_PAUSE;
    let outcome = loop {
        match api.get_opt(&key.name).await {
            Ok(object) => break Ok(object.map(|object| collect::content(key.kind, object).1)),
            Err(ClientError::Api(status)) if matches!(status.code, 400..=499) && status.code != 429 => {
                break Err(status.message.clone());
            }
            Err(error) => {
                tracing::debug!(
                    kind = key.kind.as_str(),
                    namespace = &*key.namespace,
                    name = &*key.name,
                    error = chain(&error),
                    "not fetched yet"
                );
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    };
    Fetched { key, outcome, answers }
}
