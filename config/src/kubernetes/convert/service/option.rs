//! Annotations of a Service: Traefik's, and our own. docs/reference/annotations.md tells users of them.

use std::{sync::Arc, time::Duration};

use http::{HeaderName, StatusCode};
use sha1::Digest as _;

use super::protocol::Scheme;
use crate::{
    kubernetes::{
        convert::annotation::{self, Class, OWN, SERVICE, bad_value, parse_bool},
        object::{
            Item,
            service::{Service, SessionAffinity},
        },
    },
    model::{
        cluster::{ActiveHealth, Balance, HashKey, PassiveHealth, StickyCookie},
        duration::parse_go,
    },
    report::{Finding, Severity},
};

/// What the annotations of a Service ask for.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) scheme: Option<Scheme>,
    pub(super) pass_host: bool,
    pub(super) balance: Balance,
    pub(super) sticky: Option<Sticky>,
    pub(super) health: Option<ActiveHealth>,
    pub(super) passive: PassiveHealth,
    pub(super) connect_timeout: Option<Duration>,
    /// The object that says how the backend is spoken to, as written.
    pub(super) transport: Option<Arc<str>>,
    /// Why the Service must not be used.
    pub(super) closed: Option<Arc<str>>,
}

/// A sticky cookie whose name may have to be made from the port's.
#[derive(Clone, Debug)]
pub(super) struct Sticky {
    name: Option<Arc<str>>,
    rest: StickyCookie,
}

impl Sticky {
    /// This very cookie.
    pub(super) fn named(cookie: StickyCookie) -> Self {
        Self { name: Some(cookie.name.clone()), rest: cookie }
    }

    /// The cookie for one port of the Service. Without a name it has Traefik's, so that clients keep their endpoint.
    pub(super) fn cookie(self, namespace: &str, service: &str, port: &str) -> StickyCookie {
        let name = self.name.unwrap_or_else(|| default_cookie_name(namespace, service, port));
        StickyCookie { name, ..self.rest }
    }
}

/// Of a port that an Ingress refers to.
fn default_cookie_name(namespace: &str, service: &str, port: &str) -> Arc<str> {
    cookie_name(&format!("{namespace}-{service}-{port}"), "kubernetes")
}

/// `_` and the first five hexadecimal digits of the SHA-1 of Traefik's name for service `id` of a provider.
pub(in crate::kubernetes::convert) fn cookie_name(id: &str, provider: &str) -> Arc<str> {
    let words: Vec<_> = id.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let digest = sha1::Sha1::digest(format!("_TRAEFIK_BACKEND_{}@{provider}", words.join("-")));
    let hex: String = digest.iter().take(3).map(|byte| format!("{byte:02x}")).collect();
    format!("_{}", hex.get(..5).unwrap_or_default()).into()
}

/// Reads the annotations of `item`.
pub(super) fn read(item: &Item<Service>) -> (Options, Vec<Finding>) {
    let mut reader = Reader { item, findings: Vec::new(), closed: None };
    let options = Options {
        scheme: reader.scheme(),
        pass_host: reader.flag("passhostheader").unwrap_or(true),
        balance: reader.balance(),
        sticky: reader.sticky(),
        health: reader.health(),
        passive: reader.passive(),
        connect_timeout: reader.duration("connect-timeout"),
        transport: reader.text(SERVICE, TRANSPORT).filter(|text| !text.is_empty()).map(Into::into),
        closed: None,
    };
    reader.not_carried();
    (Options { closed: reader.closed, ..options }, reader.findings)
}

/// Traefik's annotation that names a ServersTransport, after the prefix.
pub(super) const TRANSPORT: &str = "serverstransport";

/// Options that are read, by their names after the prefix.
const TRAEFIK: &[&str] = &[
    "serversscheme",
    TRANSPORT,
    "passhostheader",
    "sticky.cookie",
    "sticky.cookie.name",
    "sticky.cookie.secure",
    "sticky.cookie.httponly",
    "sticky.cookie.samesite",
    "sticky.cookie.domain",
    "sticky.cookie.maxage",
    "sticky.cookie.path",
];
const OURS: &[&str] = &[
    "acknowledge",
    "connect-timeout",
    "hash-by",
    "health-host",
    "health-interval",
    "health-path",
    "health-port",
    "health-status",
    "health-timeout",
    "load-balance",
    "passive-aside",
    "passive-failures",
];

struct Reader<'a> {
    item: &'a Item<Service>,
    findings: Vec<Finding>,
    closed: Option<Arc<str>>,
}

impl<'a> Reader<'a> {
    fn text(&self, prefix: &str, option: &str) -> Option<&'a str> {
        self.item.meta.annotations.get(format!("{prefix}{option}").as_str()).map(|text| &**text)
    }

    /// One value, read by `parse`; what it does not take is reported.
    fn value<T>(
        &mut self,
        prefix: &str,
        option: &str,
        accepted: &str,
        parse: impl FnOnce(&'a str) -> Option<T>,
    ) -> Option<T> {
        let text = self.text(prefix, option)?;
        let value = parse(text);
        if value.is_none() {
            self.findings.push(bad_value(&format!("{prefix}{option}"), text, accepted));
        }
        value
    }

    fn flag(&mut self, option: &str) -> Option<bool> {
        self.value(SERVICE, option, "true or false", parse_bool)
    }

    fn duration(&mut self, option: &str) -> Option<Duration> {
        let parse = |text| parse_go(text).ok().filter(|duration| !duration.is_zero());
        self.value(OWN, option, "a duration above zero, such as 10s or 500ms", parse)
    }

    fn scheme(&mut self) -> Option<Scheme> {
        let parse = |text: &str| Scheme::parse(text).filter(|scheme| *scheme != Scheme::Tcp);
        let scheme = self.value(SERVICE, "serversscheme", "http, https or h2c", parse);
        if scheme.is_none() && self.text(SERVICE, "serversscheme").is_some() {
            // Guessing could send in the clear what was meant for TLS.
            if let Some(finding) = self.findings.last_mut() {
                finding.severity = Severity::Refused;
                finding.message.push_str("; answers 503");
            }
            self.closed = Some(format!("annotation {SERVICE}serversscheme is invalid").into());
        }
        scheme
    }

    fn balance(&mut self) -> Balance {
        let accepted = "client-address, header:NAME, cookie:NAME or uri";
        let key = self.value(OWN, "hash-by", accepted, hash_key);
        let affinity = self.item.body.spec.session_affinity == SessionAffinity::ClientIP;
        let by_affinity = affinity.then_some(HashKey::ClientAddress);
        let accepted = "round-robin, p2c or consistent-hash";
        let hashed = |key: Option<HashKey>| Balance::ConsistentHash(key.unwrap_or(HashKey::ClientAddress));
        let chosen = self.value(OWN, "load-balance", accepted, |text| {
            Some(match text {
                "round-robin" => Balance::RoundRobin,
                "p2c" => Balance::PowerOfTwo,
                "consistent-hash" => hashed(key.clone()),
                _ => return None,
            })
        });
        chosen.unwrap_or_else(|| key.or(by_affinity).map_or(Balance::RoundRobin, Balance::ConsistentHash))
    }

    fn sticky(&mut self) -> Option<Sticky> {
        let on = self.flag("sticky.cookie")?;
        let rest = StickyCookie {
            name: Arc::default(),
            secure: self.flag("sticky.cookie.secure").unwrap_or(false),
            http_only: self.flag("sticky.cookie.httponly").unwrap_or(false),
            same_site: self.value(SERVICE, "sticky.cookie.samesite", "none, lax or strict", same_site).flatten(),
            max_age: self.value(SERVICE, "sticky.cookie.maxage", "a number of seconds", max_age).flatten(),
            path: self.value(SERVICE, "sticky.cookie.path", "a path", attribute).unwrap_or_else(|| "/".into()),
            domain: self.value(SERVICE, "sticky.cookie.domain", "a domain", attribute),
        };
        let name = self.value(SERVICE, "sticky.cookie.name", "a cookie name (RFC 6265)", token);
        on.then_some(Sticky { name, rest })
    }

    fn health(&mut self) -> Option<ActiveHealth> {
        let accepted = "a path that begins with a single /";
        let path = self.value(OWN, "health-path", accepted, |text| {
            let relative = text.starts_with('/') && !text.starts_with("//");
            (relative && text.parse::<http::uri::PathAndQuery>().is_ok()).then(|| Arc::from(text))
        });
        let health = ActiveHealth {
            path: path.clone().unwrap_or_default(),
            host: self.value(OWN, "health-host", "a host, perhaps with a port", |text| {
                text.parse::<http::uri::Authority>().ok().map(|host| host.as_str().into())
            }),
            port: self
                .value(OWN, "health-port", "a port from 1 to 65535", |text| text.parse().ok().filter(|n| *n != 0)),
            interval: self.duration("health-interval").unwrap_or(Duration::from_secs(10)),
            timeout: self.duration("health-timeout").unwrap_or(Duration::from_secs(5)),
            status: self.value(OWN, "health-status", "a status from 100 to 599", |text| {
                text.parse::<StatusCode>().ok().filter(|status| status.as_u16() < 600)
            }),
            healthy_after: 1,
            unhealthy_after: 2,
        };
        path.map(|_| health)
    }

    fn passive(&mut self) -> PassiveHealth {
        let default = PassiveHealth::default();
        let failures = self.value(OWN, "passive-failures", "a number; 0 switches it off", |text| text.parse().ok());
        PassiveHealth {
            failures: failures.unwrap_or(default.failures),
            aside: self.duration("passive-aside").unwrap_or(default.aside),
        }
    }

    /// What nobody read: options of Traefik's that are not carried, and names that are nobody's.
    fn not_carried(&mut self) {
        for (name, value) in &self.item.meta.annotations {
            let class = match (name.strip_prefix(SERVICE), name.strip_prefix(OWN)) {
                (Some(option), _) if !TRAEFIK.contains(&option) => class(option, value),
                (_, Some(option)) if !OURS.contains(&option) => {
                    self.findings.push(unknown(name, option));
                    continue;
                }
                _ => continue,
            };
            let Some(class) = class else { continue };
            let (finding, closed) = annotation::not_carried(&self.item.meta, name, class);
            self.findings.push(finding);
            self.closed = self.closed.take().or(closed);
        }
    }
}

/// What becomes of Traefik's service options that are not carried; `None`: the value asks for what we do anyway.
fn class(option: &str, value: &str) -> Option<Class> {
    match option {
        "middlewares" => Some(Class::Protective("middlewares may authenticate, restrict or limit")),
        "nativelb" | "nodeportlb" if parse_bool(value) == Some(false) => None,
        _ => Some(Class::Harmless),
    }
}

fn unknown(name: &str, option: &str) -> Finding {
    let nearest = OURS.iter().min_by_key(|known| strsim::damerau_levenshtein(known, option));
    let finding = Finding::ignored(annotation::field(name), "UnknownAnnotation", "is not known on a Service");
    finding.remedy(nearest.map_or_else(String::new, |known| format!("the nearest that is: {OWN}{known}")))
}

fn hash_key(text: &str) -> Option<HashKey> {
    match text.split_once(':') {
        None if text == "client-address" => Some(HashKey::ClientAddress),
        None if text == "uri" => Some(HashKey::Uri),
        Some(("header", name)) => HeaderName::from_bytes(name.as_bytes()).ok().map(HashKey::Header),
        Some(("cookie", name)) => token(name).map(HashKey::Cookie),
        _ => None,
    }
}

pub(super) fn same_site(text: &str) -> Option<Option<Arc<str>>> {
    match text {
        "none" | "lax" | "strict" => Some(Some(text.into())),
        // Traefik's word for leaving the attribute out.
        "default" | "" => Some(None),
        _ => None,
    }
}

fn max_age(text: &str) -> Option<Option<i64>> {
    // As in Traefik: 0 leaves the attribute out, a negative number deletes the cookie at once.
    text.parse::<i64>().ok().map(|seconds| Some(seconds).filter(|seconds| *seconds != 0))
}

/// A cookie's name: a token of RFC 9110, section 5.6.2.
pub(super) fn token(text: &str) -> Option<Arc<str>> {
    let valid = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    (!text.is_empty() && text.bytes().all(valid)).then(|| text.into())
}

/// A cookie attribute's value: it must not be able to begin another attribute or header.
pub(super) fn attribute(text: &str) -> Option<Arc<str>> {
    let valid = |b: u8| (0x21..0x7f).contains(&b) && b != b';' && b != b',';
    (!text.is_empty() && text.bytes().all(valid)).then(|| text.into())
}
