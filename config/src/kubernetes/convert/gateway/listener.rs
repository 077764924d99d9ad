//! What a Gateway's listeners come to by themselves: sockets, protocol, hosts, allowed kinds, conflicts. A pure
//! function of the Gateway alone, cheap enough to be asked again for each route.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use super::{hostname, reason};
use crate::{
    kubernetes::object::{
        Item, Kind,
        gateway::{self, FromNamespaces, Gateway, TlsMode},
    },
    model::host::HostPattern,
    report::Finding,
    snapshot::{SocketKey, Transport},
};

/// All listeners of a Gateway.
#[derive(Debug)]
pub(super) struct Listeners<'a> {
    /// Whose they are.
    pub(super) gateway: &'a Item<Gateway>,
    /// Local ends, one per address (the port is each listener's).
    pub(super) addresses: Vec<Option<IpAddr>>,
    /// In the order of the object.
    pub(super) all: Vec<Listener<'a>>,
    /// Why routes of this Gateway answer 500, if they do.
    pub(super) closed: Option<Arc<str>>,
    /// What is wrong with the Gateway beside certificates.
    pub(super) findings: Vec<Finding>,
}

/// One listener.
#[derive(Debug)]
pub(super) struct Listener<'a> {
    /// As written.
    pub(super) spec: &'a gateway::Listener,
    /// Index in `spec.listeners`.
    pub(super) index: usize,
    /// What is spoken; `None` where that is not carried.
    pub(super) protocol: Option<Protocol>,
    /// Its hosts; `None` where the hostname is illegal.
    pub(super) host: Option<HostPattern>,
    /// Kinds of routes that may attach.
    pub(super) kinds: Vec<Kind>,
    /// Whether it is served.
    pub(super) accepted: bool,
    /// Hosts of its own that more specific listeners of the Gateway have.
    pub(super) except_hosts: Arc<[HostPattern]>,
}

/// What a listener speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// HTTP in the clear.
    Http,
    /// HTTP in TLS.
    Https,
    /// TLS that ends at the backend.
    TlsPassthrough,
    /// TLS that ends here, bytes inside.
    TlsTerminate,
}

impl Protocol {
    /// What is spoken first.
    pub(super) fn transport(self) -> Transport {
        match self {
            Self::Http => Transport::Plain,
            _ => Transport::Tls,
        }
    }

    fn kinds(self) -> &'static [Kind] {
        match self {
            Self::Http | Self::Https => &[Kind::HttpRoute, Kind::GrpcRoute],
            Self::TlsPassthrough | Self::TlsTerminate => &[Kind::TlsRoute],
        }
    }
}

impl Listener<'_> {
    /// The sockets that it is on.
    pub(super) fn sockets(&self, addresses: &[Option<IpAddr>]) -> Vec<SocketKey> {
        addresses.iter().map(|address| SocketKey { address: *address, port: self.spec.port.get() }).collect()
    }

    /// `spec.listeners[i]`, for findings.
    pub(super) fn field(&self) -> String {
        format!("spec.listeners[{}]", self.index)
    }
}

impl<'a> Listeners<'a> {
    /// The listeners of `gateway`.
    pub(super) fn of(gateway: &'a Item<Gateway>) -> Self {
        let mut findings = Vec::new();
        let addresses = addresses(&gateway.body, &mut findings);
        let mut all: Vec<_> = gateway
            .body
            .spec
            .listeners
            .iter()
            .enumerate()
            .map(|(index, spec)| one(index, spec, &mut findings))
            .collect();
        refuse_duplicate_names(&mut all, &mut findings);
        refuse_conflicts(&mut all, &mut findings);
        refuse_client_validation(&gateway.body, &mut all, &mut findings);
        isolate(&mut all);
        let closed = not_carried(&gateway.body, &mut findings);
        if addresses.is_empty() || gateway.body.spec.listeners.len() > 64 {
            all.iter_mut().for_each(|listener| listener.accepted = false);
        }
        check_count(&all, gateway.body.spec.listeners.len(), &mut findings);
        Self { gateway, addresses, all, closed, findings }
    }
}

fn check_count(all: &[Listener<'_>], count: usize, findings: &mut Vec<Finding>) {
    if count == 0 || count > 64 {
        findings.push(Finding::refused(
            "spec.listeners",
            reason::LISTENERS_NOT_VALID,
            format!("there must be 1 to 64 listeners, not {count}"),
        ));
    } else if !all.iter().any(|listener| listener.accepted) {
        findings.push(Finding::refused("spec.listeners", reason::LISTENERS_NOT_VALID, "no listener can be served"));
    }
}

/// The local addresses; none when one of them cannot be had, since the Gateway is refused as a whole then.
fn addresses(gateway: &Gateway, findings: &mut Vec<Finding>) -> Vec<Option<IpAddr>> {
    if gateway.spec.addresses.is_empty() {
        return vec![None];
    }
    let mut read = BTreeSet::new();
    let mut refused = false;
    for (index, address) in gateway.spec.addresses.iter().enumerate() {
        match one_address(address) {
            Ok(address) => drop(read.insert(address)),
            Err((part, problem)) => {
                refused = true;
                findings.push(
                    Finding::refused(format!("spec.addresses[{index}]{part}"), reason::UNSUPPORTED_ADDRESS, problem)
                        .remedy("use type IPAddress with an address of this host, or no address"),
                );
            }
        }
    }
    if refused { Vec::new() } else { read.into_iter().collect() }
}

fn one_address(address: &gateway::GatewayAddress) -> Result<Option<IpAddr>, (&'static str, String)> {
    let kind = address.kind.as_deref().unwrap_or("IPAddress");
    if kind != "IPAddress" {
        return Err((".type", format!("addresses of type {kind} are not carried")));
    }
    if address.routability.is_some() {
        return Err((".routability", "routability is not carried".to_owned()));
    }
    match address.value.as_deref().unwrap_or_default() {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| (".value", format!("{text:?} is not an IP address"))),
    }
}

fn one<'a>(index: usize, spec: &'a gateway::Listener, findings: &mut Vec<Finding>) -> Listener<'a> {
    let before = findings.len();
    let field = format!("spec.listeners[{index}]");
    let protocol = protocol(spec, &field, findings);
    let host = host(spec, &field, findings);
    let accepted = findings.len() == before;
    let kinds = protocol.map(|protocol| kinds(spec, protocol, &field, findings)).unwrap_or_default();
    check_namespaces(spec, &field, findings);
    Listener { spec, index, protocol, host, kinds, accepted, except_hosts: Arc::default() }
}

/// The protocol; what keeps the listener from being served is told, and may come beside a known protocol.
fn protocol(spec: &gateway::Listener, field: &str, findings: &mut Vec<Finding>) -> Option<Protocol> {
    if spec.filters.is_some() {
        findings.push(
            Finding::refused(
                format!("{field}.filters"),
                reason::UNSUPPORTED_VALUE,
                "filters of listeners are not carried, so the listener is not served without them",
            )
            .remedy("move the filters into the routes"),
        );
    }
    match &*spec.protocol {
        "HTTP" => {
            if spec.tls.is_some() {
                findings.push(Finding::refused(
                    format!("{field}.tls"),
                    reason::UNSUPPORTED_VALUE,
                    "a listener of protocol HTTP may not have tls",
                ));
            }
            Some(Protocol::Http)
        }
        "HTTPS" => {
            if mode(spec) == Some(TlsMode::Passthrough) {
                findings.push(
                    Finding::refused(
                        format!("{field}.tls.mode"),
                        reason::UNSUPPORTED_VALUE,
                        "a listener of protocol HTTPS ends TLS itself",
                    )
                    .remedy("use protocol TLS and a TLSRoute to pass TLS through"),
                );
            }
            check_tls(spec, field, findings);
            Some(Protocol::Https)
        }
        "TLS" if mode(spec) == Some(TlsMode::Passthrough) => {
            check_options(spec, field, findings);
            Some(Protocol::TlsPassthrough)
        }
        "TLS" => {
            check_tls(spec, field, findings);
            Some(Protocol::TlsTerminate)
        }
        other => {
            findings.push(
                Finding::refused(
                    format!("{field}.protocol"),
                    reason::UNSUPPORTED_PROTOCOL,
                    format!("listeners of protocol {other} are not carried"),
                )
                .remedy("use HTTP, HTTPS or TLS"),
            );
            None
        }
    }
}

fn mode(spec: &gateway::Listener) -> Option<TlsMode> {
    spec.tls.as_ref().and_then(|tls| tls.mode)
}

fn check_tls(spec: &gateway::Listener, field: &str, findings: &mut Vec<Finding>) {
    if spec.tls.as_ref().is_none_or(|tls| tls.certificate_refs.is_empty()) {
        findings.push(
            Finding::refused(
                format!("{field}.tls.certificateRefs"),
                reason::INVALID_CERTIFICATE_REF,
                "a listener that ends TLS needs a certificate",
            )
            .remedy("name a Secret of type kubernetes.io/tls"),
        );
    }
    check_options(spec, field, findings);
}

fn check_options(spec: &gateway::Listener, field: &str, findings: &mut Vec<Finding>) {
    if spec.tls.as_ref().is_some_and(|tls| tls.options.is_some()) {
        findings.push(
            Finding::refused(
                format!("{field}.tls.options"),
                reason::UNSUPPORTED_VALUE,
                "no TLS options are known, so the listener is not served without them",
            )
            .remedy("remove the options"),
        );
    }
}

fn host(spec: &gateway::Listener, field: &str, findings: &mut Vec<Finding>) -> Option<HostPattern> {
    let Some(text) = spec.hostname.as_deref().filter(|text| !text.is_empty()) else { return Some(HostPattern::Any) };
    match hostname::parse(text) {
        Ok(pattern) => Some(pattern),
        Err(problem) => {
            findings.push(Finding::refused(
                format!("{field}.hostname"),
                reason::UNSUPPORTED_VALUE,
                format!("{text:?} {problem}"),
            ));
            None
        }
    }
}

/// `allowedRoutes.kinds`, as far as the protocol can carry them; all that it can carry where none are named.
fn kinds(spec: &gateway::Listener, protocol: Protocol, field: &str, findings: &mut Vec<Finding>) -> Vec<Kind> {
    let asked = spec.allowed_routes.as_ref().map(|allowed| allowed.kinds.as_slice()).unwrap_or_default();
    if asked.is_empty() {
        return protocol.kinds().to_vec();
    }
    let mut kinds = Vec::new();
    for (index, entry) in asked.iter().enumerate() {
        let group = entry.group.as_deref().unwrap_or(Kind::Gateway.group());
        match protocol.kinds().iter().find(|kind| kind.group() == group && *kind.as_str() == *entry.kind) {
            Some(kind) => kinds.push(*kind),
            None => findings.push(Finding::refused(
                format!("{field}.allowedRoutes.kinds[{index}]"),
                reason::INVALID_ROUTE_KINDS,
                format!("routes of kind {} do not fit protocol {}", entry.kind, spec.protocol),
            )),
        }
    }
    kinds
}

fn check_namespaces(spec: &gateway::Listener, field: &str, findings: &mut Vec<Finding>) {
    let Some(namespaces) = spec.allowed_routes.as_ref().and_then(|allowed| allowed.namespaces.as_ref()) else { return };
    let field = format!("{field}.allowedRoutes.namespaces");
    let problem = match (namespaces.from, &namespaces.selector) {
        (Some(FromNamespaces::Selector), None) => Some("from Selector needs a selector; no route is let in"),
        (Some(FromNamespaces::Selector), Some(selector)) => super::selector::problem(selector),
        (Some(FromNamespaces::None), _) => Some("from must be All, Same or Selector; no route is let in"),
        _ => None,
    };
    findings.extend(problem.map(|problem| Finding::refused(field, reason::UNSUPPORTED_VALUE, problem)));
}

fn refuse_duplicate_names(all: &mut [Listener<'_>], findings: &mut Vec<Finding>) {
    let names: Vec<_> = all.iter().map(|listener| listener.spec.name.clone()).collect();
    for listener in all {
        if names.iter().filter(|name| **name == listener.spec.name).count() > 1 {
            listener.accepted = false;
            findings.push(Finding::refused(
                format!("{}.name", listener.field()),
                reason::UNSUPPORTED_VALUE,
                format!("another listener is named {} too", listener.spec.name),
            ));
        }
    }
}

/// Listeners that cannot be told apart are refused all together: none of them may win.
fn refuse_conflicts(all: &mut [Listener<'_>], findings: &mut Vec<Finding>) {
    let seen: Vec<_> = all.iter().map(|listener| (listener.index, key(listener))).collect();
    for listener in all {
        let Some(mine) = key(listener) else { continue };
        let others = || seen.iter().filter(|(index, _)| *index != listener.index).filter_map(|(_, key)| key.as_ref());
        let same_port = || others().filter(|other| other.port == mine.port);
        let conflict = if same_port().any(|other| other.transport != mine.transport) {
            Some((
                reason::PROTOCOL_CONFLICT,
                "another listener of this port speaks HTTP where this one speaks TLS, or the reverse",
            ))
        } else if same_port().any(|other| other.host == mine.host && other.protocol != mine.protocol) {
            Some((reason::PROTOCOL_CONFLICT, "another listener of this port and hostname has another protocol"))
        } else if same_port().any(|other| other.host == mine.host) {
            Some((reason::HOSTNAME_CONFLICT, "another listener has this port and hostname too"))
        } else {
            None
        };
        if let Some((reason, message)) = conflict {
            listener.accepted = false;
            findings.push(Finding::refused(listener.field(), reason, message));
        }
    }
}

struct ConflictKey {
    port: u16,
    protocol: String,
    transport: Transport,
    host: HostPattern,
}

fn key(listener: &Listener<'_>) -> Option<ConflictKey> {
    Some(ConflictKey {
        port: listener.spec.port.get(),
        protocol: listener.spec.protocol.to_string(),
        transport: listener.protocol?.transport(),
        host: listener.host.clone()?,
    })
}

/// Client certificates are not asked for yet: what must not be reached without one is not served.
fn refuse_client_validation(gateway: &Gateway, all: &mut [Listener<'_>], findings: &mut Vec<Finding>) {
    let Some(frontend) = gateway.spec.tls.as_ref().and_then(|tls| tls.frontend.as_ref()) else { return };
    for listener in
        all.iter_mut().filter(|listener| matches!(listener.protocol, Some(Protocol::Https | Protocol::TlsTerminate)))
    {
        let own = frontend.per_port.iter().enumerate().find(|(_, entry)| entry.port == listener.spec.port);
        let (field, validation) = match own {
            Some((index, entry)) => (format!("spec.tls.frontend.perPort[{index}].tls.validation"), &entry.tls),
            None => ("spec.tls.frontend.default.validation".to_owned(), &frontend.default),
        };
        if validation.validation.is_some() {
            listener.accepted = false;
            findings.push(Finding::refused(
                field,
                reason::UNSUPPORTED_VALUE,
                format!(
                    "client certificates are not carried, so listener {} is not served without them",
                    listener.spec.name
                ),
            ));
        }
    }
}

/// Hosts that more specific listeners of the same port have. Refused ones keep theirs: a host must not fall to a wider
/// listener because its own cannot be served.
fn isolate(all: &mut [Listener<'_>]) {
    let hosts: Vec<_> = all
        .iter()
        .filter_map(|listener| Some((listener.spec.port, listener.protocol?.transport(), listener.host.clone()?)))
        .collect();
    for listener in all {
        let (Some(protocol), Some(host)) = (listener.protocol, &listener.host) else { continue };
        let mut except: Vec<_> = hosts
            .iter()
            .filter(|(port, transport, _)| *port == listener.spec.port && *transport == protocol.transport())
            .map(|(_, _, other)| other)
            .filter(|other| *other != host && host.contains(other))
            .cloned()
            .collect();
        except.sort();
        except.dedup();
        listener.except_hosts = except.into();
    }
}

/// Fields of the Gateway that are not carried. Returned: why its routes are closed, where serving them without would
/// change what they mean.
fn not_carried(gateway: &Gateway, findings: &mut Vec<Finding>) -> Option<Arc<str>> {
    let spec = &gateway.spec;
    let mut refuse = |field: &str, message: &str| {
        findings.push(Finding::refused(field, reason::UNSUPPORTED_VALUE, message));
    };
    if let Some(infrastructure) = &spec.infrastructure {
        if infrastructure.labels.is_some() {
            refuse("spec.infrastructure.labels", "nothing is made for a Gateway that could carry labels");
        }
        if infrastructure.annotations.is_some() {
            refuse("spec.infrastructure.annotations", "nothing is made for a Gateway that could carry annotations");
        }
    }
    let from = spec.allowed_listeners.as_ref().and_then(|allowed| allowed.namespaces.as_ref()).and_then(|ns| ns.from);
    if from.is_some_and(|from| from != FromNamespaces::None) {
        refuse("spec.allowedListeners", "ListenerSets are not carried; only the Gateway's own listeners are served");
    }
    if spec.default_scope == Some(gateway::DefaultScope::All) {
        refuse("spec.defaultScope", "default Gateways are not carried; routes must name this Gateway in parentRefs");
    }
    let certificate = spec.tls.as_ref().and_then(|tls| tls.backend.as_ref()).and_then(|tls| tls.client_certificate_ref);
    certificate.map(|_| {
        let message = "client certificates towards backends are not carried, so the routes of this Gateway answer 500";
        refuse("spec.tls.backend.clientCertificateRef", message);
        message.into()
    })
}
