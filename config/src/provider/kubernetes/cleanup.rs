//! Takes out of a cluster what Postern wrote into it, for `postern cleanup --cluster`: the Lease, the key of the peers,
//! EndpointSlices, ServiceL2Status objects, and its parts of status. Other people's objects stay as they are.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use k8s_openapi::api::{coordination::v1::Lease, core::v1::Secret, discovery::v1::EndpointSlice};
use kube::{
    Api, Client, Error as ClientError, ResourceExt as _,
    api::{DeleteParams, DynamicObject, ListParams, PostParams},
};
use serde_json::Value;

use super::{
    ClusterError, LEASE,
    announced::l2_status_resource,
    client,
    follow::said,
    resource::{Source, api_of, key_of, preferred},
};
use crate::kubernetes::{
    announced::l2_status::OURS,
    object::Kind,
    status::{cleared, has_status},
    takeover::slice::{MANAGED_BY, MANAGED_BY_LABEL},
};

/// The Secret with the key that peers share.
const PEER_KEY: &str = "postern-peer-key";
const OWN: [&str; 2] = ["postern.dev/ingress", "postern.dev/gateway"];
/// A Lease that was renewed this many seconds ago is somebody's.
const FRESH: i64 = 30;

/// What was done, or would be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cleanup {
    /// Removed, each in a few words.
    pub removed: Vec<String>,
    /// Could not be removed, and why.
    pub failed: Vec<String>,
}

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum CleanupError {
    /// The operator's.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The operator's: it would be written again at once.
    #[error("{0} holds the Lease {1}/{LEASE}: uninstall Postern first, or set takeover.* to observe")]
    Running(String, String),
    /// The cluster's.
    #[error("the Lease {0}/{LEASE} cannot be read: {1}")]
    Unreadable(String, String),
}

/// Cleans the cluster that the environment names; with `dry_run`, says what would be done. The Lease and the key are in
/// `namespace`, or, without one, in that of the service account or of the context.
pub async fn clean(namespace: Option<&str>, dry_run: bool) -> Result<Cleanup, CleanupError> {
    let client = client::connect().await?;
    let namespace = namespace.unwrap_or_else(|| client.default_namespace()).to_owned();
    let mut cleaning = Cleaning { client, dry_run, done: Cleanup::default() };
    cleaning.nobody_runs(&namespace).await?;
    cleaning.slices().await;
    cleaning.l2_statuses().await;
    cleaning.statuses().await;
    let (client, params) = (cleaning.client.clone(), DeleteParams::default());
    cleaning.object::<Secret>(&Api::namespaced(client.clone(), &namespace), "Secret", PEER_KEY, &params).await;
    cleaning.object::<Lease>(&Api::namespaced(client, &namespace), "Lease", LEASE, &params).await;
    Ok(cleaning.done)
}

struct Cleaning {
    client: Client,
    dry_run: bool,
    done: Cleanup,
}

impl Cleaning {
    async fn nobody_runs(&self, namespace: &str) -> Result<(), CleanupError> {
        let lease = Api::<Lease>::namespaced(self.client.clone(), namespace).get_opt(LEASE).await;
        let lease = lease.map_err(|error| CleanupError::Unreadable(namespace.to_owned(), said(&error)))?;
        let Some(spec) = lease.and_then(|lease| lease.spec) else { return Ok(()) };
        let renewed = spec.renew_time.map_or(0, |renewed| renewed.0.as_second());
        match spec.holder_identity.filter(|holder| !holder.is_empty()) {
            Some(holder) if Timestamp::now().as_second() - renewed < FRESH => {
                Err(CleanupError::Running(holder, namespace.to_owned()))
            }
            _ => Ok(()),
        }
    }

    fn note(&mut self, what: String, outcome: Result<(), ClientError>) {
        match outcome {
            Ok(()) => self.done.removed.push(what),
            Err(ClientError::Api(status)) if status.code == 404 => {}
            Err(error) => self.done.failed.push(format!("{what}: {}", said(&error))),
        }
    }

    async fn object<K>(&mut self, api: &Api<K>, kind: &str, name: &str, params: &DeleteParams)
    where
        K: kube::Resource + Clone + serde::de::DeserializeOwned + std::fmt::Debug,
    {
        let there = api.get_metadata_opt(name).await;
        let outcome = match there {
            Ok(None) => return,
            Ok(Some(_)) if self.dry_run => Ok(()),
            Ok(Some(_)) => api.delete(name, params).await.map(drop),
            Err(error) => Err(error),
        };
        self.note(format!("{kind} {name}"), outcome);
    }

    async fn slices(&mut self) {
        let ours = ListParams::default().labels(&format!("{MANAGED_BY_LABEL}={MANAGED_BY}"));
        let slices = match Api::<EndpointSlice>::all(self.client.clone()).list(&ours).await {
            Ok(slices) => slices.items,
            Err(error) => return self.done.failed.push(format!("EndpointSlices: {}", said(&error))),
        };
        for slice in slices {
            let (namespace, name) = (slice.namespace().unwrap_or_default(), slice.name_any());
            let api = Api::<EndpointSlice>::namespaced(self.client.clone(), &namespace);
            self.object(&api, &format!("EndpointSlice {namespace}/"), &name, &DeleteParams::default()).await;
        }
    }

    async fn l2_statuses(&mut self) {
        let ours = ListParams::default().labels(&format!("{}={}", OURS.0, OURS.1));
        let resource = l2_status_resource();
        let list = Api::<DynamicObject>::all_with(self.client.clone(), &resource).list(&ours).await;
        let statuses = match list {
            Ok(list) => list.items,
            // The cluster does not have the kind.
            Err(ClientError::Api(status)) if status.code == 404 => return,
            Err(error) => return self.done.failed.push(format!("ServiceL2Statuses: {}", said(&error))),
        };
        for status in statuses {
            let (namespace, name) = (status.namespace().unwrap_or_default(), status.name_any());
            let what = format!("ServiceL2Status {namespace}/{name}");
            let api = Api::<DynamicObject>::namespaced_with(self.client.clone(), &namespace, &resource);
            let outcome =
                if self.dry_run { Ok(()) } else { api.delete(&name, &DeleteParams::default()).await.map(drop) };
            self.note(what, outcome);
        }
    }

    /// Entries in the name of a product that Postern stood in for look the same whoever wrote them. They are left: the
    /// product writes them anew when it is back.
    async fn statuses(&mut self) {
        let controllers = OWN.map(Arc::from);
        let mut classes = self.classes(Kind::GatewayClass, "/spec/controllerName").await;
        classes.extend(self.classes(Kind::IngressClass, "/spec/controller").await);
        for kind in Kind::ALL.iter().copied().filter(|kind| has_status(*kind)) {
            for object in self.list(kind).await {
                if is_ours(kind, &object, &classes) {
                    self.status(kind, object, &controllers).await;
                }
            }
        }
    }

    /// Controllers by class.
    async fn classes(&mut self, kind: Kind, field: &str) -> BTreeMap<(Kind, String), String> {
        let controller = |class: DynamicObject| {
            let controller = class.data.pointer(field).and_then(Value::as_str)?.to_owned();
            Some(((kind, class.name_any()), controller))
        };
        self.list(kind).await.into_iter().filter_map(controller).collect()
    }

    async fn list(&mut self, kind: Kind) -> Vec<DynamicObject> {
        let version = kind.versions().first().copied().unwrap_or_default();
        let api = Source { kind, namespace: None }.api::<DynamicObject>(self.client.clone(), version);
        match api.list(&ListParams::default()).await {
            Ok(list) => list.items,
            Err(ClientError::Api(status)) if status.code == 404 => Vec::new(),
            Err(error) => {
                self.done.failed.push(format!("{}: {}", preferred(kind).plural, said(&error)));
                Vec::new()
            }
        }
    }

    async fn status(&mut self, kind: Kind, mut object: DynamicObject, controllers: &[Arc<str>]) {
        let Some(status) = object.data.get("status").and_then(|status| cleared(kind, status, controllers)) else {
            return;
        };
        let what =
            format!("status of {} {}/{}", kind.as_str(), object.namespace().unwrap_or_default(), object.name_any());
        if self.dry_run {
            return self.done.removed.push(what);
        }
        if let Value::Object(fields) = &mut object.data {
            fields.insert("status".to_owned(), status);
        }
        object.metadata.managed_fields = None;
        let key = key_of(kind, &object.metadata);
        let api = api_of(self.client.clone(), &key);
        let outcome = api.replace_subresource("status", &key.name, &PostParams::default(), &object).await;
        self.note(what, outcome.map(drop));
    }
}

/// Whether the whole of what a kind's controller owns is ours. Routes and policies name their controllers themselves.
fn is_ours(kind: Kind, object: &DynamicObject, classes: &BTreeMap<(Kind, String), String>) -> bool {
    let named = |class: Kind, field: &str| {
        let name = object.data.pointer(field).and_then(Value::as_str).unwrap_or_default();
        classes.get(&(class, name.to_owned())).is_some_and(|controller| OWN.contains(&controller.as_str()))
    };
    match kind {
        Kind::GatewayClass => {
            object.data.pointer("/spec/controllerName").and_then(Value::as_str).is_some_and(|name| OWN.contains(&name))
        }
        Kind::Gateway => named(Kind::GatewayClass, "/spec/gatewayClassName"),
        Kind::Ingress => named(Kind::IngressClass, "/spec/ingressClassName"),
        _ => true,
    }
}
