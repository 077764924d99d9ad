//! Fields of a Gateway that are not carried, and what they cost.

use super::{Listener, Protocol};
use crate::{
    kubernetes::{
        convert::{exposure::is_wish, gateway::reason},
        object::gateway::{DefaultScope, FromNamespaces, Gateway},
    },
    report::Finding,
};

/// Fields of the Gateway that are not carried.
pub(super) fn of_gateway(gateway: &Gateway, findings: &mut Vec<Finding>) {
    let spec = &gateway.spec;
    let mut refuse = |field: &str, message: &str| {
        findings.push(Finding::refused(field, reason::UNSUPPORTED_VALUE, message).remedy("remove it"));
    };
    if let Some(infrastructure) = &spec.infrastructure {
        if infrastructure.labels.is_some() {
            refuse("spec.infrastructure.labels", "nothing is made for a Gateway that could carry labels");
        }
        for name in infrastructure.annotations.keys().filter(|name| !is_wish(name)) {
            let field = format!("spec.infrastructure.annotations[{name}]");
            refuse(&field, "nothing is made for a Gateway that could carry annotations");
        }
    }
    let from = spec.allowed_listeners.as_ref().and_then(|allowed| allowed.namespaces.as_ref()).and_then(|ns| ns.from);
    if from.is_some_and(|from| from != FromNamespaces::None) {
        refuse("spec.allowedListeners", "ListenerSets are not carried; only the Gateway's own listeners are served");
    }
    if spec.default_scope == Some(DefaultScope::All) {
        refuse("spec.defaultScope", "default Gateways are not carried; routes must name this Gateway in parentRefs");
    }
}

/// Client certificates are not asked for yet: what must not be reached without one is not served.
pub(super) fn refuse_client_validation(gateway: &Gateway, all: &mut [Listener<'_>], findings: &mut Vec<Finding>) {
    for listener in all {
        let Some(field) = client_validation(gateway, listener) else { continue };
        listener.accepted = false;
        let message = format!(
            "client certificates are not carried, so listener {} is not served without them",
            listener.spec.name
        );
        findings.push(
            Finding::refused(field, reason::UNSUPPORTED_VALUE, message)
                .remedy("remove the validation, if the listener is for everybody"),
        );
    }
}

/// Where client certificates of a listener are asked for, if they are.
pub(super) fn client_validation(gateway: &Gateway, listener: &Listener<'_>) -> Option<String> {
    let frontend = gateway.spec.tls.as_ref()?.frontend.as_ref()?;
    if !matches!(listener.protocol, Some(Protocol::Https | Protocol::TlsTerminate)) {
        return None;
    }
    let own = frontend.per_port.iter().enumerate().find(|(_, entry)| entry.port == listener.spec.port);
    let (field, validation) = match own {
        Some((index, entry)) => (format!("spec.tls.frontend.perPort[{index}].tls.validation"), &entry.tls),
        None => ("spec.tls.frontend.default.validation".to_owned(), &frontend.default),
    };
    validation.validation.map(|_| field)
}
