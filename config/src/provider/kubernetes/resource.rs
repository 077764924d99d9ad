//! Which kinds are followed where, and how the API names them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use kube::{
    Api, Client, Resource,
    api::{ApiResource, DynamicObject, GroupVersionKind},
    core::{DynamicResourceScope, ObjectMeta},
};

use super::Scope;
use crate::kubernetes::{object::Kind, store::Key};

/// One list and watch.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Source {
    pub(super) kind: Kind,
    /// `None`: all namespaces, or the kind lives in none.
    pub(super) namespace: Option<Arc<str>>,
}

/// Everything that is followed.
pub(super) fn sources(scope: &Scope) -> Vec<Source> {
    let mut sources = Vec::new();
    for kind in Kind::ALL {
        if scope.namespaces.is_empty() || !kind.is_namespaced() {
            sources.push(Source { kind: *kind, namespace: None });
        } else {
            let namespaces = scope.namespaces.iter();
            sources.extend(namespaces.map(|name| Source { kind: *kind, namespace: Some(name.as_str().into()) }));
        }
    }
    sources
}

/// How the API names `kind` in `version`.
fn api_resource(kind: Kind, version: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk(kind.group(), version, kind.as_str()))
}

/// How the API names `kind` in the version that we prefer.
pub(super) fn preferred(kind: Kind) -> ApiResource {
    api_resource(kind, kind.versions().first().copied().unwrap_or_default())
}

/// The version in which each kind was listed last.
#[derive(Clone, Debug, Default)]
pub(super) struct Served(Arc<Mutex<HashMap<Kind, &'static str>>>);

impl Served {
    /// `kind` is served in `version`.
    pub(super) fn set(&self, kind: Kind, version: &'static str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(kind, version);
    }

    /// Access to the object with `key`, in the version that is served.
    pub(super) fn api_of(&self, client: Client, key: &Key) -> Api<DynamicObject> {
        let version = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key.kind).copied();
        api_in(client, key, &version.map_or_else(|| preferred(key.kind), |version| api_resource(key.kind, version)))
    }
}

/// Access to the object with `key`, among others of its kind, in the version that we prefer.
pub(super) fn api_of(client: Client, key: &Key) -> Api<DynamicObject> {
    api_in(client, key, &preferred(key.kind))
}

fn api_in(client: Client, key: &Key, resource: &ApiResource) -> Api<DynamicObject> {
    if key.kind.is_namespaced() {
        Api::namespaced_with(client, &key.namespace, resource)
    } else {
        Api::all_with(client, resource)
    }
}

/// The key of an object of `kind` with this metadata.
pub(super) fn key_of(kind: Kind, metadata: &ObjectMeta) -> Key {
    let namespace = metadata.namespace.as_deref().filter(|_| kind.is_namespaced());
    let name = metadata.name.as_deref();
    Key { kind, namespace: namespace.unwrap_or_default().into(), name: name.unwrap_or_default().into() }
}

impl Source {
    /// Access to its objects.
    pub(super) fn api<K>(&self, client: Client, version: &str) -> Api<K>
    where
        K: Resource<Scope = DynamicResourceScope, DynamicType = ApiResource>,
    {
        let resource = api_resource(self.kind, version);
        match &self.namespace {
            Some(namespace) => Api::namespaced_with(client, namespace, &resource),
            None => Api::all_with(client, &resource),
        }
    }

    /// Whether every API server has the kind.
    pub(super) fn is_built_in(&self) -> bool {
        matches!(self.kind.group(), "" | "networking.k8s.io" | "discovery.k8s.io")
    }

    /// The path of the API in messages.
    pub(super) fn path(&self) -> String {
        let resource = preferred(self.kind);
        let root = if resource.group.is_empty() { "/api".to_owned() } else { format!("/apis/{}", resource.group) };
        let namespace = self.namespace.as_ref().map(|name| format!("/namespaces/{name}")).unwrap_or_default();
        format!("{root}/{}{namespace}/{}", resource.version, resource.plural)
    }
}
