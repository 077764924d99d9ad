//! A few objects, watched and at hand as they are: what is looked up in the cluster, rather than compiled ([`super::follow`]
//! is for that, and keeps none).

use std::{collections::BTreeMap, fmt::Debug};

use futures_util::StreamExt as _;
use kube::{
    Api, Resource, ResourceExt as _,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Config, Event},
    },
};
use serde::de::DeserializeOwned;
use tokio::sync::watch;

/// Watches the object `name` alone.
pub(super) fn one(name: &str) -> Config {
    Config::default().fields(&format!("metadata.name={name}"))
}

/// Shows everything that is there, by name, at each change, or what keeps it from knowing; what was shown holds then.
/// Does not end as long as it is polled.
pub(super) async fn mirror<K>(
    api: Api<K>,
    config: Config,
    mut show: impl FnMut(Result<&BTreeMap<String, K>, &watcher::Error>),
) where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let mut events = std::pin::pin!(kube::runtime::watcher(api, config).default_backoff());
    let (mut objects, mut listed) = (BTreeMap::new(), BTreeMap::new());
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => {
                listed.clear();
                continue;
            }
            Ok(Event::InitApply(object)) => {
                listed.insert(object.name_any(), object);
                continue;
            }
            Ok(Event::InitDone) => objects = std::mem::take(&mut listed),
            Ok(Event::Apply(object)) => drop(objects.insert(object.name_any(), object)),
            Ok(Event::Delete(object)) => drop(objects.remove(&object.name_any())),
            Err(error) => {
                show(Err(&error));
                continue;
            }
        }
        show(Ok(&objects));
    }
}

/// Tells `value` where it differs from what was told last.
pub(super) fn tell<T: PartialEq>(told: &watch::Sender<T>, value: T) {
    told.send_if_modified(|before| {
        let differs = *before != value;
        *before = value;
        differs
    });
}
