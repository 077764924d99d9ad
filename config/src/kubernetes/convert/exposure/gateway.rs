//! A Gateway → what addresses of its own it wants, and where it is served. One that asks for none shares those of the
//! installation.
//!
//! It asks by the annotations that a Service would, on itself or in `spec.infrastructure.annotations` (where users of
//! kgateway and Envoy Gateway write them for the Service that is made for them), and by a value of `spec.addresses` that a
//! pool has; one that says nothing of it asks for what its GatewayClass says by the same annotations. What it asks for is kept apart from every other address: it is served there alone, and nowhere before that
//! is on record.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use super::{Fields, Keeper, pool, wish};
use crate::{
    allocation::{Claim, Families, Family, Pool, Port, Purpose, Sharing, Transport, Wish},
    kubernetes::{
        convert::{Settings, annotation::field, gateway::is_taken_over, namespace, object_id},
        object::{
            Item, Meta,
            gateway::{Gateway, GatewayClass},
            metallb::IpAddressPool,
            service::{Service, ServiceType},
        },
        view::View,
    },
    report::Finding,
};

/// What a Gateway asks for.
#[derive(Debug)]
pub(in crate::kubernetes) enum Asked {
    /// No address of its own.
    Nothing,
    /// Addresses of its own.
    Own(Own),
    /// Something that is none: it is served nowhere.
    Unreadable(Finding),
}

/// A wish for addresses of its own.
#[derive(Debug)]
pub(in crate::kubernetes) struct Own {
    wish: Wish,
    key: Option<Arc<str>>,
    /// Beside these, addresses of the node.
    pub(in crate::kubernetes) beside: BTreeSet<IpAddr>,
    /// Why the wish cannot be read, where it is taken for what the Gateway has.
    pub(super) problem: Option<Finding>,
    fields: Fields,
}

/// What `gateway` asks for. It must be ours.
pub(in crate::kubernetes) fn asked(gateway: &Item<Gateway>, view: &View<'_>, settings: &Settings) -> Asked {
    match Own::of(gateway, view, settings) {
        Ok(Some(own)) if !is_reached_otherwise(gateway, view, settings) => Asked::Own(own),
        Ok(_) => Asked::Nothing,
        // What it has it keeps; anything else would be a guess.
        Err(finding) => match gateway.body.recorded().collect::<Vec<_>>().as_slice() {
            [] => Asked::Unreadable(finding),
            recorded => Asked::Own(Own::as_recorded(recorded, finding)),
        },
    }
}

/// Whether clients come by a Service that another product made for its Gateway, as long as that is there: it has the
/// addresses, which everything is reached at that Postern does in the product's place. So too where the addresses are
/// somebody else's business.
fn is_reached_otherwise(gateway: &Item<Gateway>, view: &View<'_>, settings: &Settings) -> bool {
    if !is_taken_over(view, settings, &gateway.body.spec.gateway_class_name) {
        return false;
    }
    let (namespace, name) = (&gateway.meta.namespace, &gateway.meta.name);
    let is_balanced = |service: &Item<Service>| service.body.spec.kind == ServiceType::LoadBalancer;
    let of_envoy = |service: &Item<Service>| {
        let label = |key: &str| service.meta.labels.get(format!("gateway.envoyproxy.io/owning-gateway-{key}").as_str());
        label("name") == Some(name) && label("namespace") == Some(namespace)
    };
    settings.addresses.keeper == Keeper::Other
        || view.get::<Service>(namespace, name).is_some_and(|service| is_balanced(service))
        || view.all::<Service>(Some("envoy-gateway-system")).any(|service| is_balanced(service) && of_envoy(service))
}

impl Own {
    fn of(gateway: &Item<Gateway>, view: &View<'_>, settings: &Settings) -> Result<Option<Self>, Finding> {
        let Noted { pool, key, addresses: by_annotation, by_class } = Noted::of(gateway, view);
        let mut addresses = match &by_annotation {
            Some((field, list)) => wish::addresses(field, list)?,
            None => Vec::new(),
        };
        let (of_pools, beside) = written(gateway, view, settings);
        for address in of_pools {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        let field_of = |noted: &Option<(String, Arc<str>)>| noted.as_ref().map(|(field, _)| field.clone());
        let by_value = field_of(&by_annotation).unwrap_or_else(|| "spec.addresses".to_owned());
        wish::check_families(&by_value, &addresses)?;
        if addresses.is_empty() && pool.is_none() && key.is_none() {
            return Ok(None);
        }
        let general = match addresses.as_slice() {
            [] => field_of(&pool).or(field_of(&key)).unwrap_or_default(),
            _ => by_value,
        };
        let pool_field = field_of(&pool).unwrap_or_else(|| general.clone());
        let fields = Fields { by_class, ..Fields::of_gateway(pool_field, general) };
        let wish = Wish { addresses, pool: pool.map(|(_, name)| name) };
        Ok(Some(Self { wish, key: key.map(|(_, key)| key), beside, problem: None, fields }))
    }

    /// As if it had asked for what it has.
    fn as_recorded(recorded: &[IpAddr], problem: Finding) -> Self {
        Self {
            wish: Wish { addresses: recorded.to_vec(), pool: None },
            key: None,
            beside: BTreeSet::new(),
            fields: Fields::of_gateway(problem.field.clone(), problem.field.clone()),
            problem: Some(problem),
        }
    }

    /// Whether it names addresses.
    pub(in crate::kubernetes) fn is_by_value(&self) -> bool {
        !self.wish.addresses.is_empty()
    }

    /// What of the Gateway's addresses is on record.
    pub(in crate::kubernetes) fn recorded(&self, gateway: &Gateway) -> Vec<IpAddr> {
        gateway.recorded().filter(|address| !self.beside.contains(address)).collect()
    }

    /// Where the Gateway is served now.
    pub(in crate::kubernetes) fn served_at(
        &self,
        gateway: &Item<Gateway>,
        view: &View<'_>,
        settings: &Settings,
    ) -> BTreeSet<IpAddr> {
        let own = match settings.addresses.keeper {
            Keeper::Cluster => self.recorded(&gateway.body),
            Keeper::Nobody => self.pinned(&gateway.meta, view),
            Keeper::Other => Vec::new(),
        };
        self.beside.iter().copied().chain(own).collect()
    }

    /// Those that it can have without a record: as [`crate::allocation`] decides it, where all who want addresses are
    /// served by Postern and may share.
    fn pinned(&self, meta: &Meta, view: &View<'_>) -> Vec<IpAddr> {
        let labels = namespace::labels(view, &meta.namespace);
        let is_open = |item: &Item<IpAddressPool>| {
            let allocation = item.body.spec.service_allocation.as_ref();
            allocation.is_none_or(|allocation| pool::admits(allocation, meta, &labels))
        };
        let fits = |pool: &Pool| {
            let is_alone = || [Family::V4, Family::V6].iter().all(|family| pool.count(*family) <= 1);
            let has_all = || self.wish.addresses.iter().all(|address| pool.contains(*address));
            let is_asked = self.wish.pool.as_ref().is_none_or(|name| *name == pool.name);
            is_asked && if self.is_by_value() { has_all() } else { self.wish.pool.is_some() && is_alone() }
        };
        let pools = view.all::<IpAddressPool>(None).filter(|item| is_open(item));
        let Some(pool) = pools.filter_map(|item| pool::among_others(item, view).0).find(|pool| fits(pool)) else {
            return Vec::new();
        };
        if self.is_by_value() {
            return self.wish.addresses.clone();
        }
        [Family::V4, Family::V6].into_iter().flat_map(|family| pool.addresses(family)).collect()
    }

    /// What the Gateway claims; an error where it cannot be told which address that would be tomorrow.
    pub(super) fn claim(
        &self,
        gateway: &Item<Gateway>,
        view: &View<'_>,
        settings: &Settings,
    ) -> Result<Claim, Finding> {
        let is_recorded = settings.addresses.keeper == Keeper::Cluster;
        if !is_recorded && !self.is_by_value() && self.wish.pool.is_none() {
            return Err(
                self.failed("nobody keeps a record of who has which address", "name the address in spec.addresses")
            );
        }
        let port = |listener: &crate::kubernetes::object::gateway::Listener| Port {
            transport: Transport::Tcp,
            number: listener.port.get(),
        };
        Ok(Claim {
            of: object_id(gateway),
            created: gateway.meta.creation_timestamp,
            wish: self.wish.clone(),
            families: Families::Prefer(Family::V4),
            purpose: Purpose::Served,
            ports: gateway.body.spec.listeners.iter().map(port).collect(),
            sharing: Sharing { key: self.key.clone(), backend: Arc::default() },
            admitted_to: wish::admitted_to(&gateway.meta, view),
            recorded: self.recorded(&gateway.body),
            is_recorded,
        })
    }

    /// That it gets nothing, and is served nowhere.
    pub(super) fn failed(&self, why: &str, remedy: &str) -> Finding {
        let message = format!("it gets no address: {why}");
        Finding::refused(&*self.fields.general, "AllocationFailed", message).remedy(remedy)
    }

    /// Where its wishes stand.
    pub(super) fn fields(&self) -> &Fields {
        &self.fields
    }
}

/// What annotations say, and where.
struct Noted {
    pool: Option<(String, Arc<str>)>,
    key: Option<(String, Arc<str>)>,
    addresses: Option<(String, Arc<str>)>,
    /// The class that says where, for all of its Gateways that do not say it themselves.
    by_class: Option<Arc<str>>,
}

impl Noted {
    fn of(gateway: &Item<Gateway>, view: &View<'_>) -> Self {
        let [pool, key, addresses] =
            [wish::ADDRESS_POOL, wish::SHARING_KEY, wish::ADDRESSES].map(|name| annotation(gateway, name));
        let values = &gateway.body.spec.addresses;
        let says_where = pool.is_some()
            || addresses.is_some()
            || values.iter().any(|it| it.value.as_ref().is_some_and(|value| !value.is_empty()));
        // One without a value says that it wants none, whatever its class says.
        let [pool, key, addresses] = [pool, key, addresses].map(|noted| noted.filter(|(_, value)| !value.is_empty()));
        let own = Self { pool, key, addresses, by_class: None };
        if says_where { own } else { own.or_of_class(gateway, view) }
    }

    fn or_of_class(self, gateway: &Item<Gateway>, view: &View<'_>) -> Self {
        let Some(class) = view.get::<GatewayClass>("", &gateway.body.spec.gateway_class_name) else { return self };
        let noted = |name| {
            let value = wish::annotation(&class.meta.annotations, name).filter(|value| !value.is_empty())?;
            Some((BY_CLASS.to_owned(), value.clone()))
        };
        let (pool, addresses) = (noted(wish::ADDRESS_POOL), noted(wish::ADDRESSES));
        let by_class = (pool.is_some() || addresses.is_some()).then(|| class.meta.name.clone());
        Self { pool, addresses, key: self.key.or_else(|| noted(wish::SHARING_KEY)), by_class }
    }
}

/// Where a Gateway says what its class asks for in its place.
const BY_CLASS: &str = "spec.gatewayClassName";

/// An annotation of the Gateway, and where it stands: its own come before those for its infrastructure.
fn annotation(gateway: &Item<Gateway>, name: &str) -> Option<(String, Arc<str>)> {
    let infrastructure = gateway.body.spec.infrastructure.as_ref().map(|it| &it.annotations);
    let places = [(Some(&gateway.meta.annotations), field as fn(&str) -> String), (infrastructure, of_infrastructure)];
    places.into_iter().find_map(|(annotations, field)| {
        let value = wish::annotation(annotations?, name)?;
        Some((field(&format!("{}{name}", super::PREFIX)), value.clone()))
    })
}

/// What is wrong with what a class asks for, for its Gateways.
pub(in crate::kubernetes::convert) fn of_class(class: &Item<GatewayClass>, view: &View<'_>) -> Vec<Finding> {
    let noted = |name| wish::annotation(&class.meta.annotations, name).filter(|value| !value.is_empty());
    let at = |name: &str| field(&format!("{}{name}", super::PREFIX));
    let mut findings: Vec<_> = wish::deprecated(&class.meta.annotations, field).collect();
    findings.extend(noted(wish::ADDRESSES).and_then(|list| wish::addresses(&at(wish::ADDRESSES), list).err()));
    let is_there = |name: &Arc<str>| view.all::<IpAddressPool>(None).any(|pool| pool.meta.name == *name);
    if let Some(name) = noted(wish::ADDRESS_POOL).filter(|name| !is_there(name)) {
        let message = format!("there is no IPAddressPool {name}, so its Gateways get no address");
        let finding = Finding::warning(at(wish::ADDRESS_POOL), "PoolNotFound", message);
        findings.push(finding.remedy("correct the name, or add the pool"));
    }
    findings
}

pub(super) fn of_infrastructure(name: &str) -> String {
    format!("spec.infrastructure.annotations[{name}]")
}

/// The addresses in `spec.addresses`: those that a pool has, and the others.
fn written(gateway: &Item<Gateway>, view: &View<'_>, settings: &Settings) -> (Vec<IpAddr>, BTreeSet<IpAddr>) {
    let values = gateway.body.spec.addresses.iter().filter_map(|address| address.value.as_ref()?.parse().ok());
    let values: BTreeSet<IpAddr> = values.collect();
    if values.is_empty() || settings.addresses.keeper == Keeper::Other {
        return (Vec::new(), values);
    }
    let pools: Vec<_> = view.all::<IpAddressPool>(None).map(|item| pool::read(item).0).collect();
    let (of_pools, beside): (Vec<_>, Vec<_>) =
        values.into_iter().partition(|address| pools.iter().any(|pool| pool.contains(address.to_canonical())));
    (of_pools.into_iter().map(|address| address.to_canonical()).collect(), beside.into_iter().collect())
}
