//! How Services and Gateways are reached from outside: pools of addresses, who wants which, and which nodes announce them
//! where.
//!
//! The objects are MetalLB's (v0.16). Each is turned into neutral terms here: an `IPAddressPool` into a
//! [`Pool`], a Service or a Gateway into a [`Claim`] and, per pool, a [`Reach`]. Who gets what is decided between all of them by
//! [`crate::allocation`]; [`said`] says what came of it.

mod advertisement;
mod claim;
mod gateway;
mod pool;
mod reach;
pub mod said;
mod wish;

use std::{collections::BTreeMap, sync::Arc};

pub use claim::owner_annotation;
pub(in crate::kubernetes::convert) use gateway::of_class;
pub(in crate::kubernetes) use gateway::{Asked, asked};
pub use wish::is_wish;

use super::{Contribution, Settings, annotation};
use crate::{
    allocation::{Claim, Pool},
    kubernetes::{
        object::{
            Item,
            gateway::Gateway,
            metallb::{IpAddressPool, L2Advertisement},
            service::Service,
        },
        view::View,
    },
    model::address_map::AddressMap,
    snapshot::Candidates,
};

/// MetalLB's prefix of annotations, and the one that it had.
const PREFIX: &str = "metallb.io/";
const OLD_PREFIX: &str = "metallb.universe.tf/";
/// Below these, the pool that a Service has its addresses of: written by whoever gives them.
pub const ALLOCATED_FROM: &str = "metallb.io/ip-allocated-from-pool";
/// The class of Services that stand for an address of Postern itself: what arrives goes to its entry points.
pub const OWN_CLASS: &str = "postern.dev/proxy";

/// Whether an annotation says nothing of where a Service leads.
pub fn is_annotation(name: &str) -> bool {
    name.starts_with(PREFIX) || name.starts_with(OLD_PREFIX)
}

/// Who keeps the record of which address is whose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeper {
    /// Somebody else: nothing is given out and nothing announced.
    Other,
    /// The cluster: in the status of each Service, written by the holder of the Lease.
    Cluster,
    /// Nobody: only addresses are had that are pinned, as the manifests on all hosts say the same.
    Nobody,
}

/// What the operator decided about addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressSettings {
    /// Who keeps the record.
    pub keeper: Keeper,
    /// The `loadBalancerClass` of Services that get addresses; `None`: those without one do. (MetalLB's `--lb-class`.)
    pub class: Option<Arc<str>>,
    /// Whether nodes announce that have the label [`Node::EXCLUDED`](crate::kubernetes::object::node::Node::EXCLUDED).
    /// (MetalLB's `--ignore-exclude-lb`.)
    pub ignore_excluded: bool,
    /// Public addresses that reach a node under one of its own: served there, and never announced.
    pub map: Arc<AddressMap>,
}

/// What a Service or a Gateway wants, and who may announce it.
#[derive(Clone, Debug, PartialEq)]
pub struct Exposed {
    /// What it wants.
    pub claim: Arc<Claim>,
    /// Where it says so.
    pub fields: Fields,
    /// By pool, of those that matter for it.
    pub reach: BTreeMap<Arc<str>, Reach>,
}

/// The fields that a wish for addresses stands in, for findings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fields {
    /// What makes it want any.
    pub general: Arc<str>,
    /// Where it names a pool.
    pub pool: Arc<str>,
    /// What says of which families.
    pub families: Arc<str>,
    /// Where it would take a second address, if it says so.
    pub second: Option<Arc<str>>,
    /// Where what it was given stands.
    pub given: Arc<str>,
    /// The GatewayClass that asks in its place.
    pub by_class: Option<Arc<str>>,
    /// Whether it can do without, if there are no pools at all.
    pub is_optional: bool,
}

impl Fields {
    fn of_service() -> Self {
        Self {
            general: "spec.type".into(),
            pool: annotation::field(&format!("{PREFIX}{}", wish::ADDRESS_POOL)).into(),
            families: "spec.ipFamilies".into(),
            second: Some("spec.ipFamilyPolicy".into()),
            given: "status.loadBalancer".into(),
            by_class: None,
            is_optional: true,
        }
    }

    fn of_gateway(pool: String, general: String) -> Self {
        let general: Arc<str> = general.into();
        Self {
            pool: pool.into(),
            families: general.clone(),
            general,
            second: None,
            given: "status.addresses".into(),
            by_class: None,
            is_optional: false,
        }
    }
}

/// Who may announce an address of a pool.
#[derive(Clone, Debug, PartialEq)]
pub struct Reach {
    /// The nodes.
    pub candidates: Candidates,
    /// Why there are none.
    pub nobody: Option<Nobody>,
}

/// Why nobody announces an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Nobody {
    /// No L2Advertisement is for the pool (name, namespace) and the Service.
    NoAdvertisement(Arc<str>, Arc<str>),
    /// One of those that are (by name) has service selectors, and the Service shares its address.
    SharedWithSelectors(Arc<str>),
    /// Nothing serves behind it.
    NoEndpoint,
    /// Those that may announce have no endpoint, or there are none that may.
    NoNode {
        /// Whether an endpoint on the node itself is wanted.
        local: bool,
    },
}

/// Adds to `contribution` what a Service wants outside.
pub(super) fn service(item: &Item<Service>, view: &View<'_>, settings: &Settings, contribution: &mut Contribution) {
    let (claim, findings) = claim::of(item, view, settings);
    contribution.findings.extend(findings);
    if let Some(claim) = claim {
        let reach = reach::of_service(item, &claim, view, settings);
        contribution.exposed = Some(Arc::new(Exposed { claim: Arc::new(claim), fields: Fields::of_service(), reach }));
    }
}

/// Adds to `contribution` what a Gateway wants outside; it must be ours.
pub(super) fn gateway(item: &Item<Gateway>, view: &View<'_>, settings: &Settings, contribution: &mut Contribution) {
    let own = match asked(item, view, settings) {
        Asked::Nothing => return,
        Asked::Unreadable(finding) => return contribution.findings.push(finding),
        Asked::Own(own) => own,
    };
    contribution.findings.extend(own.problem.clone());
    contribution.findings.extend(wish::deprecated(&item.meta.annotations, annotation::field));
    let infrastructure = item.body.spec.infrastructure.as_ref();
    let deprecated = infrastructure.map(|it| wish::deprecated(&it.annotations, gateway::of_infrastructure));
    contribution.findings.extend(deprecated.into_iter().flatten());
    if settings.addresses.keeper == Keeper::Other {
        let remedy = "let Postern give addresses (takeover.metallb: own), or remove the wish";
        return contribution.findings.push(own.failed("MetalLB is observed, so Postern gives none", remedy));
    }
    match own.claim(item, view, settings) {
        Ok(claim) => {
            let reach = reach::of_served(&item.meta, &claim, view, settings);
            let exposed = Exposed { claim: Arc::new(claim), fields: own.fields().clone(), reach };
            contribution.exposed = Some(Arc::new(exposed));
        }
        Err(finding) => contribution.findings.push(finding),
    }
}

/// What a pool contributes.
pub(super) fn pool(item: &Item<IpAddressPool>, view: &View<'_>) -> Contribution {
    let (pool, findings) = pool::among_others(item, view);
    Contribution { pool: pool.map(|pool: Pool| Arc::new(pool)), findings, ..Contribution::default() }
}

/// What is wrong with an advertisement by itself.
pub(super) fn advertisement(item: &Item<L2Advertisement>, view: &View<'_>) -> Contribution {
    Contribution { findings: advertisement::judge(item, view), ..Contribution::default() }
}
