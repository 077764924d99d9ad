//! Traefik's `Middleware` and `MiddlewareTCP` → a middleware slot.
//!
//! What cannot be honoured refuses the slot, so that its routes are closed and never served without their policy. One
//! file per group of types; each takes the options of its type and gives a [`Spec`] or the finding that refuses it.

mod basic_auth;
mod buffering;
mod chain;
mod circuit_breaker;
mod client_certificate;
mod compress;
mod digest_auth;
mod encoded;
mod errors;
mod forward_auth;
mod grpc_web;
mod headers;
mod in_flight_req;
mod rate_limit;
mod redirect;
mod retry;
mod rewrite;
mod source;
pub mod tcp;
#[cfg(test)]
mod tests;
mod users;

use std::{sync::Arc, time::Duration};

use super::{Filled, Settings, slot};
use crate::{
    kubernetes::{
        object::{Item, Meta, core::Secret, traefik},
        view::View,
    },
    model::{
        duration::parse_go,
        go_regex::GoRegex,
        id::{ClusterId, MiddlewareId},
        middleware::{MiddlewareSlot, Spec},
    },
    report::Finding,
};

/// Longer durations are mistakes.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// The slot of `item`, what is to be said of it, and the slots of its members (a chain has some).
pub fn convert(
    item: &Item<traefik::Middleware>,
    view: &View<'_>,
    settings: &Settings,
) -> (MiddlewareSlot, Vec<Finding>, Vec<MiddlewareId>) {
    let mut site = Site { meta: &item.meta, view, settings, kind: "", findings: Vec::new() };
    let made = site.spec(&item.body.spec);
    let (slot, findings) = concluded(site, "Middleware", made);
    let members = match &slot {
        MiddlewareSlot::Ready(spec) => members(spec),
        MiddlewareSlot::Refused { .. } => Vec::new(),
    };
    (slot, findings, members)
}

/// The slot that came of an object of `kind`, and all that is to be said of it.
fn concluded(mut site: Site<'_, '_>, kind: &str, made: Result<Spec>) -> (MiddlewareSlot, Vec<Finding>) {
    let slot = match made {
        Ok(spec) => MiddlewareSlot::Ready(Arc::new(spec)),
        Err(finding) => {
            let reason = format!("{kind} {}/{}: {}", site.meta.namespace, site.meta.name, finding.message).into();
            site.findings.insert(0, *finding);
            MiddlewareSlot::Refused { reason }
        }
    };
    (slot, site.findings)
}

/// Why `item` cannot be honoured, for those whose routes it closes; `None` when it can.
pub fn refusal(item: &Item<traefik::Middleware>, view: &View<'_>, settings: &Settings) -> Option<Arc<str>> {
    match convert(item, view, settings).0 {
        MiddlewareSlot::Ready(_) => None,
        MiddlewareSlot::Refused { reason } => Some(reason),
    }
}

/// Fills the slot of a Middleware. What is to be said of the object is said by [`convert`] when the object is seen.
pub(super) fn fill(id: &MiddlewareId, view: &View<'_>, settings: &Settings) -> Filled<MiddlewareSlot> {
    if let Some((namespace, name)) = slot::split_tcp(id) {
        return fill_tcp(id, view.get::<traefik::MiddlewareTcp>(namespace, name), view, settings);
    }
    let item = slot::split(id.as_str()).and_then(|(namespace, name)| view.get::<traefik::Middleware>(namespace, name));
    let Some(item) = item else {
        return Filled::new(MiddlewareSlot::Refused { reason: format!("Middleware {id} does not exist").into() });
    };
    let (slot, _, middlewares) = convert(item, view, settings);
    let clusters = clusters(&slot);
    Filled { clusters, middlewares, ..Filled::new(slot) }
}

fn fill_tcp(
    id: &MiddlewareId,
    item: Option<&Arc<Item<traefik::MiddlewareTcp>>>,
    view: &View<'_>,
    settings: &Settings,
) -> Filled<MiddlewareSlot> {
    let missing = || MiddlewareSlot::Refused { reason: format!("{id} does not exist").into() };
    Filled::new(item.map_or_else(missing, |item| tcp::convert(item, view, settings).0))
}

/// Clusters that a middleware asks. That of an auth server is looked for among those at hand before DNS is asked.
fn clusters(slot: &MiddlewareSlot) -> Vec<ClusterId> {
    let MiddlewareSlot::Ready(spec) = slot else { return Vec::new() };
    match &**spec {
        Spec::ForwardAuth(auth) => forward_auth::cluster(&auth.address).into_iter().collect(),
        Spec::Errors(errors) => vec![errors.service.clone()],
        _ => Vec::new(),
    }
}

fn members(spec: &Spec) -> Vec<MiddlewareId> {
    match spec {
        Spec::Chain(chain) => chain.members.clone(),
        _ => Vec::new(),
    }
}

/// A value, or the finding that refuses the whole middleware.
type Result<T> = std::result::Result<T, Box<Finding>>;

/// The middleware under conversion and what it may look at.
struct Site<'a, 'v> {
    meta: &'a Meta,
    view: &'a View<'v>,
    settings: &'a Settings,
    /// The type as objects spell it.
    kind: &'static str,
    /// What does not refuse it.
    findings: Vec<Finding>,
}

impl Site<'_, '_> {
    /// The one type that the object states.
    fn spec(&mut self, spec: &traefik::MiddlewareSpec) -> Result<Spec> {
        let kinds = kinds(spec);
        match *kinds.as_slice() {
            [(kind, carried)] => {
                self.kind = kind;
                if carried { self.dispatch(spec) } else { Err(not_carried(kind)) }
            }
            _ => Err(several_types(&kinds.iter().map(|(kind, _)| *kind).collect::<Vec<_>>())),
        }
    }

    fn dispatch(&mut self, spec: &traefik::MiddlewareSpec) -> Result<Spec> {
        if let Some(options) = &spec.add_prefix {
            rewrite::add_prefix(self, options)
        } else if let Some(options) = &spec.basic_auth {
            basic_auth::convert(self, options)
        } else if let Some(options) = &spec.buffering {
            buffering::convert(self, options)
        } else if let Some(options) = &spec.chain {
            chain::convert(self, options)
        } else if let Some(options) = &spec.circuit_breaker {
            circuit_breaker::convert(self, options)
        } else if let Some(options) = &spec.compress {
            compress::convert(self, options)
        } else if let Some(options) = &spec.content_type {
            Ok(encoded::content_type(self, options))
        } else if let Some(options) = &spec.digest_auth {
            digest_auth::convert(self, options)
        } else if let Some(options) = &spec.grpc_web {
            Ok(grpc_web::convert(self, options))
        } else if let Some(options) = &spec.pass_tls_client_cert {
            Ok(client_certificate::convert(self, options))
        } else if let Some(options) = &spec.encoded_characters {
            Ok(encoded::encoded_characters(options))
        } else if let Some(options) = &spec.errors {
            errors::convert(self, options)
        } else if let Some(options) = &spec.forward_auth {
            forward_auth::convert(self, options)
        } else if let Some(options) = &spec.headers {
            headers::convert(self, options)
        } else if let Some(options) = &spec.in_flight_req {
            in_flight_req::convert(self, options)
        } else if let Some(options) = spec.ip_allow_list.as_ref().or(spec.ip_white_list.as_ref()) {
            source::allow_list(self, options)
        } else if let Some(options) = &spec.rate_limit {
            rate_limit::convert(self, options)
        } else if let Some(options) = &spec.redirect_regex {
            redirect::regex(self, options)
        } else if let Some(options) = &spec.redirect_scheme {
            redirect::scheme(self, options)
        } else if let Some(options) = &spec.replace_path {
            rewrite::replace_path(self, options)
        } else if let Some(options) = &spec.replace_path_regex {
            rewrite::replace_path_regex(self, options)
        } else if let Some(options) = &spec.retry {
            retry::convert(self, options)
        } else if let Some(options) = &spec.strip_prefix {
            rewrite::strip_prefix(self, options)
        } else if let Some(options) = &spec.strip_prefix_regex {
            rewrite::strip_prefix_regex(self, options)
        } else if spec.plugin.is_some() {
            Err(plugin())
        } else {
            Err(not_carried(self.kind))
        }
    }

    fn namespace(&self) -> &str {
        &self.meta.namespace
    }

    /// `option` of this type as findings name it; empty is the type itself.
    fn field(&self, option: &str) -> String {
        let dot = if option.is_empty() { "" } else { "." };
        format!("spec.{}{dot}{option}", self.kind)
    }

    /// What refuses the middleware for `option`.
    fn refuse(&self, option: &str, reason: &'static str, message: impl std::fmt::Display) -> Box<Finding> {
        let what = if option.is_empty() { self.kind } else { option };
        refused(self.field(option), reason, format!("{what} {message}")).into()
    }

    fn warn(&mut self, option: &str, reason: &'static str, message: impl std::fmt::Display) {
        let what = if option.is_empty() { self.kind } else { option };
        self.findings.push(Finding::warning(self.field(option), reason, format!("{what} {message}")));
    }

    fn ignore(&mut self, option: &str, message: impl std::fmt::Display) {
        self.findings.push(Finding::ignored(self.field(option), "Deprecated", format!("{option} {message}")));
    }

    /// The text of an option that must be there and must not be empty.
    fn required<'t>(&self, option: &str, value: &'t Option<Arc<str>>) -> Result<&'t Arc<str>> {
        value
            .as_ref()
            .filter(|text| !text.is_empty())
            .ok_or_else(|| self.refuse(option, "MissingField", "is required and not set"))
    }

    /// Seconds or a Go duration; zero where nothing is said.
    fn duration(&self, option: &str, value: Option<&traefik::IntOrString>) -> Result<Duration> {
        let wrong = |message: &str| self.refuse(option, "InvalidValue", message);
        let duration = match value {
            None => Duration::ZERO,
            Some(traefik::IntOrString::Int(seconds)) => {
                Duration::from_secs(u64::try_from(*seconds).map_err(|_| wrong("must not be negative"))?)
            }
            Some(traefik::IntOrString::Text(text)) => parse_go(text).map_err(|error| wrong(&error.to_string()))?,
        };
        if duration > LONGEST { Err(wrong("must not be longer than a year")) } else { Ok(duration) }
    }

    fn expression(&self, option: &str, text: &str) -> Result<GoRegex> {
        GoRegex::new(text).map_err(|error| self.refuse(option, "InvalidRegularExpression", error))
    }

    fn header_name(&self, option: &str, text: &str) -> Result<http::HeaderName> {
        http::HeaderName::from_bytes(text.as_bytes())
            .map_err(|_| self.refuse(option, "InvalidHeader", format!("{text:?} is no name of a header field")))
    }

    fn header_names(&self, option: &str, texts: &[Arc<str>]) -> Result<Vec<http::HeaderName>> {
        texts.iter().map(|text| self.header_name(option, text)).collect()
    }

    /// The text itself stays out of the message: it may be a secret.
    fn header_value(&self, option: &str, text: &str) -> Result<http::HeaderValue> {
        http::HeaderValue::from_str(text)
            .map_err(|_| self.refuse(option, "InvalidHeader", "holds a character that no header field may hold"))
    }

    /// Secret `name` of the middleware's own namespace.
    fn secret(&self, option: &str, name: &str) -> Result<&Item<Secret>> {
        let namespace = self.namespace();
        self.view.get::<Secret>(namespace, name).map(|item| &**item).ok_or_else(|| {
            let finding =
                self.refuse(option, "SecretNotFound", format!("names Secret {namespace}/{name}, which does not exist"));
            finding.remedy("create it; until then the routes that use this middleware are closed").into()
        })
    }
}

fn refused(field: impl Into<String>, reason: &'static str, message: impl Into<String>) -> Finding {
    Finding::refused(field, reason, message)
}

/// An object states exactly one type.
fn several_types(stated: &[&str]) -> Box<Finding> {
    if stated.is_empty() {
        let finding = refused("spec", "MissingField", "states no type of middleware");
        return finding.remedy("state one, or look for a misspelt one").into();
    }
    refused("spec", "SeveralTypes", format!("states several types: {}", stated.join(", ")))
        .remedy("write one object per type and join them in a chain")
        .into()
}

fn not_carried(kind: &str) -> Box<Finding> {
    refused(format!("spec.{kind}"), "NotCarried", format!("the {kind} middleware is not carried yet"))
        .remedy("remove it from the routes that should be served without it")
        .into()
}

/// Unlike what is not carried yet, plugins never will be.
fn plugin() -> Box<Finding> {
    let message = "plugins are code that Traefik loads into itself; Postern runs no code of others";
    refused("spec.plugin", "NotCarried", message)
        .remedy(
            "use a middleware that is built in, or forwardAuth to a server of your own that does what the plugin did",
        )
        .into()
}

/// The types that the object states, and whether each is carried.
fn kinds(spec: &traefik::MiddlewareSpec) -> Vec<(&'static str, bool)> {
    let all = [
        ("addPrefix", true, spec.add_prefix.is_some()),
        ("basicAuth", true, spec.basic_auth.is_some()),
        ("buffering", true, spec.buffering.is_some()),
        ("chain", true, spec.chain.is_some()),
        ("circuitBreaker", true, spec.circuit_breaker.is_some()),
        ("compress", true, spec.compress.is_some()),
        ("errors", true, spec.errors.is_some()),
        ("forwardAuth", true, spec.forward_auth.is_some()),
        ("headers", true, spec.headers.is_some()),
        ("inFlightReq", true, spec.in_flight_req.is_some()),
        ("ipAllowList", true, spec.ip_allow_list.is_some()),
        ("ipWhiteList", true, spec.ip_white_list.is_some()),
        ("rateLimit", true, spec.rate_limit.is_some()),
        ("redirectRegex", true, spec.redirect_regex.is_some()),
        ("redirectScheme", true, spec.redirect_scheme.is_some()),
        ("replacePath", true, spec.replace_path.is_some()),
        ("replacePathRegex", true, spec.replace_path_regex.is_some()),
        ("retry", true, spec.retry.is_some()),
        ("stripPrefix", true, spec.strip_prefix.is_some()),
        ("stripPrefixRegex", true, spec.strip_prefix_regex.is_some()),
        ("contentType", true, spec.content_type.is_some()),
        ("digestAuth", true, spec.digest_auth.is_some()),
        ("encodedCharacters", true, spec.encoded_characters.is_some()),
        ("grpcWeb", true, spec.grpc_web.is_some()),
        ("passTLSClientCert", true, spec.pass_tls_client_cert.is_some()),
        ("plugin", true, spec.plugin.is_some()),
    ];
    all.into_iter().filter(|(_, _, stated)| *stated).map(|(kind, carried, _)| (kind, carried)).collect()
}
