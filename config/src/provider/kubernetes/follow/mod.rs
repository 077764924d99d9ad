//! One kind: lists, watches, and tells the collector; again and again whatever goes wrong.

mod trouble;

use std::{sync::Arc, time::Duration};

use futures_util::{Stream, StreamExt as _};
use jiff::Timestamp;
use kube::{
    Client,
    api::DynamicObject,
    core::PartialObjectMeta,
    runtime::watcher::{self, Config, Event},
};
use tokio::{sync::mpsc, time::Instant};

pub(super) use self::trouble::{Trouble, chain, said};
use super::{
    collect::{Seen, Told},
    counts::{Counts, FollowState},
    fetch::Wanted,
    resource::{Served, Source, key_of},
};
use crate::kubernetes::store::Key;

/// Objects per answer while listing.
const PAGE: u32 = 500;
/// The same of names, most of which nobody wants: what a page takes in memory is kept by the allocator.
const PAGE_OF_NAMES: u32 = 100;
/// Between two looks for a kind that the API does not know, so that a CRD is picked up soon after it is installed.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A watch that has held so long is none that breaks at once.
const HELD: Duration = Duration::from_secs(10);
/// For a timer that is not wanted again.
const FAR: Duration = Duration::from_secs(365 * 24 * 3600);
/// A watch is begun anew that often, below the five minutes after which API servers end it.
const WATCH_SECONDS: u32 = 290;

/// Follows one source.
pub(super) struct Follower {
    /// What.
    pub(super) source: Source,
    /// Those whose parts of a status are ours.
    pub(super) controllers: Arc<[Arc<str>]>,
    /// Of kinds that matter by reference only, what is wanted.
    pub(super) wanted: Wanted,
    /// The version in which each kind is served, for those who write.
    pub(super) served: Served,
    /// Where it is counted.
    pub(super) counts: Arc<Counts>,
    /// Who is told.
    pub(super) tell: mpsc::Sender<Told>,
}

impl Follower {
    /// Follows until nobody listens.
    pub(super) async fn run(self, client: Client) {
        let versions = self.source.kind.versions();
        let (mut at, mut pause) = (0, FIRST_PAUSE);
        self.counts.waiting(&self.source);
        loop {
            let version = versions.get(at).copied().unwrap_or_default();
            let Some(trouble) = self.follow(&client, version, &mut pause).await else { return };
            if trouble == Trouble::Unknown && at + 1 < versions.len() {
                at += 1;
                continue;
            }
            let trouble = trouble.confirmed(&client, &self.source).await;
            let after = match trouble {
                Trouble::Unknown => LOOK_AGAIN,
                _ => {
                    let jittered = pause.mul_f64(0.5 + rand::random::<f64>());
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    jittered
                }
            };
            at = 0;
            if !self.tell(trouble).await {
                return;
            }
            tokio::time::sleep(after).await;
        }
    }

    /// Tells of trouble. Says whether anybody listens.
    async fn tell(&self, trouble: Trouble) -> bool {
        let state = match &trouble {
            Trouble::Unknown => FollowState::Missing,
            Trouble::Forbidden(_) | Trouble::Unwatched(_) => FollowState::Refused,
            Trouble::Passing(_) => FollowState::Failing,
        };
        let told = match trouble {
            Trouble::Unknown => {
                self.counts.follow(&self.source, state);
                Told::Unknown(self.source.clone())
            }
            Trouble::Forbidden(ref why) | Trouble::Unwatched(ref why) | Trouble::Passing(ref why) => {
                self.counts.trouble(&self.source, state, why, Timestamp::now());
                Told::Trouble(self.source.clone(), trouble)
            }
        };
        self.tell.send(told).await.is_ok()
    }

    /// Lists and watches in `version` until there is trouble; `None` when nobody listens.
    async fn follow(&self, client: &Client, version: &'static str, pause: &mut Duration) -> Option<Trouble> {
        let (source, client) = (&self.source, client.clone());
        let is_by_reference = source.kind.is_by_reference();
        let page = if is_by_reference { PAGE_OF_NAMES } else { PAGE };
        let config = Config::default().page_size(page).timeout(WATCH_SECONDS);
        if is_by_reference {
            let names = kube::runtime::watcher(source.api::<PartialObjectMeta<DynamicObject>>(client, version), config);
            let names = names.map(|event| event.map(|event| map(event, seen_name(source))));
            self.pass_on(names, |key| self.wanted.has(key), version, pause).await
        } else {
            let objects = kube::runtime::watcher(source.api::<DynamicObject>(client, version), config);
            let objects = objects.map(|event| event.map(|event| map(event, seen_object(source, &self.controllers))));
            self.pass_on(objects, |_| true, version, pause).await
        }
    }

    /// Passes events about what `matters` on until there is trouble; `None` when nobody listens.
    async fn pass_on(
        &self,
        events: impl Stream<Item = Result<Event<Seen>, watcher::Error>>,
        matters: impl Fn(&Key) -> bool,
        version: &'static str,
        pause: &mut Duration,
    ) -> Option<Trouble> {
        let mut events = std::pin::pin!(events);
        let mut listed = Vec::new();
        let holds = tokio::time::sleep(FAR);
        tokio::pin!(holds);
        let mut since = None;
        loop {
            let event = tokio::select! {
                event = events.next() => event,
                () = &mut holds => {
                    holds.as_mut().reset(Instant::now() + FAR);
                    *pause = FIRST_PAUSE;
                    self.counts.follow(&self.source, FollowState::Ok);
                    self.tell.send(Told::Held(self.source.clone())).await.ok()?;
                    continue;
                }
            };
            let told = match event {
                Some(Ok(Event::Init)) => {
                    listed.clear();
                    continue;
                }
                Some(Ok(Event::InitApply(seen))) => {
                    if matters(&seen.key) {
                        listed.push(seen);
                    }
                    continue;
                }
                Some(Ok(Event::InitDone)) => {
                    // A list alone is no success: where no watch comes of it, it would be asked for without a pause.
                    holds.as_mut().reset(*since.get_or_insert_with(Instant::now) + HELD);
                    self.served.set(self.source.kind, version);
                    self.counts.follow(&self.source, FollowState::Listed);
                    Told::Listed(self.source.clone(), std::mem::take(&mut listed))
                }
                Some(Ok(Event::Apply(seen) | Event::Delete(seen))) if !matters(&seen.key) => continue,
                Some(Ok(Event::Apply(seen))) => Told::Changed(self.source.clone(), seen),
                Some(Ok(Event::Delete(seen))) => Told::Gone(self.source.clone(), seen.key),
                Some(Err(error)) => match Trouble::of(&error) {
                    Some(trouble) => return Some(trouble),
                    // The watcher lists anew by itself.
                    None => continue,
                },
                None => return Some(Trouble::Passing("the watch has ended".to_owned())),
            };
            self.tell.send(told).await.ok()?;
        }
    }
}

fn map<A, B>(event: Event<A>, mut change: impl FnMut(A) -> B) -> Event<B> {
    match event {
        Event::Apply(object) => Event::Apply(change(object)),
        Event::Delete(object) => Event::Delete(change(object)),
        Event::Init => Event::Init,
        Event::InitApply(object) => Event::InitApply(change(object)),
        Event::InitDone => Event::InitDone,
    }
}

fn seen_object(source: &Source, controllers: &[Arc<str>]) -> impl FnMut(DynamicObject) -> Seen {
    let kind = source.kind;
    move |object| Seen::whole(kind, object, controllers)
}

fn seen_name(source: &Source) -> impl FnMut(PartialObjectMeta<DynamicObject>) -> Seen {
    let kind = source.kind;
    move |object| {
        let key = key_of(kind, &object.metadata);
        Seen { key, version: object.metadata.resource_version.unwrap_or_default().into(), content: None, status: None }
    }
}
