//! Keeps MetalLB's ServiceL2Status objects as they should be, as the holder of the Lease and where the cluster has the
//! kind. Those of others are left alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use kube::{
    Api, Client, Error as ClientError, ResourceExt as _,
    api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use tokio::{sync::watch, time::Instant};

use crate::{
    kubernetes::announced::l2_status::{API, L2Status, OURS},
    provider::kubernetes::{follow::said, lease::Term},
};

/// What is there is asked for again after so long: somebody may have taken one away, or the kind has come.
const AGAIN: Duration = Duration::from_secs(300);
/// After something that was not taken.
const AFTER_TROUBLE: Duration = Duration::from_secs(10);

/// Which objects there should be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::provider::kubernetes) struct Wanted {
    /// These.
    pub(in crate::provider::kubernetes) statuses: BTreeSet<L2Status>,
    /// Services of which it is not known, by namespace and name: theirs stay.
    pub(in crate::provider::kubernetes) undecided: BTreeSet<(Arc<str>, Arc<str>)>,
}

/// What is there of ours: by namespace and name, the status.
type There = BTreeMap<(String, String), Value>;

/// Writes what `wanted` says while `lease` is held; never ends. `None` says nothing. In `namespaces`, or everywhere.
pub(in crate::provider::kubernetes) async fn write(
    client: Client,
    namespaces: Vec<String>,
    mut lease: watch::Receiver<Option<Term>>,
    mut wanted: watch::Receiver<Option<Arc<Wanted>>>,
) {
    let mut writer = Writer { client, namespaces, there: None, waits: false, refused: false };
    let mut again = Instant::now();
    loop {
        let holds = lease.borrow_and_update().is_some_and(|term| term.holds(Instant::now()));
        let told = wanted.borrow_and_update().clone().filter(|_| holds);
        match told {
            Some(told) => {
                let is_again = again <= Instant::now();
                if is_again {
                    (writer.there, writer.waits, again) = (None, false, Instant::now() + AGAIN);
                }
                if !writer.waits && !writer.settle(&told).await {
                    (writer.waits, again) = (true, Instant::now() + AFTER_TROUBLE);
                }
            }
            // Another may write meanwhile.
            None => writer.there = None,
        }
        tokio::select! {
            changed = lease.changed() => if changed.is_err() { return },
            changed = wanted.changed() => if changed.is_err() { return },
            () = tokio::time::sleep_until(again), if holds => {}
        }
    }
}

struct Writer {
    client: Client,
    namespaces: Vec<String>,
    /// `None`: it has to be asked for. Nothing in it: the cluster does not have the kind.
    there: Option<Option<There>>,
    /// Whether it waits for trouble to pass.
    waits: bool,
    /// Whether it was said that we may not.
    refused: bool,
}

impl Writer {
    /// Says whether everything is as it should be.
    async fn settle(&mut self, wanted: &Wanted) -> bool {
        let outcome = self.try_settle(wanted).await;
        match &outcome {
            Ok(()) => self.refused = false,
            Err(error) if !std::mem::replace(&mut self.refused, true) => tracing::warn!(
                error = said(error),
                "ServiceL2Status objects are not written; grant list, create, patch and delete on servicel2statuses.metallb.io, and patch on their status"
            ),
            Err(_) => {}
        }
        outcome.is_ok()
    }

    async fn try_settle(&mut self, wanted: &Wanted) -> Result<(), ClientError> {
        if self.there.is_none() {
            self.there = Some(self.list().await?);
        }
        let Some(Some(there)) = &mut self.there else { return Ok(()) };
        let names: BTreeMap<_, _> =
            wanted.statuses.iter().map(|status| ((status.namespace.to_string(), status.name()), status)).collect();
        let is_left = |status: &Value| {
            let text = |field: &str| Arc::<str>::from(status[field].as_str().unwrap_or_default());
            wanted.undecided.contains(&(text("serviceNamespace"), text("serviceName")))
        };
        let is_gone = |(name, status): &(&(String, String), &Value)| !names.contains_key(*name) && !is_left(status);
        let gone: Vec<_> = there.iter().filter(is_gone).map(|(name, _)| name.clone()).collect();
        for name in gone {
            remove(&self.client, &name).await?;
            there.remove(&name);
        }
        for (name, status) in names {
            let says = status.status();
            if there.get(&name) != Some(&says) {
                put(&self.client, status, !there.contains_key(&name)).await?;
                there.insert(name, says);
            }
        }
        Ok(())
    }

    /// What is there of ours; `None`: the cluster does not have the kind.
    async fn list(&self) -> Result<Option<There>, ClientError> {
        let ours = ListParams::default().labels(&format!("{}={}", OURS.0, OURS.1));
        let everywhere = Api::all_with(self.client.clone(), &resource());
        let in_namespace = |name: &String| Api::namespaced_with(self.client.clone(), name, &resource());
        let apis: Vec<Api<DynamicObject>> = if self.namespaces.is_empty() {
            vec![everywhere]
        } else {
            self.namespaces.iter().map(in_namespace).collect()
        };
        let mut there = There::new();
        for api in apis {
            match api.list(&ours).await {
                Ok(list) => there.extend(list.items.into_iter().map(|mut object| {
                    let status = object.data.get_mut("status").map(Value::take).unwrap_or_default();
                    ((object.namespace().unwrap_or_default(), object.name_any()), status)
                })),
                Err(ClientError::Api(status)) if status.code == 404 => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Ok(Some(there))
    }
}

/// How the API names the kind.
pub(in crate::provider::kubernetes) fn resource() -> ApiResource {
    let [group, version, kind, plural] = API;
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
}

async fn remove(client: &Client, (namespace, name): &(String, String)) -> Result<(), ClientError> {
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource());
    match api.delete(name, &DeleteParams::default()).await {
        Err(ClientError::Api(status)) if status.code == 404 => Ok(()),
        outcome => outcome.map(drop),
    }
}

/// The status of what is created is not taken with it.
async fn put(client: &Client, status: &L2Status, is_new: bool) -> Result<(), ClientError> {
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &status.namespace, &resource());
    if is_new {
        let object = serde_json::from_value(status.object()).map_err(ClientError::SerdeError)?;
        match api.create(&PostParams::default(), &object).await {
            Err(ClientError::Api(status)) if status.code == 409 => {}
            Err(error) => return Err(error),
            Ok(_) => {}
        }
    }
    let patch = json!({"status": status.status()});
    api.patch_status(&status.name(), &PatchParams::default(), &Patch::Merge(patch)).await.map(drop)
}
