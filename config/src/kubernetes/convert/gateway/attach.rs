//! Where a route attaches: `parentRefs` against listeners, their allowed routes and their hostnames.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    certificate_ref,
    class::{self, Ownership},
    hostname,
    listener::{Listener, Listeners, Protocol},
    owner::{owner, served},
    reason,
};
use crate::{
    kubernetes::{
        convert::{Contribution, Settings, namespace, selector},
        object::{
            Item, Kind, Meta, Resource,
            gateway::{DefaultScope, FromNamespaces, Gateway, ParentRef, RouteSpec},
        },
        view::{Holder, View},
    },
    model::{host::HostPattern, id::CertificateId},
    report::Finding,
    snapshot::{OwnerId, SocketKey},
};

/// The route that wants to attach.
pub(super) struct Guest<'a> {
    /// Its kind.
    pub(super) kind: Kind,
    /// Its metadata.
    pub(super) meta: &'a Meta,
    /// `spec.parentRefs`.
    pub(super) parents: &'a [ParentRef],
    /// `spec.useDefaultGateways`.
    pub(super) default_scope: Option<DefaultScope>,
    /// `spec.hostnames`.
    pub(super) hostnames: &'a [Arc<str>],
    /// How many of these are allowed.
    pub(super) most_hostnames: usize,
}

impl<'a> Guest<'a> {
    /// `route`, whose `spec` is given and may name `most_hostnames`.
    pub(super) fn of<T: Resource, R>(route: &'a Item<T>, spec: &'a RouteSpec<R>, most_hostnames: usize) -> Self {
        Self {
            kind: T::KIND,
            meta: &route.meta,
            parents: &spec.parent_refs,
            default_scope: spec.use_default_gateways,
            hostnames: &spec.hostnames,
            most_hostnames,
        }
    }
}

/// One host of a route on one socket of one listener.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Attachment {
    /// Which socket.
    pub(super) socket: SocketKey,
    /// What the listener speaks.
    pub(super) protocol: Protocol,
    /// Listener and route hostname intersected.
    pub(super) host: HostPattern,
    /// The route's own hostname.
    pub(super) route_host: HostPattern,
    /// Its index in `spec.hostnames`; none where the route has none.
    pub(super) hostname: Option<usize>,
    /// Hosts that more specific listeners have.
    pub(super) except_hosts: Arc<[HostPattern]>,
    /// What the Gateway presents to backends, as a cluster's id says it.
    pub(super) client_certificate: Option<Arc<str>>,
    /// Certificates of a listener that ends TLS for a TLSRoute; otherwise empty.
    pub(super) certificates: Arc<[CertificateId]>,
}

/// What came of all `parentRefs`.
#[derive(Default)]
pub(super) struct Attached {
    /// Where the route is served, without duplicates.
    places: Vec<Attachment>,
    /// The listeners, by the reference that led there.
    reached: Vec<(String, OwnerId)>,
    /// References that lead to a socket of their listener's own.
    served: BTreeSet<String>,
    /// Listeners of `places` whose socket somebody else has.
    lost: Vec<Lost>,
    /// What is wrong.
    findings: Vec<Finding>,
    /// Whether the route is none of our business: every parent is another controller's.
    foreign: bool,
}

/// A listener that cannot be served on a socket.
#[derive(PartialEq)]
struct Lost {
    /// The reference that leads there.
    field: String,
    /// The listener.
    listener: OwnerId,
    /// The socket.
    socket: SocketKey,
    /// Who has it.
    holder: Holder,
}

impl Attached {
    /// What there is to say, and the places; none where the route is none of our business.
    pub(super) fn into_parts(self) -> (Contribution, Option<Vec<Attachment>>) {
        let attached = self.reached.into_iter().map(|(_, listener)| listener).collect();
        let contribution = Contribution { findings: self.findings, attached, ..Contribution::default() };
        (contribution, (!self.foreign).then_some(self.places))
    }
}

/// Attaches `guest` wherever it asks for and is let in.
pub(super) fn attach(guest: &Guest<'_>, view: &View<'_>, settings: &Settings) -> Attached {
    let mut attached = Attached::default();
    let hosts = hosts(guest, &mut attached.findings);
    let mut used = vec![false; guest.hostnames.len()];
    let mut foreign = Vec::new();
    for (index, parent) in guest.parents.iter().enumerate() {
        let field = format!("spec.parentRefs[{index}]");
        let request = Request { guest, parent, field: &field, hosts: &hosts, view, settings };
        match request.attach(&mut attached, &mut used) {
            Ok(true) => {}
            Ok(false) => foreign.push(field),
            Err(finding) => attached.findings.push(finding),
        }
    }
    attached.foreign = !foreign.is_empty() && foreign.len() == guest.parents.len();
    tell_about_parents(guest, &foreign, &mut attached);
    let attaches = !attached.reached.is_empty();
    give_up_lost(&mut attached, view);
    if attaches {
        tell_unused(guest, &hosts, &used, &mut attached.findings);
    }
    attached
}

fn hosts(guest: &Guest<'_>, findings: &mut Vec<Finding>) -> Vec<(Option<usize>, HostPattern)> {
    if guest.hostnames.len() > guest.most_hostnames {
        findings.push(Finding::refused(
            "spec.hostnames",
            reason::UNSUPPORTED_VALUE,
            format!("at most {} hostnames are allowed; the route is not served", guest.most_hostnames),
        ));
        return Vec::new();
    }
    hostname::of_route(guest.hostnames, findings)
}

/// `foreign`: the parents that are none of our business.
fn tell_about_parents(guest: &Guest<'_>, foreign: &[String], attached: &mut Attached) {
    if guest.default_scope == Some(DefaultScope::All) {
        attached.findings.push(
            Finding::refused("spec.useDefaultGateways", reason::UNSUPPORTED_VALUE, "default Gateways are not carried")
                .remedy("name the Gateway in parentRefs"),
        );
    } else if guest.parents.is_empty() {
        attached.findings.push(
            Finding::refused("spec.parentRefs", reason::NO_MATCHING_PARENT, "the route names no Gateway")
                .remedy("name one"),
        );
    }
    if attached.foreign {
        let message = "every parent belongs to another controller";
        attached.findings.push(Finding::note("spec.parentRefs", reason::NOT_OURS, message));
    } else {
        let note = |field: &String| Finding::note(field, reason::NOT_OURS, "this parent belongs to another controller");
        attached.findings.extend(foreign.iter().map(note));
    }
}

/// Gives up the places of which somebody else has the socket. A reference that leads to none of its own is refused, and
/// attaches the route to nothing; one that does is only warned.
fn give_up_lost(attached: &mut Attached, view: &View<'_>) {
    attached.places.retain(|place| view.opponent(place.socket, place.protocol.transport()).is_none());
    let (lost, served) = (std::mem::take(&mut attached.lost), &attached.served);
    let refused = |field: &String| !served.contains(field) && lost.iter().any(|lost| lost.field == *field);
    attached.reached.retain(|(field, _)| !refused(field));
    for Lost { field, listener, socket, holder } in &lost {
        let tell = if refused(field) { Finding::refused } else { Finding::warning };
        let (name, spoken) = (&holder.name, holder.transport.spoken());
        let message = format!("{listener} is not served on {socket}, where {name} has {spoken}");
        let finding = tell(field.clone(), reason::NO_MATCHING_PARENT, message);
        attached.findings.push(finding.remedy("attach to another listener, or give that one another port or address"));
    }
}

fn tell_unused(guest: &Guest<'_>, hosts: &[(Option<usize>, HostPattern)], used: &[bool], findings: &mut Vec<Finding>) {
    for index in hosts.iter().filter_map(|(index, _)| *index) {
        if used.get(index) == Some(&false) {
            findings.push(Finding::ignored(
                format!("spec.hostnames[{index}]"),
                reason::NO_MATCHING_LISTENER_HOSTNAME,
                format!("no listener has {}", guest.hostnames.get(index).map_or("it", |text| text)),
            ));
        }
    }
}

/// One parent and what is needed to judge it.
struct Request<'a, 'v> {
    guest: &'a Guest<'a>,
    parent: &'a ParentRef,
    field: &'a str,
    hosts: &'a [(Option<usize>, HostPattern)],
    view: &'a View<'v>,
    settings: &'a Settings,
}

impl<'v> Request<'_, 'v> {
    /// Whether the parent is ours; an error says why the route is not served there.
    fn attach(&self, attached: &mut Attached, used: &mut [bool]) -> Result<bool, Finding> {
        if !self.is_gateway()? {
            return Ok(false);
        }
        self.check_siblings()?;
        let Some(gateway) = self.gateway()? else { return Ok(false) };
        let listeners = Listeners::of(gateway, self.view, self.settings);
        let allowed = self.listeners(&listeners)?;
        let before = attached.reached.len();
        for listener in allowed {
            self.attach_to(&listeners, listener, attached, used);
        }
        if attached.reached.len() > before {
            return Ok(true);
        }
        Err(self
            .refuse(reason::NO_MATCHING_LISTENER_HOSTNAME, "no listener has any of the route's hostnames".to_owned()))
    }

    fn refuse(&self, reason: &'static str, message: String) -> Finding {
        Finding::refused(self.field, reason, message)
    }

    fn is_gateway(&self) -> Result<bool, Finding> {
        let group = self.parent.group.as_deref().unwrap_or(Kind::Gateway.group());
        let kind = self.parent.kind.as_deref().unwrap_or(Kind::Gateway.as_str());
        match (group == Kind::Gateway.group(), kind) {
            (true, "Gateway") => Ok(true),
            (true, "ListenerSet") => Err(self
                .refuse(reason::INVALID_KIND, "ListenerSets are not carried".to_owned())
                .remedy("attach to a listener of the Gateway itself")),
            _ => Ok(false),
        }
    }

    /// Several references to one parent must each name a part of it, and different ones.
    fn check_siblings(&self) -> Result<(), Finding> {
        let key = |parent: &ParentRef| {
            (parent.group.clone(), parent.kind.clone(), self.namespace(parent), parent.name.clone())
        };
        let part = |parent: &ParentRef| (parent.section_name.clone(), parent.port);
        let same: Vec<_> = self.guest.parents.iter().filter(|other| key(other) == key(self.parent)).collect();
        if same.len() > 1 && same.iter().any(|other| part(other) == (None, None)) {
            return Err(self.refuse(
                reason::UNSUPPORTED_VALUE,
                "several references to one Gateway must each name a sectionName or a port".to_owned(),
            ));
        }
        let first = same.iter().find(|other| part(other) == part(self.parent));
        if first.is_some_and(|first| !std::ptr::eq::<ParentRef>(*first, self.parent)) {
            return Err(self.refuse(reason::UNSUPPORTED_VALUE, "an earlier reference says the same".to_owned()));
        }
        Ok(())
    }

    fn namespace(&self, parent: &ParentRef) -> Arc<str> {
        parent.namespace.clone().unwrap_or_else(|| self.guest.meta.namespace.clone())
    }

    /// The Gateway; none when it is another controller's.
    fn gateway(&self) -> Result<Option<&'v Arc<Item<Gateway>>>, Finding> {
        let namespace = self.namespace(self.parent);
        let gateway = self.view.get::<Gateway>(&namespace, &self.parent.name).ok_or_else(|| {
            self.refuse(reason::NO_MATCHING_PARENT, format!("there is no Gateway {namespace}/{}", self.parent.name))
        })?;
        let ownership = class::ownership(self.view, self.settings, &gateway.body.spec.gateway_class_name);
        if ownership == Ownership::Foreign {
            return Ok(None);
        }
        served(gateway, ownership).map_err(|finding| {
            self.refuse(
                reason::NO_MATCHING_PARENT,
                format!("Gateway {namespace}/{} is refused itself: {}", self.parent.name, finding.message),
            )
        })?;
        Ok(Some(gateway))
    }

    /// The listeners that were asked for, are served, and let the route in.
    fn listeners<'l, 'g>(&self, listeners: &'l Listeners<'g>) -> Result<Vec<&'l Listener<'g>>, Finding> {
        let asked: Vec<_> = listeners.all.iter().filter(|listener| self.asks_for(listener)).collect();
        if asked.is_empty() {
            return Err(self.refuse(reason::NO_MATCHING_PARENT, "the Gateway has no such listener".to_owned()));
        }
        let accepted: Vec<_> = asked.into_iter().filter(|listener| listener.accepted).collect();
        if accepted.is_empty() {
            return Err(self.refuse(reason::NO_MATCHING_PARENT, "the Gateway's listener is refused itself".to_owned()));
        }
        let allowed: Vec<_> =
            accepted.into_iter().filter(|listener| self.lets_in(listeners.gateway, listener)).collect();
        if allowed.is_empty() {
            let message =
                format!("no listener takes {}s of namespace {}", self.guest.kind.as_str(), self.guest.meta.namespace);
            let finding = self.refuse(reason::NOT_ALLOWED_BY_LISTENERS, message);
            return Err(finding.remedy("name the kind and namespace in the listener's allowedRoutes"));
        }
        Ok(allowed)
    }

    fn asks_for(&self, listener: &Listener<'_>) -> bool {
        self.parent.section_name.as_ref().is_none_or(|name| *name == listener.spec.name)
            && self.parent.port.is_none_or(|port| port == listener.spec.port)
    }

    fn lets_in(&self, gateway: &Item<Gateway>, listener: &Listener<'_>) -> bool {
        listener.kinds.contains(&self.guest.kind) && self.namespace_is_let_in(gateway, listener)
    }

    fn namespace_is_let_in(&self, gateway: &Item<Gateway>, listener: &Listener<'_>) -> bool {
        let namespaces = listener.spec.allowed_routes.as_ref().and_then(|allowed| allowed.namespaces.as_ref());
        let from = namespaces.and_then(|namespaces| namespaces.from).unwrap_or(FromNamespaces::Same);
        match (from, namespaces.and_then(|namespaces| namespaces.selector.as_ref())) {
            (FromNamespaces::All, _) => true,
            (FromNamespaces::Same, _) => gateway.meta.namespace == self.guest.meta.namespace,
            (FromNamespaces::Selector, Some(wanted)) => {
                selector::problem(wanted).is_none()
                    && selector::matches(wanted, &namespace::labels(self.view, &self.guest.meta.namespace))
            }
            (FromNamespaces::Selector, None) | (FromNamespaces::None, _) => false,
        }
    }

    /// Labels of the route's namespace, with the one that every namespace has.
    fn attach_to(
        &self,
        listeners: &Listeners<'_>,
        listener: &Listener<'_>,
        attached: &mut Attached,
        used: &mut [bool],
    ) {
        let (Some(protocol), Some(host)) = (listener.protocol, &listener.host) else { return };
        let certificates = self.certificates(listeners, listener, protocol);
        let client_certificate =
            certificate_ref::towards_backends(listeners.gateway).map(|reference| reference.variant(self.view));
        let owner = owner(listeners.gateway, listener);
        let mut matched = false;
        for (index, route_host) in self.hosts {
            let Some(both) = host.intersect(route_host) else { continue };
            matched = true;
            index.and_then(|index| used.get_mut(index)).into_iter().for_each(|used| *used = true);
            // A more specific listener has all of it: this one never sees such a request.
            if listener.except_hosts.iter().any(|except| except.contains(&both)) {
                continue;
            }
            for socket in listener.sockets(&listeners.addresses) {
                self.note_lost(&owner, socket, protocol, attached);
                let place = Attachment {
                    socket,
                    protocol,
                    host: both.clone(),
                    route_host: route_host.clone(),
                    hostname: *index,
                    except_hosts: listener.except_hosts.clone(),
                    client_certificate: client_certificate.clone(),
                    certificates: certificates.clone(),
                };
                if !attached.places.contains(&place) {
                    attached.places.push(place);
                }
            }
        }
        if matched {
            attached.reached.push((self.field.to_owned(), owner));
        }
    }

    fn note_lost(&self, listener: &OwnerId, socket: SocketKey, protocol: Protocol, attached: &mut Attached) {
        let Some(holder) = self.view.opponent(socket, protocol.transport()) else {
            attached.served.insert(self.field.to_owned());
            return;
        };
        let lost = Lost { field: self.field.to_owned(), listener: listener.clone(), socket, holder: holder.clone() };
        if !attached.lost.contains(&lost) {
            attached.lost.push(lost);
        }
    }

    fn certificates(
        &self,
        listeners: &Listeners<'_>,
        listener: &Listener<'_>,
        protocol: Protocol,
    ) -> Arc<[CertificateId]> {
        match protocol {
            // What is wrong with them is told at the Gateway.
            Protocol::TlsTerminate => {
                super::owner::certificates(listeners.gateway, listener, self.view, &mut Vec::new()).into()
            }
            _ => Arc::default(),
        }
    }
}
