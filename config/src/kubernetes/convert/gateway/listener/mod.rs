//! What a Gateway's listeners come to by themselves: sockets, protocol, hosts, allowed kinds, conflicts. A pure
//! function of the Gateway, and where it asks for addresses of the pools, cheap enough to be asked again for each route.

mod address;
mod conflict;
mod facts;
mod field;
mod not_carried;

pub(in crate::kubernetes) use facts::{Facts, facts};

use std::{net::IpAddr, sync::Arc};

use super::reason;
use crate::{
    kubernetes::{
        convert::Settings,
        object::{
            Item, Kind,
            gateway::{self, Gateway},
        },
        view::View,
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
    /// Local ends, one per address (the port is each listener's); none while those that are asked for are not on record.
    pub(super) addresses: Vec<Option<IpAddr>>,
    /// In the order of the object.
    pub(super) all: Vec<Listener<'a>>,
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
    pub(super) fn of(gateway: &'a Item<Gateway>, view: &View<'_>, settings: &Settings) -> Self {
        let mut findings = Vec::new();
        let local = address::local(gateway, view, settings, &mut findings);
        let mut all: Vec<_> = gateway
            .body
            .spec
            .listeners
            .iter()
            .enumerate()
            .map(|(index, spec)| field::read(index, spec, &mut findings))
            .collect();
        conflict::refuse_names(&mut all, &mut findings);
        conflict::refuse_conflicts(&mut all, &mut findings);
        not_carried::refuse_client_validation(&gateway.body, &mut all, &mut findings);
        conflict::isolate(&mut all);
        not_carried::of_gateway(&gateway.body, &mut findings);
        if local.refused || gateway.body.spec.listeners.len() > 64 {
            all.iter_mut().for_each(|listener| listener.accepted = false);
        }
        check_count(&all, gateway.body.spec.listeners.len(), &mut findings);
        Self { gateway, addresses: local.addresses, all, findings }
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
