//! Filters of rules and backends. One that is not carried closes what it stands at.

use std::{collections::BTreeSet, sync::Arc};

use http::{HeaderName, HeaderValue, StatusCode, header};

use super::{hostname, reason};
use crate::{
    kubernetes::{
        convert::slot,
        object::gateway::{
            GrpcFilter, GrpcFilterType, HeaderField, HeaderModifier, HttpFilter, HttpFilterType, LocalRef,
            PathModifier, PathModifierType, RedirectScheme, RequestRedirect, Unused, UrlRewrite,
        },
    },
    model::{
        filter::{Filter, HeaderChange, PathChange, Redirect, Rewrite, Scheme},
        path::encode_path,
        route::Step,
    },
    report::Finding,
};

/// Where filters stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level<'a> {
    /// In a rule of a route of this namespace.
    Rule(&'a str),
    /// In a backend of a rule.
    Backend,
}

/// What a filter of either kind of route asks for.
pub(super) enum Asked<'a> {
    /// Change of the request's header.
    RequestHeaders(&'a HeaderModifier),
    /// Change of the answer's header.
    ResponseHeaders(&'a HeaderModifier),
    /// A redirect.
    Redirect(&'a RequestRedirect),
    /// A rewrite.
    Rewrite(&'a UrlRewrite),
    /// An object of another group.
    Extension(&'a LocalRef),
    /// Known and not carried, by its name.
    NotCarried(&'static str),
    /// The field that its type names (the text) is missing, or another is there too.
    Malformed(&'static str),
}

/// A filter of some kind of route.
pub(super) trait FilterSource {
    /// What it asks for.
    fn asked(&self) -> Asked<'_>;
}

impl FilterSource for HttpFilter {
    fn asked(&self) -> Asked<'_> {
        use HttpFilterType as T;
        let fields = [
            self.request_header_modifier.is_some(),
            self.response_header_modifier.is_some(),
            self.request_mirror.is_some(),
            self.request_redirect.is_some(),
            self.url_rewrite.is_some(),
            self.extension_ref.is_some(),
            self.cors.is_some(),
            self.external_auth.is_some(),
        ];
        let asked = match self.kind {
            T::RequestHeaderModifier => self.request_header_modifier.as_ref().map(Asked::RequestHeaders),
            T::ResponseHeaderModifier => self.response_header_modifier.as_ref().map(Asked::ResponseHeaders),
            T::RequestMirror => self.request_mirror.map(|_| Asked::NotCarried("RequestMirror")),
            T::RequestRedirect => self.request_redirect.as_ref().map(Asked::Redirect),
            T::UrlRewrite => self.url_rewrite.as_ref().map(Asked::Rewrite),
            T::ExtensionRef => self.extension_ref.as_ref().map(Asked::Extension),
            T::Cors => self.cors.map(|_| Asked::NotCarried("CORS")),
            T::ExternalAuth => self.external_auth.map(|_| Asked::NotCarried("ExternalAuth")),
        };
        one_of(asked, &fields)
    }
}

impl FilterSource for GrpcFilter {
    fn asked(&self) -> Asked<'_> {
        use GrpcFilterType as T;
        let fields = [
            self.request_header_modifier.is_some(),
            self.response_header_modifier.is_some(),
            self.request_mirror.is_some(),
            self.extension_ref.is_some(),
        ];
        let asked = match self.kind {
            T::RequestHeaderModifier => self.request_header_modifier.as_ref().map(Asked::RequestHeaders),
            T::ResponseHeaderModifier => self.response_header_modifier.as_ref().map(Asked::ResponseHeaders),
            T::RequestMirror => self.request_mirror.map(|_| Asked::NotCarried("RequestMirror")),
            T::ExtensionRef => self.extension_ref.as_ref().map(Asked::Extension),
        };
        one_of(asked, &fields)
    }
}

/// A TLSRoute's backends have no filters.
impl FilterSource for Unused {
    fn asked(&self) -> Asked<'_> {
        Asked::Malformed("a TLSRoute has no filters")
    }
}

fn one_of<'a>(asked: Option<Asked<'a>>, fields: &[bool]) -> Asked<'a> {
    match (asked, fields.iter().filter(|there| **there).count()) {
        (Some(asked), 1) => asked,
        (None, _) => Asked::Malformed("the field that type names is missing"),
        (Some(_), _) => Asked::Malformed("a field is there that type does not name"),
    }
}

/// What came of a list of filters.
#[derive(Default)]
pub(super) struct Filters {
    /// In order.
    pub(super) steps: Vec<Step>,
    /// Middlewares among them, by field and name.
    pub(super) middlewares: Vec<(String, Arc<str>)>,
    /// Whether one asks for a redirect.
    pub(super) redirects: bool,
    /// Why what they stand at is closed, if it is.
    pub(super) closed: Option<Arc<str>>,
}

impl Filters {
    /// The steps that need no slot; all of them, for a backend.
    pub(super) fn stateless(self) -> Vec<Filter> {
        let stateless = |step| match step {
            Step::Filter(filter) => Some(filter),
            Step::Middleware(_) => None,
        };
        self.steps.into_iter().filter_map(stateless).collect()
    }
}

/// Reads the `filters` of `owner` (a rule's or a backend's field). `one_prefix`: whether the rule has exactly one match,
/// of a path prefix.
pub(super) fn read<F: FilterSource>(
    filters: &[F],
    owner: &str,
    level: Level<'_>,
    one_prefix: bool,
    findings: &mut Vec<Finding>,
) -> Filters {
    let mut read = Filters::default();
    let mut refused = check_set(filters, owner).err();
    for (index, filter) in filters.iter().enumerate() {
        let field = format!("{owner}.filters[{index}]");
        read.redirects |= matches!(filter.asked(), Asked::Redirect(_));
        match one(&filter.asked(), &field, level, one_prefix, findings) {
            Ok(Read::Filter(filter)) => read.steps.push(Step::Filter(filter)),
            Ok(Read::Middleware(namespace, name)) => {
                read.steps.push(Step::Middleware(slot::middleware(namespace, name)));
                read.middlewares.push((format!("{field}.extensionRef"), name.clone()));
            }
            Err(finding) => {
                read.closed.get_or_insert_with(|| finding.message.as_str().into());
                findings.push(finding);
            }
        }
    }
    if let Some(finding) = refused.take() {
        read.closed.get_or_insert_with(|| finding.message.as_str().into());
        findings.push(finding);
    }
    read
}

/// No type twice, and not redirect and rewrite together.
fn check_set<F: FilterSource>(filters: &[F], owner: &str) -> Result<(), Finding> {
    if filters.len() > 16 {
        let message = "at most 16 filters are allowed";
        return Err(Finding::refused(format!("{owner}.filters"), reason::UNSUPPORTED_VALUE, message));
    }
    let mut seen = BTreeSet::new();
    for (index, filter) in filters.iter().enumerate() {
        let Some(name) = once(&filter.asked()) else { continue };
        let field = format!("{owner}.filters[{index}]");
        if !seen.insert(name) {
            let message = format!("{name} may be there only once");
            return Err(Finding::refused(field, reason::INCOMPATIBLE_FILTERS, message));
        }
        if seen.contains("RequestRedirect") && seen.contains("URLRewrite") {
            let message = "RequestRedirect and URLRewrite exclude each other";
            return Err(
                Finding::refused(field, reason::INCOMPATIBLE_FILTERS, message).remedy("put them into different rules")
            );
        }
    }
    Ok(())
}

/// The name of a filter that may be there only once.
fn once(asked: &Asked<'_>) -> Option<&'static str> {
    match asked {
        Asked::RequestHeaders(_) => Some("RequestHeaderModifier"),
        Asked::ResponseHeaders(_) => Some("ResponseHeaderModifier"),
        Asked::Redirect(_) => Some("RequestRedirect"),
        Asked::Rewrite(_) => Some("URLRewrite"),
        Asked::NotCarried("CORS") => Some("CORS"),
        Asked::NotCarried(_) | Asked::Extension(_) | Asked::Malformed(_) => None,
    }
}

enum Read<'a> {
    Filter(Filter),
    /// Namespace and name.
    Middleware(&'a str, &'a Arc<str>),
}

fn one<'a>(
    asked: &Asked<'a>,
    field: &str,
    level: Level<'a>,
    one_prefix: bool,
    findings: &mut Vec<Finding>,
) -> Result<Read<'a>, Finding> {
    let unsupported = |field: String, message: String| Err(Finding::refused(field, reason::UNSUPPORTED_VALUE, message));
    match asked {
        Asked::RequestHeaders(change) => {
            let field = format!("{field}.requestHeaderModifier");
            headers(change, &field, findings).map(|change| Read::Filter(Filter::RequestHeaders(change)))
        }
        Asked::ResponseHeaders(change) => {
            let field = format!("{field}.responseHeaderModifier");
            headers(change, &field, findings).map(|change| Read::Filter(Filter::ResponseHeaders(change)))
        }
        Asked::Redirect(_) if level == Level::Backend => {
            unsupported(field.to_owned(), "redirects of single backends are not carried".to_owned())
        }
        Asked::Redirect(asked) => {
            let field = format!("{field}.requestRedirect");
            redirect(asked, &field, one_prefix).map(|redirect| Read::Filter(Filter::Redirect(redirect)))
        }
        Asked::Rewrite(asked) => {
            let field = format!("{field}.urlRewrite");
            rewrite(asked, &field, one_prefix).map(|rewrite| Read::Filter(Filter::Rewrite(rewrite)))
        }
        Asked::Extension(reference) if (&*reference.group, &*reference.kind) != ("traefik.io", "Middleware") => {
            let kind = reason::kind(&reference.kind, &reference.group);
            let message = format!("extensions of kind {kind} are not carried");
            Err(Finding::refused(format!("{field}.extensionRef"), reason::INVALID_KIND, message)
                .remedy("only a Middleware of traefik.io is carried"))
        }
        Asked::Extension(reference) => match level {
            Level::Rule(namespace) => Ok(Read::Middleware(namespace, &reference.name)),
            Level::Backend => unsupported(
                format!("{field}.extensionRef"),
                "middlewares of single backends are not carried".to_owned(),
            ),
        },
        Asked::NotCarried(name) => unsupported(field.to_owned(), format!("filters of type {name} are not carried"))
            .map_err(|finding| finding.remedy("remove the filter")),
        Asked::Malformed(problem) => unsupported(field.to_owned(), (*problem).to_owned()),
    }
}

fn headers(asked: &HeaderModifier, field: &str, findings: &mut Vec<Finding>) -> Result<HeaderChange, Finding> {
    let set = fields(&asked.set, &format!("{field}.set"), findings)?;
    let add = fields(&asked.add, &format!("{field}.add"), findings)?;
    check_length(asked.remove.len(), &format!("{field}.remove"))?;
    let mut remove = Vec::new();
    for (index, name) in asked.remove.iter().enumerate() {
        let name = header_name(name, &format!("{field}.remove[{index}]"))?;
        if !remove.contains(&name) {
            remove.push(name);
        }
    }
    Ok(HeaderChange { set, add, remove })
}

/// Of several entries of one name the first counts (`HTTPHeaderFilter`).
fn fields(
    asked: &[HeaderField],
    field: &str,
    findings: &mut Vec<Finding>,
) -> Result<Vec<(HeaderName, HeaderValue)>, Finding> {
    check_length(asked.len(), field)?;
    let mut fields: Vec<(HeaderName, HeaderValue)> = Vec::new();
    for (index, entry) in asked.iter().enumerate() {
        let field = format!("{field}[{index}]");
        let name = header_name(&entry.name, &format!("{field}.name"))?;
        let value = HeaderValue::from_str(&entry.value).map_err(|_| {
            Finding::refused(format!("{field}.value"), reason::UNSUPPORTED_VALUE, "is not a header value")
        })?;
        if fields.iter().any(|(other, _)| *other == name) {
            findings.push(Finding::ignored(field, reason::DUPLICATE, format!("an earlier entry is for {name} too")));
        } else {
            fields.push((name, value));
        }
    }
    Ok(fields)
}

fn check_length(length: usize, field: &str) -> Result<(), Finding> {
    match length {
        0..=16 => Ok(()),
        _ => Err(Finding::refused(field, reason::UNSUPPORTED_VALUE, "at most 16 entries are allowed")),
    }
}

fn header_name(text: &str, field: &str) -> Result<HeaderName, Finding> {
    let refuse = |message: String| Finding::refused(field, reason::UNSUPPORTED_VALUE, message);
    let name = HeaderName::from_bytes(text.as_bytes()).map_err(|_| refuse(format!("{text:?} is not a header name")))?;
    // Whoever could write these would decide where a message ends.
    let framing = [header::CONNECTION, header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::UPGRADE, header::TE];
    if framing.contains(&name) {
        return Err(refuse(format!("{name} belongs to the connection and cannot be changed")));
    }
    Ok(name)
}

fn redirect(asked: &RequestRedirect, field: &str, one_prefix: bool) -> Result<Redirect, Finding> {
    let status = asked.status_code.unwrap_or(302);
    let status = StatusCode::from_u16(status).ok().filter(|_| matches!(status, 301 | 302 | 303 | 307 | 308));
    let status = status.ok_or_else(|| {
        Finding::refused(
            format!("{field}.statusCode"),
            reason::UNSUPPORTED_VALUE,
            "the status of a redirect is 301, 302, 303, 307 or 308",
        )
    })?;
    Ok(Redirect {
        scheme: asked.scheme.map(|scheme| match scheme {
            RedirectScheme::Http => Scheme::Http,
            RedirectScheme::Https => Scheme::Https,
        }),
        host: host(asked.hostname.as_ref(), field)?,
        port: asked.port.map(std::num::NonZero::get),
        path: path(asked.path.as_ref(), field, one_prefix)?,
        status,
    })
}

fn rewrite(asked: &UrlRewrite, field: &str, one_prefix: bool) -> Result<Rewrite, Finding> {
    Ok(Rewrite { host: host(asked.hostname.as_ref(), field)?, path: path(asked.path.as_ref(), field, one_prefix)? })
}

fn host(text: Option<&Arc<str>>, field: &str) -> Result<Option<Arc<str>>, Finding> {
    let refuse = |problem| Finding::refused(format!("{field}.hostname"), reason::UNSUPPORTED_VALUE, problem);
    text.map(|text| hostname::precise(text).map_err(|problem| refuse(format!("{text:?} {problem}")))).transpose()
}

fn path(asked: Option<&PathModifier>, field: &str, one_prefix: bool) -> Result<Option<PathChange>, Finding> {
    let Some(asked) = asked else { return Ok(None) };
    let field = format!("{field}.path");
    let refuse =
        |part: &str, message: &str| Err(Finding::refused(format!("{field}{part}"), reason::UNSUPPORTED_VALUE, message));
    match (asked.kind, &asked.replace_full_path, &asked.replace_prefix_match) {
        (PathModifierType::ReplaceFullPath, Some(text), None) => match replacement(text) {
            Ok(path) => Ok(Some(PathChange::Full(path))),
            Err(problem) => refuse(".replaceFullPath", problem),
        },
        (PathModifierType::ReplacePrefixMatch, None, Some(_)) if !one_prefix => refuse(
            ".replacePrefixMatch",
            "a prefix can be replaced only in a rule with exactly one match, of type PathPrefix",
        ),
        (PathModifierType::ReplacePrefixMatch, None, Some(text)) => match replacement(text) {
            Ok(path) => Ok(Some(PathChange::Prefix(path))),
            Err(problem) => refuse(".replacePrefixMatch", problem),
        },
        _ => refuse("", "the field that type names, and no other, must be there"),
    }
}

/// In the spelling of normalised paths: backends see what the router would have seen.
fn replacement(text: &str) -> Result<Arc<str>, &'static str> {
    let path = encode_path(text);
    if text.len() > 1024 {
        Err("is longer than 1024 bytes")
    } else if !text.is_empty() && !text.starts_with('/') {
        Err("must begin with /")
    } else if text.bytes().any(|b| !b.is_ascii_graphic() || matches!(b, b'?' | b'#')) {
        Err("may hold visible ASCII characters without ? and #; write others in percent-encoding")
    } else if path.contains("//") || path.split('/').any(|segment| segment == "." || segment == "..") {
        Err("may hold neither // nor . or .. segments")
    } else {
        Ok(path.into())
    }
}
