//! Fields of the published schemas that Postern does not look into.

/// Why that is no loss.
pub(crate) enum Why {
    /// An object with the field is refused by name: `golden/` holds a case.
    Refused,
    /// The field means nothing here, for the reason that stands beside it.
    Harmless,
}

use Why::{Harmless, Refused};

/// Kind, path and reason.
pub(crate) const UNREAD: &[(&str, &str, Why)] = &[
    ("BackendTLSPolicy", "spec.options", Refused),
    ("GRPCRoute", "spec.rules[].backendRefs[].filters[].requestMirror", Refused),
    ("GRPCRoute", "spec.rules[].filters[].requestMirror", Refused),
    ("GRPCRoute", "spec.rules[].sessionPersistence", Refused),
    ("Gateway", "spec.addresses[].routability", Refused),
    // The field beside it, `from`, is refused, and lets nobody in where it is left out.
    ("Gateway", "spec.allowedListeners.namespaces.selector", Harmless),
    ("Gateway", "spec.infrastructure.labels", Refused),
    ("Gateway", "spec.infrastructure.parametersRef", Refused),
    ("Gateway", "spec.listeners[].filters", Refused),
    ("Gateway", "spec.listeners[].tls.options", Refused),
    // Refused at each listener that ends TLS; there may be none that it is for.
    ("Gateway", "spec.tls.frontend.default.validation", Harmless),
    ("Gateway", "spec.tls.frontend.perPort[].tls.validation", Harmless),
    // For readers.
    ("GatewayClass", "spec.description", Harmless),
    ("GatewayClass", "spec.parametersRef", Refused),
    ("HTTPRoute", "spec.rules[].backendRefs[].filters[].cors", Refused),
    ("HTTPRoute", "spec.rules[].backendRefs[].filters[].externalAuth", Refused),
    ("HTTPRoute", "spec.rules[].backendRefs[].filters[].requestMirror", Refused),
    ("HTTPRoute", "spec.rules[].filters[].cors", Refused),
    ("HTTPRoute", "spec.rules[].filters[].externalAuth", Refused),
    ("HTTPRoute", "spec.rules[].filters[].requestMirror", Refused),
    ("HTTPRoute", "spec.rules[].sessionPersistence", Refused),
    ("IngressRoute", "spec.parentRefs[]", Refused),
    // Nothing is worse protected without them; each is reported as ignored.
    ("IngressRoute", "spec.routes[].observability", Harmless),
    ("IngressRoute", "spec.routes[].services[].healthCheck", Harmless),
    ("IngressRoute", "spec.routes[].services[].passiveHealthCheck", Harmless),
    ("IngressRoute", "spec.routes[].services[].responseForwarding", Harmless),
    ("IngressRoute", "spec.tls.domains[]", Harmless),
    ("IngressRouteTCP", "spec.routes[].services[].proxyProtocol", Refused),
    ("IngressRouteTCP", "spec.tls.domains[]", Harmless),
    ("Middleware", "spec.errors.service.healthCheck", Refused),
    ("Middleware", "spec.errors.service.middlewares", Refused),
    ("Middleware", "spec.errors.service.nativeLB", Refused),
    ("Middleware", "spec.errors.service.nodePortLB", Refused),
    ("Middleware", "spec.errors.service.passHostHeader", Refused),
    ("Middleware", "spec.errors.service.passiveHealthCheck", Refused),
    ("Middleware", "spec.errors.service.responseForwarding", Refused),
    ("Middleware", "spec.errors.service.scheme", Refused),
    ("Middleware", "spec.errors.service.serversTransport", Refused),
    ("Middleware", "spec.errors.service.sticky", Refused),
    ("Middleware", "spec.errors.service.strategy", Refused),
    ("Middleware", "spec.errors.service.weight", Refused),
    ("Middleware", "spec.plugin", Refused),
    ("Middleware", "spec.rateLimit.redis", Refused),
    ("ServersTransport", "spec.spiffe", Refused),
];
