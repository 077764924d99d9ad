//! The objects at hand, by kind, namespace and name.

use std::{ops::Bound, sync::Arc};

use imbl::{OrdMap, OrdSet};

use super::{
    convert::exposure,
    object::{Item, Kind, Meta, Object, Resource, discovery::EndpointSlice, service::Service},
    view::{Read, certificate_names},
};
use crate::{model::id::ObjectId, report::Origin};

/// An object's key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Kind.
    pub kind: Kind,
    /// Namespace; empty for cluster-scoped kinds.
    pub namespace: Arc<str>,
    /// Name.
    pub name: Arc<str>,
}

impl Key {
    /// The key of `object`.
    pub fn of(object: &Object) -> Self {
        let meta = object.meta();
        Self { kind: object.kind(), namespace: meta.namespace.clone(), name: meta.name.clone() }
    }

    /// The key that `id` stands for; `None` where its kind is none of an object.
    pub fn named(id: &ObjectId) -> Option<Self> {
        let kind = *Kind::ALL.iter().find(|kind| *kind.as_str() == *id.kind)?;
        Some(Self { kind, namespace: id.namespace.clone(), name: id.name.clone() })
    }

    /// The same as data that any crate may show.
    pub fn id(&self) -> ObjectId {
        ObjectId { kind: self.kind.shared(), namespace: self.namespace.clone(), name: self.name.clone() }
    }
}

/// One change of the objects at hand. A provider sends each object at most once per batch.
#[derive(Clone, Debug)]
pub enum Change {
    /// New or changed.
    Set {
        /// The object.
        object: Object,
        /// Where it was read.
        origin: Option<Origin>,
        /// What the parser found (unknown fields, …); carried into the object's verdict.
        findings: Vec<crate::report::Finding>,
    },
    /// Could not be read as its kind (a wrong type): it gets a verdict and takes no part. `Key` is known.
    Refused {
        /// Which object.
        key: Key,
        /// Where it was read.
        origin: Option<Origin>,
        /// Why; at least one.
        findings: Vec<crate::report::Finding>,
    },
    /// Gone.
    Remove(Key),
}

impl Change {
    /// Which object it is about.
    pub fn key(&self) -> Key {
        match self {
            Self::Set { object, .. } => Key::of(object),
            Self::Refused { key, .. } | Self::Remove(key) => key.clone(),
        }
    }
}

/// The objects at hand. A copy shares everything with the original until one of them changes.
#[derive(Clone, Debug, Default)]
pub struct Store {
    objects: OrdMap<Key, Object>,
    /// Namespace and name of a Service → names of its EndpointSlices.
    endpoints: OrdMap<ServiceName, OrdSet<Arc<str>>>,
}

/// Namespace and name of a Service.
type ServiceName = (Arc<str>, Arc<str>);

impl Store {
    /// Puts `object` in place of one with the same key, which is returned.
    pub fn insert(&mut self, object: Object) -> Option<Object> {
        let key = Key::of(&object);
        let service = service_of(&object);
        let before = self.objects.insert(key.clone(), object);
        if let Some(service) = before.as_ref().and_then(service_of) {
            self.forget_endpoints(&service, &key.name);
        }
        if let Some(service) = service {
            self.endpoints.entry(service).or_default().insert(key.name);
        }
        before
    }

    /// Takes an object out.
    pub fn remove(&mut self, key: &Key) -> Option<Object> {
        let before = self.objects.remove(key);
        if let Some(service) = before.as_ref().and_then(service_of) {
            self.forget_endpoints(&service, &key.name);
        }
        before
    }

    /// One object.
    pub fn get(&self, key: &Key) -> Option<&Object> {
        self.objects.get(key)
    }

    /// All objects of a kind, in one namespace or in all, ordered by namespace and name.
    pub fn all<T: Resource>(&self, namespace: Option<&str>) -> impl Iterator<Item = &Arc<Item<T>>> {
        let namespace: Option<Arc<str>> = namespace.map(Into::into);
        let start = Key { kind: T::KIND, namespace: namespace.clone().unwrap_or_default(), name: Arc::default() };
        self.objects
            .range((Bound::Included(start), Bound::Unbounded))
            .take_while(move |(key, _)| key.kind == T::KIND && namespace.as_ref().is_none_or(|ns| *ns == key.namespace))
            .filter_map(|(_, object)| T::of(object))
    }

    /// The EndpointSlices of a Service, ordered by name.
    pub fn endpoints(&self, namespace: &str, service: &str) -> impl Iterator<Item = &Arc<Item<EndpointSlice>>> {
        let names = self.endpoints.get(&(Arc::from(namespace), Arc::from(service)));
        let namespace: Arc<str> = namespace.into();
        names.into_iter().flatten().filter_map(move |name| {
            let key = Key { kind: Kind::EndpointSlice, namespace: namespace.clone(), name: name.clone() };
            self.get(&key).and_then(EndpointSlice::of)
        })
    }

    /// Every object, ordered by key.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, &Object)> {
        self.objects.iter()
    }

    fn forget_endpoints(&mut self, service: &(Arc<str>, Arc<str>), slice: &Arc<str>) {
        if let Some(names) = self.endpoints.get_mut(service) {
            names.remove(slice);
            if names.is_empty() {
                self.endpoints.remove(service);
            }
        }
    }
}

/// Namespace and name of the Service that an EndpointSlice says it belongs to.
pub fn service_of(object: &Object) -> Option<(Arc<str>, Arc<str>)> {
    let slice = EndpointSlice::of(object)?;
    let service = slice.meta.labels.get(EndpointSlice::SERVICE_LABEL)?;
    Some((slice.meta.namespace.clone(), service.clone()))
}

/// What a change of one object answers differently.
pub fn touched(key: &Key, before: Option<&Object>, after: Option<&Object>) -> Vec<Read> {
    if leads_as_before(before, after) {
        return Vec::new();
    }
    let mut reads =
        vec![Read::One(key.clone()), Read::All(key.kind, Some(key.namespace.clone())), Read::All(key.kind, None)];
    let services = [before, after].into_iter().flatten().filter_map(service_of);
    reads.extend(services.map(|(namespace, service)| Read::Endpoints(namespace, service)));
    if before.and_then(certificate_names) != after.and_then(certificate_names) {
        reads.push(Read::CertificateNames(key.namespace.clone(), key.name.clone()));
    }
    reads
}

/// Whether a Service only got addresses, or asks for others: thousands of routes may lead to it, and none goes by these.
fn leads_as_before(before: Option<&Object>, after: Option<&Object>) -> bool {
    let service = |object: Option<&Object>| object.and_then(Service::of).cloned();
    let (Some(before), Some(after)) = (service(before), service(after)) else { return false };
    let without = |meta: &Meta| {
        let mut meta = meta.clone();
        meta.annotations.retain(|name, _| !exposure::is_annotation(name));
        meta
    };
    before.body.leads_as(&after.body) && without(&before.meta) == without(&after.meta)
}
