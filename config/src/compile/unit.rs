//! Units: what is recomputed as a whole, and what each asks of the tables.

use std::{collections::HashMap, sync::Arc};

use crate::{
    allocation::Pool,
    kubernetes::{
        convert::{self, Contribution, Filled, Settings, SniClaim, SocketClaim, exposure::Exposed},
        store::{Key, Store},
        view::View,
    },
    model::{
        certificate::CertificateSlot,
        cluster::ClusterSlot,
        id::{CertificateId, ClusterId, MiddlewareId, ObjectId},
        middleware::MiddlewareSlot,
        route::Rule,
    },
    report::Finding,
    snapshot::{OwnerId, Place},
};

/// What is recomputed as a whole. Their order is that of reference: a unit refers to greater kinds only (a chain of
/// middlewares excepted), so that one pass in order settles almost everything.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Unit {
    /// An object.
    Object(Key),
    /// A certificate's own names on every TLS entry point.
    OwnNames(CertificateId),
    /// A middleware slot.
    Middleware(MiddlewareId),
    /// A certificate slot.
    Certificate(CertificateId),
    /// A cluster slot.
    Cluster(ClusterId),
}

/// What a unit asks of the tables, as far as it is needed to compare with what it asks next.
#[derive(Debug, Default)]
pub(super) struct Asks {
    pub(super) rules: Vec<(Place, Arc<Rule>)>,
    pub(super) sockets: Vec<SocketClaim>,
    pub(super) sni: Vec<SniClaim>,
    /// A pool, on its way into the table that keeps it.
    pub(super) pool: Option<Arc<Pool>>,
    /// Addresses that are wanted, likewise.
    pub(super) exposed: Option<Arc<Exposed>>,
    /// Slots referred to, sorted, each once.
    pub(super) slots: Vec<Unit>,
    /// Parts of other objects that the object is attached to, sorted, each once.
    pub(super) attached: Vec<OwnerId>,
    /// Findings on their way into the verdicts.
    pub(super) findings: Vec<(ObjectId, Finding)>,
    /// The objects that `findings` were about.
    pub(super) spoken_of: Vec<ObjectId>,
}

/// What a slot unit holds.
#[derive(Debug, Default)]
#[allow(clippy::large_enum_variant, reason = "kept once per slot; a box would cost each look at a cluster a hop")]
pub(super) enum Content {
    /// The unit is no slot, or the slot is gone.
    #[default]
    None,
    Cluster(ClusterSlot),
    Middleware(MiddlewareSlot),
    Certificate(CertificateSlot),
}

impl Unit {
    /// The object that it speaks for: what claims are named after, and who is told when they lose.
    pub(super) fn object(&self) -> ObjectId {
        let slot = |kind: &str, id: &str| ObjectId { kind: kind.into(), namespace: "".into(), name: id.into() };
        match self {
            Self::Object(key) => key.id(),
            Self::OwnNames(id) => convert::certificate_object(id),
            Self::Middleware(id) => slot("middleware", id.as_str()),
            Self::Certificate(id) => slot("certificate", id.as_str()),
            Self::Cluster(id) => slot("cluster", id.as_str()),
        }
    }

    /// Whether it exists only while another unit refers to it.
    pub(super) fn is_slot(&self) -> bool {
        !matches!(self, Self::Object(_))
    }

    /// Asks the converters; `None` where the object is not at hand.
    pub(super) fn ask(&self, store: &Store, view: &View<'_>, settings: &Settings) -> Option<(Asks, Content)> {
        Some(match self {
            Self::Object(key) => {
                let contribution = convert::object(store.get(key)?, view, settings);
                (Asks::of(contribution, Some(key.id())), Content::None)
            }
            Self::OwnNames(id) => (Asks::of(convert::own_names(id, view, settings), None), Content::None),
            Self::Middleware(id) => filled(convert::middleware(id, view, settings), Content::Middleware),
            Self::Certificate(id) => filled(convert::certificate(id, view), Content::Certificate),
            Self::Cluster(id) => filled(convert::cluster(id, view, settings), Content::Cluster),
        })
    }
}

fn filled<T>(filled: Filled<T>, content: fn(T) -> Content) -> (Asks, Content) {
    let clusters = filled.clusters.into_iter().map(Unit::Cluster);
    let slots = sorted(clusters.chain(filled.middlewares.into_iter().map(Unit::Middleware)).collect());
    (Asks { slots, findings: filled.findings, ..Asks::default() }, content(filled.slot))
}

impl Asks {
    fn of(contribution: Contribution, object: Option<ObjectId>) -> Self {
        let Contribution {
            mut sockets,
            mut rules,
            mut sni,
            clusters,
            certificates,
            own_names,
            middlewares,
            pool,
            exposed,
            findings,
            attached,
        } = contribution;
        // They are kept for as long as the object is there.
        sockets.shrink_to_fit();
        rules.shrink_to_fit();
        sni.shrink_to_fit();
        let slots = clusters
            .into_iter()
            .map(Unit::Cluster)
            .chain(certificates.into_iter().map(Unit::Certificate))
            .chain(own_names.into_iter().map(Unit::OwnNames))
            .chain(middlewares.into_iter().map(Unit::Middleware));
        Self {
            rules,
            sockets,
            sni,
            slots: sorted(slots.collect()),
            attached: sorted(attached),
            pool,
            exposed,
            findings: object
                .map(|object| findings.into_iter().map(|finding| (object.clone(), finding)).collect())
                .unwrap_or_default(),
            spoken_of: Vec::new(),
        }
    }
}

fn sorted<T: Ord>(mut items: Vec<T>) -> Vec<T> {
    items.sort();
    items.dedup();
    items.shrink_to_fit();
    items
}

/// What each unit asked for last.
#[derive(Debug, Default)]
pub(super) struct Units(HashMap<Unit, Asks>);

impl Units {
    /// Takes out what `unit` asked for; nothing if it is new.
    pub(super) fn take(&mut self, unit: &Unit) -> Asks {
        self.0.remove(unit).unwrap_or_default()
    }

    /// Keeps what `unit` asks for.
    pub(super) fn put(&mut self, unit: &Unit, asks: Asks) {
        let Asks { rules, sockets, sni, slots, attached, pool: _, exposed: _, findings: _, spoken_of } = &asks;
        let nothing = rules.is_empty()
            && sockets.is_empty()
            && sni.is_empty()
            && slots.is_empty()
            && attached.is_empty()
            && spoken_of.is_empty();
        if !nothing {
            self.0.insert(unit.clone(), asks);
        }
    }
}
