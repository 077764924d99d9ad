//! Which kinds are followed where, and how the API names them.

use std::sync::Arc;

use kube::{
    Api, Client, Resource,
    api::{ApiResource, GroupVersionKind},
    core::DynamicResourceScope,
};

use super::Scope;
use crate::kubernetes::object::Kind;

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
pub(super) fn api_resource(kind: Kind, version: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk(kind.group(), version, kind.as_str()))
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
        let version = self.kind.versions().first().copied().unwrap_or_default();
        let resource = api_resource(self.kind, version);
        let root = if resource.group.is_empty() { "/api".to_owned() } else { format!("/apis/{}", resource.group) };
        let namespace = self.namespace.as_ref().map(|name| format!("/namespaces/{name}")).unwrap_or_default();
        format!("{root}/{version}{namespace}/{}", resource.plural)
    }
}
