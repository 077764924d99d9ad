//! Matches of an HTTPRoute's rule, and the parts that GRPCRoutes share.

use std::sync::Arc;

use http::{HeaderName, Method};

use super::reason;
use crate::{
    kubernetes::object::gateway::{HttpMatch, HttpMethod, HttpPathMatch, NamedMatch, PathMatchType, ValueMatchType},
    model::{
        path::{PathPattern, PathRegex},
        route::{HeaderMatch, Predicates, QueryMatch, ValueMatch},
    },
    report::Finding,
};

/// One match, `field` being its place; the error is told by the caller.
pub(super) fn read(
    asked: &HttpMatch,
    field: &str,
    findings: &mut Vec<Finding>,
) -> Result<(PathPattern, Predicates), Finding> {
    let path = path(asked.path.as_ref(), &format!("{field}.path"))?;
    let predicates = Predicates {
        expression: None,
        path: None,
        method: asked.method.map(method),
        headers: headers(&asked.headers, &format!("{field}.headers"), findings)?,
        query: query(&asked.query_params, &format!("{field}.queryParams"), findings)?,
    };
    Ok((path, predicates))
}

/// Header conditions; of several for one name the first counts (`HTTPHeaderMatch.name`).
pub(super) fn headers(
    asked: &[NamedMatch],
    field: &str,
    findings: &mut Vec<Finding>,
) -> Result<Vec<HeaderMatch>, Finding> {
    check_length(asked.len(), field)?;
    let mut read: Vec<HeaderMatch> = Vec::new();
    for (index, entry) in asked.iter().enumerate() {
        let field = format!("{field}[{index}]");
        let name = HeaderName::from_bytes(entry.name.as_bytes())
            .map_err(|_| refuse(&format!("{field}.name"), format!("{:?} is not a header name", entry.name)))?;
        if read.iter().any(|other| other.name == name) {
            findings.push(duplicate(&field, name.as_str()));
            continue;
        }
        read.push(HeaderMatch { name, value: value(entry, &field)? });
    }
    Ok(read)
}

fn query(asked: &[NamedMatch], field: &str, findings: &mut Vec<Finding>) -> Result<Vec<QueryMatch>, Finding> {
    check_length(asked.len(), field)?;
    let mut read: Vec<QueryMatch> = Vec::new();
    for (index, entry) in asked.iter().enumerate() {
        let field = format!("{field}[{index}]");
        if entry.name.is_empty() {
            return Err(refuse(&format!("{field}.name"), "must not be empty".to_owned()));
        }
        if read.iter().any(|other| other.name == entry.name) {
            findings.push(duplicate(&field, &entry.name));
            continue;
        }
        read.push(QueryMatch { name: entry.name.clone(), value: value(entry, &field)? });
    }
    Ok(read)
}

fn value(entry: &NamedMatch, field: &str) -> Result<ValueMatch, Finding> {
    let field = format!("{field}.value");
    if entry.value.is_empty() {
        return Err(refuse(&field, "must not be empty".to_owned()));
    }
    match entry.kind {
        ValueMatchType::Exact => Ok(ValueMatch::Exact(entry.value.clone())),
        ValueMatchType::RegularExpression => regex(&entry.value, &field).map(ValueMatch::Regex),
    }
}

/// A regular expression for a whole value.
pub(super) fn regex(text: &str, field: &str) -> Result<PathRegex, Finding> {
    PathRegex::new(text).map_err(|error| refuse(field, format!("{text:?} {error}")))
}

fn path(asked: Option<&HttpPathMatch>, field: &str) -> Result<PathPattern, Finding> {
    let kind = asked.map(|asked| asked.kind).unwrap_or_default();
    let text: &str = asked.and_then(|asked| asked.value.as_deref()).unwrap_or("/");
    let field = format!("{field}.value");
    let pattern = match kind {
        PathMatchType::Exact => PathPattern::exact(text),
        PathMatchType::PathPrefix => PathPattern::prefix(text),
        PathMatchType::RegularExpression => PathPattern::regex(text),
    };
    let pattern = pattern.map_err(|error| refuse(&field, format!("{text:?} {error}")))?;
    if kind != PathMatchType::RegularExpression {
        check_path(text).map_err(|problem| refuse(&field, format!("{text:?} {problem}")))?;
    }
    Ok(pattern)
}

/// What the CRD says of paths beyond [`PathPattern`]'s own rules.
fn check_path(text: &str) -> Result<(), &'static str> {
    if text.len() > 1024 {
        return Err("is longer than 1024 bytes");
    }
    if text.to_ascii_lowercase().contains("%2f") {
        return Err("may not hold an escaped slash");
    }
    let bytes = text.as_bytes();
    let legal = |(at, byte): (usize, &u8)| match byte {
        b'%' => bytes.get(at + 1..at + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)),
        _ => byte.is_ascii_alphanumeric() || b"-/._~!$&'()*+,;=:@".contains(byte),
    };
    if bytes.iter().enumerate().all(legal) { Ok(()) } else { Err("holds characters that must be percent-encoded") }
}

fn method(asked: HttpMethod) -> Method {
    match asked {
        HttpMethod::Get => Method::GET,
        HttpMethod::Head => Method::HEAD,
        HttpMethod::Post => Method::POST,
        HttpMethod::Put => Method::PUT,
        HttpMethod::Delete => Method::DELETE,
        HttpMethod::Connect => Method::CONNECT,
        HttpMethod::Options => Method::OPTIONS,
        HttpMethod::Trace => Method::TRACE,
        HttpMethod::Patch => Method::PATCH,
    }
}

fn check_length(length: usize, field: &str) -> Result<(), Finding> {
    if length > 16 { Err(refuse(field, "at most 16 entries are allowed".to_owned())) } else { Ok(()) }
}

fn refuse(field: &str, message: String) -> Finding {
    Finding::refused(field, reason::UNSUPPORTED_VALUE, message)
}

fn duplicate(field: &str, name: &str) -> Finding {
    Finding::ignored(field, reason::DUPLICATE, format!("an earlier entry is for {name} too"))
}

/// The text of `name` as an expression that matches nothing else.
pub(super) fn escape(name: &Arc<str>) -> String {
    regex::escape(name)
}
