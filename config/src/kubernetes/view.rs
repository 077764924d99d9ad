//! Read access to the objects at hand that remembers what was asked, so that the asker can be asked again when an
//! answer may have changed. Absence is an answer too.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;

use super::{
    convert::{
        Settings,
        secret::{CertificateProblem, certificate_of},
    },
    object::{Item, Kind, Object, Resource, core::Secret, discovery::EndpointSlice},
    store::{Key, Store},
};
use crate::{
    model::host::HostPattern,
    snapshot::{SocketKey, Transport},
};

/// One question that was asked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Read {
    /// This object, present or not.
    One(Key),
    /// All objects of a kind in one namespace, or in all.
    All(Kind, Option<Arc<str>>),
    /// The EndpointSlices of this Service (namespace, name).
    Endpoints(Arc<str>, Arc<str>),
    /// Which names the certificate in this Secret (namespace, name) has, if it is one; renewals change nothing.
    CertificateNames(Arc<str>, Arc<str>),
    /// Who keeps this transport from this socket.
    Socket(SocketKey, Transport),
    /// The time.
    Now,
}

impl Read {
    /// The object that it asks for, if its kind matters by reference only.
    pub fn reference(&self) -> Option<Key> {
        match self {
            Self::One(key) if key.kind.is_by_reference() => Some(key.clone()),
            Self::CertificateNames(namespace, name) => {
                Some(Key { kind: Kind::Secret, namespace: namespace.clone(), name: name.clone() })
            }
            _ => None,
        }
    }

    /// The questions whose [`Read::reference`] is `key`.
    pub fn referring(key: &Key) -> [Self; 2] {
        [Self::One(key.clone()), Self::CertificateNames(key.namespace.clone(), key.name.clone())]
    }
}

/// Who has each socket: decided between all who claim it, so no single object can tell.
pub type Holders = BTreeMap<SocketKey, Holder>;

/// Who has a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// What is spoken there.
    pub transport: Transport,
    /// Its name in messages.
    pub name: Arc<str>,
}

/// A store, and what was read of it.
#[derive(Debug)]
pub struct View<'a> {
    store: &'a Store,
    holders: &'a Holders,
    reads: RefCell<BTreeSet<Read>>,
}

impl<'a> View<'a> {
    /// A view that nothing was read through yet.
    pub fn new(store: &'a Store, holders: &'a Holders) -> Self {
        Self { store, holders, reads: RefCell::default() }
    }

    /// One object.
    pub fn get<T: Resource>(&self, namespace: &str, name: &str) -> Option<&'a Arc<Item<T>>> {
        let namespace = if T::KIND.is_namespaced() { namespace } else { "" };
        let key = Key { kind: T::KIND, namespace: namespace.into(), name: name.into() };
        let found = self.store.get(&key).and_then(T::of);
        self.reads.borrow_mut().insert(Read::One(key));
        found
    }

    /// All objects of a kind, in one namespace or in all: use it for kinds of which there are few, or in one
    /// namespace, since every change of any of them asks again.
    pub fn all<T: Resource>(&self, namespace: Option<&str>) -> impl Iterator<Item = &'a Arc<Item<T>>> + use<'a, T> {
        self.reads.borrow_mut().insert(Read::All(T::KIND, namespace.map(Into::into)));
        let found: Vec<_> = self.store.all::<T>(namespace).collect();
        found.into_iter()
    }

    /// The EndpointSlices of a Service, ordered by name.
    pub fn endpoints(&self, namespace: &str, service: &str) -> Vec<&'a Arc<Item<EndpointSlice>>> {
        self.reads.borrow_mut().insert(Read::Endpoints(namespace.into(), service.into()));
        self.store.endpoints(namespace, service).collect()
    }

    /// The names of the certificate in a Secret, or what is wrong with it; `None`: there is no such Secret. Cheaper
    /// than [`View::get`] for objects of which many name one certificate, since a renewal asks none of them again.
    pub fn certificate_names(
        &self,
        namespace: &str,
        name: &str,
    ) -> Option<Result<&'a [HostPattern], &'a CertificateProblem>> {
        self.reads.borrow_mut().insert(Read::CertificateNames(namespace.into(), name.into()));
        let key = Key { kind: Kind::Secret, namespace: namespace.into(), name: name.into() };
        certificate_names(self.store.get(&key)?)
    }

    /// Who has `socket` and speaks something else than `transport` there, if anybody does. Only those may ask who claim
    /// no socket themselves: their answer must not change what they asked about.
    pub fn opponent(&self, socket: SocketKey, transport: Transport) -> Option<&'a Holder> {
        self.reads.borrow_mut().insert(Read::Socket(socket, transport));
        opponent(self.holders.get(&socket), transport)
    }

    /// The time at which certificates are judged.
    pub fn now(&self, settings: &Settings) -> Timestamp {
        self.reads.borrow_mut().insert(Read::Now);
        settings.now
    }

    /// What was read, in order.
    pub fn into_reads(self) -> BTreeSet<Read> {
        self.reads.into_inner()
    }
}

/// `holder`, if it speaks something else than `transport`.
pub fn opponent(holder: Option<&Holder>, transport: Transport) -> Option<&Holder> {
    holder.filter(|holder| holder.transport != transport)
}

/// What [`View::certificate_names`] says of a Secret.
pub(super) fn certificate_names(object: &Object) -> Option<Result<&[HostPattern], &CertificateProblem>> {
    let certificate = certificate_of(Secret::of(object)?);
    Some(certificate.as_ref().map(|certificate| certificate.names.as_slice()))
}
