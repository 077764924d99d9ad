//! Verdicts → `.status`: what the cluster should show of an object, and how that goes into what it shows now.
//!
//! ```text
//! object + verdict ──desired──> Desired ──merge── current .status ──> new .status, or nothing to write
//! ```
//!
//! Pure: whoever watches and writes gives the time. Per object it need only remember the [`fingerprint`] of what it saw
//! last: while [`Desired::fingerprint`] is the same, there is nothing to read, merge or write. One file per kind says what is shown; `merge` alone knows how others' parts of a status are left alone.
//! Events are not made here, and neither is it decided when to write.

mod announced;
mod backend_tls_policy;
mod clear;
mod condition;
mod gateway;
mod gateway_class;
mod ingress;
mod merge;
mod nodes;
mod pool;
mod reached;
mod route;
mod service;

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use serde_json::{Value, json};

pub use clear::cleared;
pub(super) use condition::{entry_of, said, shortened_to};
pub use merge::{fingerprint, merge};
pub use nodes::{Nodes, Unbound};

use self::{condition::Condition, merge::Shape};
use super::{
    announced::Told,
    convert::Settings,
    object::{
        Item, Kind, Meta, Object, Resource,
        gateway::{BackendTlsPolicy, Gateway, GatewayClass},
    },
    store::{Key, Store},
};
use crate::{
    allocation::Ledger,
    model::id::ObjectId,
    report::{Report, Verdict},
};

/// What is known beside the object and its verdict.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Which controllers are ours.
    pub settings: &'a Settings,
    /// The objects at hand: the parents of routes, and the classes of these.
    pub store: &'a Store,
    /// The report that the verdict is from: which Gateways lead to a Service.
    pub report: &'a Report,
    /// Where the object is reached: those of its own Gateway or class, in the order to show; empty while there is none.
    pub addresses: &'a [Address],
    /// Whether every node that counts serves this state of the object.
    pub programmed: bool,
    /// What is known of single nodes.
    pub nodes: Nodes<'a>,
    /// Who has which address.
    pub ledger: &'a Ledger,
    /// What nodes say of the object's addresses, as far as it is to be shown.
    pub announced: Option<&'a Told>,
}

/// The reason of problems that are other installations of Postern.
pub const OTHER_INSTALLATION: &str = "OtherInstallation";

/// What is told of other installations, where there are any.
pub fn others(report: &Report) -> Option<&str> {
    let problem = report.input.iter().find(|problem| problem.reason == OTHER_INSTALLATION)?;
    Some(&problem.message)
}

impl Context<'_> {
    /// What is to be said of other installations.
    fn others(&self) -> Option<&str> {
        others(self.report)
    }
}

/// Where something is reached.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    /// By address.
    Ip(IpAddr),
    /// By name.
    Hostname(Arc<str>),
}

/// What the cluster should show of one object: our parts of its `.status`, without times.
#[derive(Clone, Debug, PartialEq)]
pub struct Desired {
    kind: Kind,
    generation: i64,
    /// Whose entries, in lists that several controllers share, are ours.
    controllers: Vec<Arc<str>>,
    /// Fields that are ours as a whole.
    fields: Vec<Field>,
    conditions: Vec<Condition>,
    /// Entries of the list of the kind's shape, in order.
    entries: Vec<Entry>,
    /// Types of our conditions of which nothing is known: they stay as they are.
    left: &'static [&'static str],
}

/// A field with its value.
type Field = (&'static str, Value);

/// A listener, a parent or an ancestor.
#[derive(Clone, Debug, PartialEq)]
struct Entry {
    /// What tells it from the others.
    identity: Vec<Field>,
    /// Fields beside.
    fields: Vec<Field>,
    conditions: Vec<Condition>,
}

/// What the cluster should show of `object`; `None`: nothing is to be written, since
/// - the kind has no status of ours;
/// - the object is another controller's, and its status does not say which parts are whose (a GatewayClass, a Gateway,
///   an Ingress). Lists that say so (of routes and policies) are answered for always: as empty, when nothing in the
///   object is ours any more, so that [`merge()`] takes out what we wrote before;
/// - it is a Service whose addresses are not ours to give, or there is no telling (pools that nobody sees take nothing away);
/// - it is a route, a policy or an Ingress that the nodes do not serve yet: it shows what it showed, since all that it
///   could say is *accepted*, and accepted means enforced. A Gateway says `Programmed: False` meanwhile.
pub fn desired(object: &Object, verdict: &Verdict, context: &Context<'_>) -> Option<Desired> {
    match object {
        Object::GatewayClass(item) => gateway_class::desired(item, verdict, context),
        Object::Gateway(item) => gateway::desired(item, verdict, context),
        Object::Service(item) => service::desired(item, context),
        Object::IpAddressPool(item) => pool::desired(item, context),
        _ if !context.programmed => None,
        // An HTTPRoute without rules has one for every path.
        Object::HttpRoute(item) => Some(route::desired(item, &item.body.spec, 1, verdict, context)),
        Object::GrpcRoute(item) => Some(route::desired(item, &item.body.spec, 0, verdict, context)),
        Object::TlsRoute(item) => Some(route::desired(item, &item.body.spec, 0, verdict, context)),
        Object::BackendTlsPolicy(item) => Some(backend_tls_policy::desired(item, verdict, context)),
        Object::Ingress(item) => ingress::desired(item, verdict, context),
        _ => None,
    }
}

/// Objects whose status may change with `changed` or its verdict, beside itself: the policies for a Service, whose
/// ancestors are in its verdict; everything with a GatewayClass, whose controller may be another now. All else that
/// [`desired`] goes by is the object's own.
pub fn dependants(changed: &ObjectId, store: &Store) -> Vec<Key> {
    if *changed.kind == *Kind::GatewayClass.as_str() {
        return store.iter().map(|(key, _)| key).filter(|key| has_status(key.kind)).cloned().collect();
    }
    if *changed.kind != *Kind::Service.as_str() {
        return Vec::new();
    }
    let policies = store.all::<BackendTlsPolicy>(Some(&changed.namespace));
    let of_service = policies.filter(|policy| {
        policy
            .body
            .spec
            .target_refs
            .iter()
            .any(|target| backend_tls_policy::is_service(target) && target.name == changed.name)
    });
    of_service.map(|policy| Key::of(&Object::BackendTlsPolicy(policy.clone()))).collect()
}

/// The GatewayClasses that are ours: where what concerns the whole installation is shown.
pub fn own_classes(store: &Store, settings: &Settings) -> impl Iterator<Item = Key> {
    let is_ours =
        |class: &&Arc<Item<GatewayClass>>| settings.gateway_controllers.contains(&class.body.spec.controller_name);
    store.all::<GatewayClass>(None).filter(is_ours).map(|class| Key::of(&Object::GatewayClass(class.clone())))
}

/// Whether objects of `kind` have a status of ours.
pub fn has_status(kind: Kind) -> bool {
    shape(kind).is_some()
}

/// Whether what is shown of `kind` waits for the nodes; a class is nothing that they serve, and what is on record they
/// announce afterwards.
pub fn waits_for_nodes(kind: Kind) -> bool {
    has_status(kind) && kind != Kind::GatewayClass && !is_record(kind)
}

/// Whether what is shown of `kind` is a record that outlives us: whoever gives addresses after us goes by it.
pub fn is_record(kind: Kind) -> bool {
    matches!(kind, Kind::Service | Kind::IpAddressPool)
}

/// What the cluster shows of an object that may be ours, in one value: its status, and for a Service what stands elsewhere.
pub fn shown(kind: Kind, annotations: Option<&BTreeMap<String, String>>, status: &Value) -> Value {
    if kind == Kind::Service { service::shown(annotations, status) } else { status.clone() }
}

/// Puts what [`merge()`] made of [`shown`] where it belongs.
pub fn put(kind: Kind, annotations: &mut Option<BTreeMap<String, String>>, status: &mut Value, wanted: Value) {
    if kind == Kind::Service { service::put(annotations, status, &wanted) } else { *status = wanted }
}

/// Which parts of the status of `kind` are ours.
fn shape(kind: Kind) -> Option<&'static Shape> {
    match kind {
        Kind::GatewayClass => Some(&gateway_class::SHAPE),
        Kind::Gateway => Some(&gateway::SHAPE),
        Kind::HttpRoute | Kind::GrpcRoute | Kind::TlsRoute => Some(&route::SHAPE),
        Kind::BackendTlsPolicy => Some(&backend_tls_policy::SHAPE),
        Kind::Ingress => Some(&ingress::SHAPE),
        Kind::Service => Some(&service::SHAPE),
        Kind::IpAddressPool => Some(&pool::SHAPE),
        _ => None,
    }
}

impl Desired {
    /// Of an object of kind `T`, with nothing in it yet.
    fn of<T: Resource>(meta: &Meta, context: &Context<'_>) -> Self {
        Self {
            kind: T::KIND,
            generation: meta.generation,
            controllers: context.settings.gateway_controllers.clone(),
            fields: Vec::new(),
            conditions: Vec::new(),
            entries: Vec::new(),
            left: &[],
        }
    }
}

/// The controller of a Gateway's class, if it is ours.
fn controller_of<'a>(gateway: &Item<Gateway>, context: &Context<'a>) -> Option<&'a Arc<str>> {
    let name = gateway.body.spec.gateway_class_name.clone();
    let class = context.store.get(&Key { kind: Kind::GatewayClass, namespace: Arc::default(), name })?;
    let controller = &GatewayClass::of(class)?.body.spec.controller_name;
    context.settings.gateway_controllers.contains(controller).then_some(controller)
}

/// The controller of the Gateway `namespace/name`, if it is ours.
fn controller_of_named<'a>(namespace: &str, name: &str, context: &Context<'a>) -> Option<&'a Arc<str>> {
    let key = Key { kind: Kind::Gateway, namespace: namespace.into(), name: name.into() };
    controller_of(context.store.get(&key).and_then(Gateway::of)?, context)
}

/// A kind as `group` and `kind`.
fn group_kind(kind: Kind) -> Value {
    json!({"group": kind.group(), "kind": kind.as_str()})
}
