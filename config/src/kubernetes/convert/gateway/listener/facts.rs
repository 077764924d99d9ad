//! What the status of a Gateway needs to know of its listeners beside the findings.

use std::sync::Arc;

use super::{Listener, Listeners, Protocol, not_carried};
use crate::{
    kubernetes::{
        convert::Settings,
        object::{Item, Kind, gateway::Gateway},
        view::View,
    },
    snapshot::SocketKey,
};

/// One listener.
#[derive(Debug)]
pub(in crate::kubernetes) struct Facts {
    /// Its name.
    pub(in crate::kubernetes) name: Arc<str>,
    /// The fields that findings about it stand in or below.
    pub(in crate::kubernetes) fields: Vec<String>,
    /// Kinds of routes that may attach.
    pub(in crate::kubernetes) kinds: Vec<Kind>,
    /// Whether it is served, as far as the Gateway alone decides.
    pub(in crate::kubernetes) accepted: bool,
    /// The sockets that it is on.
    pub(in crate::kubernetes) sockets: Vec<SocketKey>,
    /// How many certificates it names; none where it does not end TLS.
    pub(in crate::kubernetes) certificates: usize,
    /// Other listeners of its port that end TLS for some of its hosts.
    pub(in crate::kubernetes) overlapping: Vec<Arc<str>>,
}

/// The listeners of `gateway`, in order.
pub(in crate::kubernetes) fn facts(gateway: &Item<Gateway>, view: &View<'_>, settings: &Settings) -> Vec<Facts> {
    let listeners = Listeners::of(gateway, view, settings);
    listeners.all.iter().map(|listener| of(&listeners, listener)).collect()
}

fn of(listeners: &Listeners<'_>, listener: &Listener<'_>) -> Facts {
    let certificates = listener.spec.tls.as_ref().map_or(0, |tls| tls.certificate_refs.len());
    let validation = not_carried::client_validation(&listeners.gateway.body, listener);
    Facts {
        name: listener.spec.name.clone(),
        fields: std::iter::once(listener.field()).chain(validation).collect(),
        kinds: listener.kinds.clone(),
        accepted: listener.accepted,
        sockets: listener.sockets(&listeners.addresses),
        certificates: if ends_tls(listener) { certificates } else { 0 },
        overlapping: listeners.all.iter().filter(|other| overlaps(listener, other)).map(name).collect(),
    }
}

fn name(listener: &Listener<'_>) -> Arc<str> {
    listener.spec.name.clone()
}

fn ends_tls(listener: &Listener<'_>) -> bool {
    matches!(listener.protocol, Some(Protocol::Https | Protocol::TlsTerminate))
}

fn overlaps(one: &Listener<'_>, other: &Listener<'_>) -> bool {
    let (Some(host), Some(others)) = (&one.host, &other.host) else { return false };
    one.index != other.index
        && one.spec.port == other.spec.port
        && ends_tls(one)
        && ends_tls(other)
        && (host.contains(others) || others.contains(host))
}
