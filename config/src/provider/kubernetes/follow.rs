//! One kind: lists, watches, and tells the collector; again and again whatever goes wrong.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{Stream, StreamExt as _};
use kube::{
    Client, Error as ClientError,
    api::DynamicObject,
    core::PartialObjectMeta,
    runtime::watcher::{self, Config, Event},
};
use tokio::sync::mpsc;

use super::{
    collect::{Seen, Told},
    fetch::Wanted,
    resource::{Source, key_of},
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
/// A watch is begun anew that often; below the client's read timeout.
const WATCH_SECONDS: u32 = 290;

/// Why following stands still.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The API has no such kind.
    Unknown,
    /// We may not.
    Forbidden(String),
    /// Anything that time may heal.
    Passing(String),
}

/// Follows `source` until nobody listens; of kinds that matter by reference only, what is `wanted`. `controllers` are
/// those whose parts of a status are ours.
pub(super) async fn follow(
    client: Client,
    source: Source,
    controllers: Arc<[Arc<str>]>,
    wanted: Wanted,
    tell: mpsc::Sender<Told>,
) {
    let mut versions = source.kind.versions().iter().cycle();
    let mut unknown = 0;
    let mut pause = FIRST_PAUSE;
    while let Some(version) = versions.next() {
        let is_by_reference = source.kind.is_by_reference();
        let page = if is_by_reference { PAGE_OF_NAMES } else { PAGE };
        let config = Config::default().page_size(page).timeout(WATCH_SECONDS);
        let everything = |_: &Key| true;
        let trouble = if is_by_reference {
            let names =
                kube::runtime::watcher(source.api::<PartialObjectMeta<DynamicObject>>(client.clone(), version), config);
            let names = names.map(|event| event.map(|event| map(event, seen_name(&source))));
            run(&source, names, |key| wanted.has(key), &tell, &mut pause).await
        } else {
            let objects = kube::runtime::watcher(source.api::<DynamicObject>(client.clone(), version), config);
            let objects = objects.map(|event| event.map(|event| map(event, seen_object(&source, &controllers))));
            run(&source, objects, everything, &tell, &mut pause).await
        };
        match trouble {
            None => return,
            Some(Trouble::Unknown) => {
                unknown += 1;
                if unknown < source.kind.versions().len() {
                    continue;
                }
                unknown = 0;
                if tell.send(Told::Unknown(source.clone())).await.is_err() {
                    return;
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            Some(trouble) => {
                if tell.send(Told::Trouble(source.clone(), trouble)).await.is_err() {
                    return;
                }
                // The same version again.
                versions = source.kind.versions().iter().cycle();
                unknown = 0;
                let jitter = rand::random::<f64>();
                tokio::time::sleep(pause.mul_f64(0.5 + jitter)).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

/// Passes events about what `matters` on until there is trouble; `None` when nobody listens.
async fn run(
    source: &Source,
    events: impl Stream<Item = Result<Event<Seen>, watcher::Error>>,
    matters: impl Fn(&Key) -> bool,
    tell: &mpsc::Sender<Told>,
    pause: &mut Duration,
) -> Option<Trouble> {
    let mut events = std::pin::pin!(events);
    let mut listed = Vec::new();
    let mut since = None;
    loop {
        let told = match events.next().await {
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
                since.get_or_insert_with(Instant::now);
                Told::Listed(source.clone(), std::mem::take(&mut listed))
            }
            Some(Ok(Event::Apply(seen) | Event::Delete(seen))) if !matters(&seen.key) => continue,
            Some(Ok(Event::Apply(seen))) => Told::Changed(source.clone(), seen),
            Some(Ok(Event::Delete(seen))) => Told::Gone(source.clone(), seen.key),
            Some(Err(error)) => match trouble(&error) {
                Some(trouble) => {
                    // A list alone is no success: where no watch comes of it, it would be asked for without a pause.
                    if since.is_some_and(|since| since.elapsed() > HELD) {
                        *pause = FIRST_PAUSE;
                    }
                    return Some(match trouble {
                        // Every API server has it; who says otherwise is none.
                        Trouble::Unknown if source.is_built_in() => Trouble::Passing(error.to_string()),
                        other => other,
                    });
                }
                // The watcher lists anew by itself.
                None => continue,
            },
            None => return Some(Trouble::Passing("the watch has ended".to_owned())),
        };
        if tell.send(told).await.is_err() {
            return None;
        }
    }
}

/// What an error means; `None`: the watch is merely too old and begins anew.
fn trouble(error: &watcher::Error) -> Option<Trouble> {
    let status = match error {
        watcher::Error::WatchError(status) => status,
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => match error {
            ClientError::Api(status) => status,
            other => return Some(Trouble::Passing(chain(other))),
        },
        watcher::Error::NoResourceVersion => return Some(Trouble::Passing(error.to_string())),
    };
    match status.code {
        410 => None,
        404 | 405 => Some(Trouble::Unknown),
        401 | 403 => Some(Trouble::Forbidden(status.message.clone())),
        _ => Some(Trouble::Passing(status.message.clone())),
    }
}

/// An error with what it was caused by, in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        let said = deeper.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = deeper.source();
    }
    text
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
