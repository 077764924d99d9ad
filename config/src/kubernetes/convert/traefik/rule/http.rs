//! The matchers of requests.

use std::{net::IpAddr, sync::Arc};

use http::{HeaderName, Method};
use ipnet::IpNet;

use super::{Matcher, Read};
use crate::model::{
    go_regex::GoRegex,
    host::HostPattern,
    path::{PathError, PathPattern, encode_path},
    request::Condition,
};

const fn matcher(
    name: &'static str,
    arity: &'static str,
    values: std::ops::RangeInclusive<usize>,
    read: fn(&[String]) -> Result<Read<Condition>, String>,
) -> Matcher<Condition> {
    Matcher { name, arity, values, read }
}

const ONE: &str = "one value";
const TWO: &str = "two values";
const ONE_OR_TWO: &str = "one value or two";

pub(super) const MATCHERS: &[Matcher<Condition>] = &[
    matcher("Host", ONE, 1..=1, |values| host(first(values)).map(Condition::Host).map(Read::Is)),
    matcher("HostRegexp", ONE, 1..=1, |values| host_regex(first(values)).map(Condition::HostRegex).map(Read::Is)),
    matcher("Path", ONE, 1..=1, |values| path(first(values))),
    matcher("PathPrefix", ONE, 1..=1, |values| path_prefix(first(values))),
    matcher("PathRegexp", ONE, 1..=1, |values| regex(first(values)).map(Condition::PathRegex).map(Read::Is)),
    matcher("Header", TWO, 2..=2, |values| {
        Ok(Read::Is(Condition::Header(field(first(values))?, second(values).into())))
    }),
    matcher("HeaderRegexp", TWO, 2..=2, |values| {
        Ok(Read::Is(Condition::HeaderRegex(field(first(values))?, regex(second(values))?)))
    }),
    matcher("Method", ONE, 1..=1, |values| method(first(values)).map(Condition::Method).map(Read::Is)),
    matcher("Query", ONE_OR_TWO, 1..=2, |values| Ok(Read::Is(query(values)))),
    matcher("QueryRegexp", ONE_OR_TWO, 1..=2, |values| {
        let Some(expression) = values.get(1) else { return Ok(Read::Is(query(values))) };
        Ok(Read::Is(Condition::QueryRegex(first(values).into(), regex(expression)?)))
    }),
    matcher("ClientIP", ONE, 1..=1, |values| network(first(values)).map(Condition::Peer).map(Read::Is)),
];

pub(super) fn first(values: &[String]) -> &str {
    values.first().map_or("", String::as_str)
}

fn second(values: &[String]) -> &str {
    values.get(1).map_or("", String::as_str)
}

/// Any ASCII text is a host to Traefik, addresses and names with `_` among them; `*.` stands for one label and `*` for
/// every host, also none.
pub(super) fn host(text: &str) -> Result<HostPattern, String> {
    let lower = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    if lower == "*" {
        return Ok(HostPattern::Any);
    }
    let (wild, name) = match lower.strip_prefix("*.") {
        Some(suffix) => (true, suffix),
        None => (false, lower.as_str()),
    };
    if name.is_empty() {
        return Err("names no host".to_owned());
    }
    if !name.is_ascii() {
        return Err(format!("{text:?} must be in ASCII; write international names as xn--…"));
    }
    if name.contains(|c: char| c.is_ascii_control() || c.is_ascii_whitespace() || "*/?#@`\"".contains(c)) {
        return Err(format!("{text:?} is no host; a wildcard is the whole first label"));
    }
    let name: Arc<str> = name.into();
    Ok(if wild { HostPattern::OneLabel(name) } else { HostPattern::Exact(name) })
}

pub(super) fn host_regex(text: &str) -> Result<GoRegex, String> {
    if text.is_ascii() { regex(text) } else { Err(format!("{text:?} must be in ASCII, as hosts are")) }
}

pub(super) fn regex(text: &str) -> Result<GoRegex, String> {
    GoRegex::new(text).map_err(|error| format!("{text:?} {error}"))
}

fn path(text: &str) -> Result<Read<Condition>, String> {
    match PathPattern::exact(text) {
        Ok(_) => Ok(Read::Is(Condition::Path(encode_path(text).into()))),
        Err(PathError::NeverMatches(why)) => Ok(Read::Never(why)),
        Err(error) => Err(format!("{text:?} {error}")),
    }
}

/// The last segment may go on in a request, so a prefix may end as no whole path can.
fn path_prefix(text: &str) -> Result<Read<Condition>, String> {
    let unfinished = text.trim_end_matches('.');
    let probe = if unfinished.ends_with('/') { unfinished } else { text };
    match path(probe)? {
        Read::Is(_) => Ok(Read::Is(Condition::PathPrefix(encode_path(text).into()))),
        never @ Read::Never(_) => Ok(never),
    }
}

fn field(text: &str) -> Result<HeaderName, String> {
    let name = HeaderName::from_bytes(text.as_bytes());
    match name.map_err(|_| format!("{text:?} is no name of a header field"))? {
        http::header::HOST => Err("the field Host is no header field to rules; use Host(`…`)".to_owned()),
        name => Ok(name),
    }
}

fn method(text: &str) -> Result<Method, String> {
    text.to_ascii_uppercase().parse().map_err(|_| format!("{text:?} is no method"))
}

/// Without a value: the parameter is there and empty.
fn query(values: &[String]) -> Condition {
    Condition::Query(first(values).into(), second(values).into())
}

pub(super) fn network(text: &str) -> Result<IpNet, String> {
    let net = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    net.map(|net| net.trunc()).map_err(|_| format!("{text:?} is neither an address nor a network, such as 10.0.0.0/8"))
}
