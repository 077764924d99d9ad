//! Annotations: how their values are read, and what becomes of those that are not carried.
//!
//! An annotation that is not carried is either harmless (what it asks for is missing, and nothing is worse protected
//! for it: the object is served and the annotation reported as ignored) or protective (it restricts, authenticates,
//! verifies or rewrites: without it the route would be open or lead elsewhere, so it answers 503 until its owner
//! acknowledges the loss by `postern.dev/acknowledge`). This file is the only place where that is decided.

use std::sync::Arc;

use crate::{kubernetes::object::Meta, report::Finding};

/// Names annotations of the object, separated by commas, whose effect its owner agrees to go without.
pub const ACKNOWLEDGE: &str = "postern.dev/acknowledge";
/// Traefik's prefix for routers, on an Ingress.
pub const ROUTER: &str = "traefik.ingress.kubernetes.io/router.";
/// Traefik's prefix for services, on a Service.
pub const SERVICE: &str = "traefik.ingress.kubernetes.io/service.";
/// ingress-nginx's prefix, on an Ingress.
pub const NGINX: &str = "nginx.ingress.kubernetes.io/";
/// Our own prefix.
pub const OWN: &str = "postern.dev/";

/// What becomes of an annotation that is not carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Served without it.
    Harmless,
    /// Closed without it; why.
    Protective(&'static str),
}

const AUTHENTICATES: Class = Class::Protective("it authenticates clients");
const RESTRICTS: Class = Class::Protective("it restricts who may send what");
const LIMITS: Class = Class::Protective("it limits how much clients may send");
const VERIFIES: Class = Class::Protective("it decides how backends are verified");
const REWRITES: Class = Class::Protective("it decides which paths match and where they lead");
const SNIPPET: Class = Class::Protective("configuration text of another proxy cannot be judged");

/// ingress-nginx annotations that are not harmless, by name after the prefix. `prefix*` stands for all that begin so,
/// `*suffix` for all that end so.
const NGINX_PROTECTIVE: &[(&str, Class)] = &[
    ("*-snippet", SNIPPET),
    ("auth-*", AUTHENTICATES),
    ("enable-global-auth", AUTHENTICATES),
    ("satisfy", AUTHENTICATES),
    ("whitelist-source-range", RESTRICTS),
    ("allowlist-source-range", RESTRICTS),
    ("denylist-source-range", RESTRICTS),
    ("enable-modsecurity", RESTRICTS),
    ("enable-owasp-*", RESTRICTS),
    ("modsecurity-*", RESTRICTS),
    ("global-rate-limit*", LIMITS),
    ("limit-*", LIMITS),
    ("proxy-ssl-*", VERIFIES),
    ("canary*", REWRITES),
    ("app-root", REWRITES),
    ("permanent-redirect*", REWRITES),
    ("temporal-redirect*", REWRITES),
    ("rewrite-target", REWRITES),
    ("use-regex", REWRITES),
    ("server-alias", REWRITES),
    ("backend-protocol", Class::Protective("the backend would be spoken to in another protocol, or without TLS")),
    ("ssl-passthrough", Class::Protective("TLS would end here instead of at the backend")),
];

/// The class of an Ingress annotation that the converter does not carry; `None`: it is nobody's that we replace.
pub fn class(name: &str) -> Option<Class> {
    if let Some(option) = name.strip_prefix(ROUTER) {
        return Some(match option {
            "tls.options" => Class::Protective("it decides how clients are verified"),
            _ => Class::Harmless,
        });
    }
    if let Some(option) = name.strip_prefix(NGINX) {
        let found = NGINX_PROTECTIVE.iter().find(|(pattern, _)| fits(pattern, option));
        return Some(found.map_or(Class::Harmless, |(_, class)| *class));
    }
    (name.starts_with("traefik.ingress.kubernetes.io/") || name.starts_with(OWN)).then_some(Class::Harmless)
}

fn fits(pattern: &str, name: &str) -> bool {
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(suffix), _) => name.ends_with(suffix),
        (_, Some(prefix)) => name.starts_with(prefix),
        _ => name == pattern,
    }
}

/// The field of an annotation, for findings.
pub fn field(name: &str) -> String {
    format!("metadata.annotations[{name}]")
}

/// Whether the object's owner agreed to go without the annotation.
pub fn is_acknowledged(meta: &Meta, name: &str) -> bool {
    let list = meta.annotations.get(ACKNOWLEDGE).map_or("", |list| list);
    list.split(',').any(|entry| entry.trim() == name)
}

/// The finding for an annotation that is not carried, and, if the route must be closed for it, why.
pub fn not_carried(meta: &Meta, name: &str, class: Class) -> (Finding, Option<Arc<str>>) {
    match class {
        Class::Harmless => (Finding::ignored(field(name), "UnsupportedAnnotation", "is not carried out"), None),
        Class::Protective(why) if is_acknowledged(meta, name) => {
            let message = format!("is not carried out, as acknowledged, although {why}");
            (Finding::warning(field(name), "AcknowledgedAnnotation", message), None)
        }
        Class::Protective(why) => {
            let finding = Finding::refused(
                field(name),
                "UnsupportedAnnotation",
                format!("cannot be carried out, and {why}; answers 503"),
            )
            .remedy(format!("remove it, or name it in the annotation {ACKNOWLEDGE} to serve the route without it"));
            (finding, Some(format!("annotation {name} cannot be carried out").into()))
        }
    }
}

/// A truth value as Traefik's annotations spell it (Go's `strconv.ParseBool`).
pub fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// The finding for a value that is none of those accepted.
pub fn bad_value(name: &str, value: &str, accepted: &str) -> Finding {
    Finding::ignored(field(name), "InvalidAnnotation", format!("{value:?} is not {accepted}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_protects_is_told_from_what_does_not() {
        for name in [
            "nginx.ingress.kubernetes.io/auth-url",
            "nginx.ingress.kubernetes.io/auth-tls-secret",
            "nginx.ingress.kubernetes.io/whitelist-source-range",
            "nginx.ingress.kubernetes.io/limit-rps",
            "nginx.ingress.kubernetes.io/configuration-snippet",
            "nginx.ingress.kubernetes.io/proxy-ssl-verify",
            "nginx.ingress.kubernetes.io/rewrite-target",
            "nginx.ingress.kubernetes.io/enable-owasp-core-rules",
            "traefik.ingress.kubernetes.io/router.tls.options",
        ] {
            assert!(matches!(class(name), Some(Class::Protective(_))), "{name}");
        }
        for name in [
            "nginx.ingress.kubernetes.io/proxy-body-size",
            "nginx.ingress.kubernetes.io/ssl-redirect",
            "traefik.ingress.kubernetes.io/router.priority",
        ] {
            assert_eq!(class(name), Some(Class::Harmless), "{name}");
        }
        assert_eq!(class("cert-manager.io/cluster-issuer"), None);
    }
}
