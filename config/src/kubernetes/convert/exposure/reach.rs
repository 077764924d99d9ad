//! Which nodes may announce the addresses of a Service or a Gateway, and on which interfaces.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{Keeper, Nobody, Reach, advertisement, claim, pool};
use crate::{
    allocation::{Claim, Purpose},
    kubernetes::{
        convert::{Settings, selector::Labels},
        object::{
            Item, Meta,
            discovery::Conditions,
            metallb::{IpAddressPool, L2Advertisement},
            node::Node,
            service::{ExternalTrafficPolicy, Service},
        },
        view::View,
    },
    snapshot::{Candidate, Candidates},
};

/// Per pool: of those that have an address on record for it; where nobody keeps a record, of all.
type Reaches = BTreeMap<Arc<str>, Reach>;

/// Whose addresses are to be announced.
struct Subject<'a> {
    labels: &'a Labels,
    /// Whether it may share its address with others.
    shares: bool,
    behind: Behind,
}

/// Of a Service.
pub(super) fn of_service(item: &Item<Service>, claim: &Claim, view: &View<'_>, settings: &Settings) -> Reaches {
    let (shares, behind) = (claim::says_that_it_shares(&item.meta), Behind::of(item, claim, view));
    of(&Subject { labels: &item.meta.labels, shares, behind }, claim, view, settings)
}

/// Of what every node serves, with this metadata.
pub(super) fn of_served(meta: &Meta, claim: &Claim, view: &View<'_>, settings: &Settings) -> Reaches {
    let shares = claim.sharing.key.is_some();
    of(&Subject { labels: &meta.labels, shares, behind: Behind::Everywhere }, claim, view, settings)
}

fn of(subject: &Subject<'_>, claim: &Claim, view: &View<'_>, settings: &Settings) -> Reaches {
    let matters = |pool: &Item<IpAddressPool>| {
        let (read, _) = pool::read(pool);
        settings.addresses.keeper == Keeper::Nobody || claim.recorded.iter().any(|address| read.contains(*address))
    };
    let pools = view.all::<IpAddressPool>(None).filter(|pool| matters(pool));
    pools.map(|pool| (pool.meta.name.clone(), of_pool(subject, pool, view, settings))).collect()
}

fn of_pool(subject: &Subject<'_>, pool: &Item<IpAddressPool>, view: &View<'_>, settings: &Settings) -> Reach {
    let behind = &subject.behind;
    let ads = advertisement::for_labels(view, pool, subject.labels);
    let with_selectors = ads.iter().find(|ad| !ad.body.spec.service_selectors.is_empty());
    if let (Some(ad), true) = (with_selectors, subject.shares) {
        return nobody(Nobody::SharedWithSelectors(ad.meta.name.clone()));
    }
    if ads.is_empty() {
        return nobody(Nobody::NoAdvertisement(pool.meta.name.clone(), pool.meta.namespace.clone()));
    }
    if matches!(behind, Behind::Endpoints(nodes) if nodes.is_empty()) || *behind == Behind::Nothing {
        return nobody(Nobody::NoEndpoint);
    }
    let candidates = candidates(&ads, behind, view, settings);
    let local = matches!(behind, Behind::Endpoints(_));
    let nobody = candidates.is_empty().then_some(Nobody::NoNode { local });
    Reach { candidates, nobody }
}

fn nobody(why: Nobody) -> Reach {
    Reach { candidates: Candidates::Named(BTreeMap::new()), nobody: Some(why) }
}

/// What a node needs of a Service to announce it.
#[derive(Debug, PartialEq)]
enum Behind {
    /// Nothing: every node serves it, or leads to who does.
    Everywhere,
    /// An endpoint of its own; these have one.
    Endpoints(BTreeSet<Arc<str>>),
    /// There is no endpoint at all.
    Nothing,
}

impl Behind {
    fn of(item: &Item<Service>, claim: &Claim, view: &View<'_>) -> Self {
        if claim.purpose == Purpose::Served {
            return Self::Everywhere;
        }
        let slices = view.endpoints(&item.meta.namespace, &item.meta.name);
        let mut serving = slices.iter().flat_map(|slice| &slice.body.endpoints).filter(|it| can_serve(it.conditions));
        if item.body.spec.exposure.external_traffic_policy == ExternalTrafficPolicy::Local {
            return Self::Endpoints(serving.filter_map(|endpoint| endpoint.node_name.clone()).collect());
        }
        if serving.next().is_some() { Self::Everywhere } else { Self::Nothing }
    }

    fn allows(&self, node: &Arc<str>) -> bool {
        match self {
            Self::Everywhere => true,
            Self::Endpoints(nodes) => nodes.contains(node),
            Self::Nothing => false,
        }
    }
}

/// MetalLB's rule: ready, or not known to be otherwise; else serving while it terminates.
fn can_serve(conditions: Conditions) -> bool {
    conditions.ready.unwrap_or(true) || conditions.serving == Some(true)
}

fn candidates(
    ads: &[&Arc<Item<L2Advertisement>>],
    behind: &Behind,
    view: &View<'_>,
    settings: &Settings,
) -> Candidates {
    let nodes: Vec<_> = view.all::<Node>(None).collect();
    if nodes.is_empty() && settings.addresses.keeper == Keeper::Nobody {
        // Of nodes without labels only those advertisements can tell that ask for none.
        let candidate = candidate(ads, &Labels::new());
        return candidate.map_or_else(|| Candidates::Named(BTreeMap::new()), Candidates::Everybody);
    }
    let able = nodes.into_iter().filter(|node| {
        let excluded = node.meta.labels.contains_key(Node::EXCLUDED) && !settings.addresses.ignore_excluded;
        !excluded && !node.body.is_network_unavailable() && behind.allows(&node.meta.name)
    });
    let named = able.filter_map(|node| Some((node.meta.name.clone(), candidate(ads, &node.meta.labels)?)));
    Candidates::Named(named.collect())
}

/// What the advertisements that are for a node with these labels say together.
fn candidate(ads: &[&Arc<Item<L2Advertisement>>], node: &Labels) -> Option<Candidate> {
    let mut fitting =
        ads.iter().map(|ad| &ad.body.spec).filter(|spec| advertisement::is_for_node(spec, node)).peekable();
    let mut interfaces = advertisement::interfaces(fitting.peek()?);
    let mut weight = 0;
    for spec in fitting {
        interfaces.merge(&advertisement::interfaces(spec));
        weight += advertisement::weight(spec, node);
    }
    Some(Candidate { weight, interfaces })
}
