//! Follows the adopted Service: where clients reach it, and its ports.

use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::Service;
use kube::{
    Api, Client,
    runtime::{
        WatchStreamExt as _, watcher,
        watcher::{Config, Event},
    },
};
use tokio::sync::watch;

use crate::kubernetes::{
    convert::EntryPoint,
    takeover::adoption::{self, Adopted},
};

/// Tells what it comes to whenever that changes; `None` when it has gone. Never ends by itself.
pub(in super::super) async fn follow_service(
    client: Client,
    entry_points: Vec<EntryPoint>,
    tell: watch::Sender<Option<Adopted>>,
) {
    let Some((namespace, name)) = tell.borrow().as_ref().map(|it| (it.namespace.clone(), it.name.clone())) else {
        return std::future::pending().await;
    };
    let config = Config::default().fields(&format!("metadata.name={name}"));
    let api = Api::<Service>::namespaced(client, &namespace);
    let mut events = std::pin::pin!(watcher(api, config).default_backoff());
    let mut listed = None;
    while let Some(event) = events.next().await {
        let there = match event {
            Ok(Event::Init) => {
                listed = None;
                continue;
            }
            Ok(Event::InitApply(service)) => {
                listed = Some(service);
                continue;
            }
            Ok(Event::InitDone) => listed.take(),
            Ok(Event::Apply(service)) => Some(service),
            Ok(Event::Delete(_)) => None,
            Err(error) => {
                tracing::debug!(%error, namespace, name, "the adopted Service cannot be followed");
                continue;
            }
        };
        if there.is_none() {
            tracing::warn!(
                namespace,
                name,
                "the adopted Service has gone: status goes on showing its addresses until the next start; set kubernetes.addresses"
            );
        }
        let adopted = there.map(|service| adoption::adopt(&service, &entry_points));
        tell.send_if_modified(|told| {
            let changed = *told != adopted;
            *told = adopted;
            changed
        });
    }
}
