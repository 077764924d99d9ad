//! Follows the adopted Service: where clients reach it, and its ports.

use k8s_openapi::api::core::v1::Service;
use kube::{Api, Client};
use tokio::sync::watch;

use super::{
    super::{
        Scope,
        mirror::{mirror, one, tell},
    },
    Start, Takeover, seek,
};
use crate::{
    kubernetes::{
        convert::EntryPoint,
        status::Address,
        takeover::{
            Decision,
            adoption::{self, Adopted, NotAdopted},
        },
    },
    model::address_map::AddressMap,
};

/// The Service, as it is, and what status says of where things are reached.
pub(in super::super) struct Adoption {
    /// `None`: there is none, or it has gone, or that is not known yet.
    pub(in super::super) service: watch::Sender<Option<Adopted>>,
    /// `None`: not known yet, so that no status may be written.
    pub(in super::super) reached: watch::Sender<Option<Vec<Address>>>,
    /// Whether the operator says where things are reached.
    is_set: bool,
    map: AddressMap,
    is_unknown: bool,
}

impl Adoption {
    /// After the start.
    pub(in super::super) fn of(takeover: &Takeover, scope: &Scope) -> Self {
        let writing = scope.writing.clone().unwrap_or_default();
        let (set, map) = (writing.addresses, writing.map);
        let is_unknown = matches!(takeover.adopted, Some(Err(NotAdopted::Unreadable(_))));
        let found = || takeover.service().map(|service| service.addresses.clone()).unwrap_or_default();
        let reached = match (set.is_empty(), is_unknown) {
            (false, _) => Some(public(&map, set.clone())),
            (true, false) => Some(public(&map, found())),
            (true, true) => None,
        };
        let service = watch::Sender::new(takeover.service().cloned());
        Self { service, reached: watch::Sender::new(reached), is_set: !set.is_empty(), map, is_unknown }
    }

    /// Whether there is a Service, as far as is known.
    pub(in super::super) fn is_there_perhaps(&self) -> bool {
        self.is_unknown || self.service.borrow().is_some()
    }

    /// Follows the Service; never ends by itself. Where it could not be looked for at the start, it is looked for as soon as
    /// the API server answers.
    pub(in super::super) async fn follow(&self, client: Client, start: &Start<'_>, decision: &Decision) {
        if self.is_unknown {
            self.tell(find(&client, start, decision).await);
        }
        let there = self.service.borrow().as_ref().map(|it| (it.namespace.clone(), it.name.clone()));
        match there {
            Some((namespace, name)) => self.watch(client, &namespace, &name, start.entry_points).await,
            None => std::future::pending().await,
        }
    }

    /// One that has gone leaves its addresses in status: what was bound on them may still be reached.
    fn tell(&self, adopted: Option<Adopted>) {
        let addresses = adopted.as_ref().map(|service| service.addresses.clone());
        let known = self.reached.borrow().clone();
        if !self.is_set && (addresses.is_some() || known.is_none()) {
            let addresses = Some(public(&self.map, addresses.unwrap_or_default()));
            tell(&self.reached, addresses);
        }
        tell(&self.service, adopted);
    }

    async fn watch(&self, client: Client, namespace: &str, name: &str, entry_points: &[EntryPoint]) {
        mirror(Api::<Service>::namespaced(client, namespace), one(name), |services| match services {
            Ok(services) => self.show(services.get(name), (namespace, name), entry_points),
            Err(error) => tracing::debug!(%error, namespace, name, "the adopted Service cannot be followed"),
        })
        .await;
        std::future::pending().await
    }

    fn show(&self, there: Option<&Service>, (namespace, name): (&str, &str), entry_points: &[EntryPoint]) {
        if there.is_none() {
            tracing::warn!(
                namespace,
                name,
                "the adopted Service has gone: status goes on showing its addresses until the next start; set kubernetes.addresses"
            );
        }
        self.tell(there.map(|service| adoption::adopt(service, entry_points)));
    }
}

/// As clients know them: public ones for private ones; where nothing else is known, all public ones.
fn public(map: &AddressMap, addresses: Vec<Address>) -> Vec<Address> {
    if addresses.is_empty() {
        return map.publics().map(Address::Ip).collect();
    }
    let mut shown = Vec::new();
    for address in addresses {
        let of_address = match address {
            Address::Ip(ip) => map.public(ip).into_iter().map(Address::Ip).collect(),
            name @ Address::Hostname(_) => vec![name],
        };
        for address in of_address {
            if !shown.contains(&address) {
                shown.push(address);
            }
        }
    }
    shown
}

/// Looks until there is an answer.
async fn find(client: &Client, start: &Start<'_>, decision: &Decision) -> Option<Adopted> {
    loop {
        tokio::time::sleep(seek::LONGEST_PAUSE).await;
        match start.adopt(client, decision).await {
            Some(Err(NotAdopted::Unreadable(_))) => {}
            Some(Ok(adopted)) => return Some(adopted),
            Some(Err(_)) | None => return None,
        }
    }
}
