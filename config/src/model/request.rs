//! What a request is looked up by, and single conditions on it in the sense of Traefik's matchers.

use std::{borrow::Cow, fmt, net::IpAddr, sync::Arc};

use http::{HeaderName, Method};
use ipnet::IpNet;

use super::{go_regex::GoRegex, host::HostPattern};

/// What a rule is looked up by: the request after it has been normalised once.
#[derive(Clone, Copy, Debug)]
pub struct RequestKey<'a> {
    /// Lower-case host without port and trailing dot; empty when the request named none.
    pub host: &'a str,
    /// Normalised path, beginning with `/`.
    pub path: &'a str,
    /// Query without `?`.
    pub query: Option<&'a str>,
    /// Method.
    pub method: &'a Method,
    /// Header fields.
    pub headers: &'a http::HeaderMap,
    /// The other end of the connection, after a PROXY header and never from X-Forwarded-For.
    pub peer: IpAddr,
}

/// A condition on one property of a request. Texts of paths are spelled as requests are
/// ([`encode_path`](super::path::encode_path)); expressions see the path with everything decoded but what RFC 3986 reserves.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Condition {
    /// The host.
    Host(HostPattern),
    /// The host, by an expression that need not match all of it.
    HostRegex(GoRegex),
    /// The whole path.
    Path(Arc<str>),
    /// The first characters of the path, whether or not a segment ends behind them.
    PathPrefix(Arc<str>),
    /// The path, by an expression that need not match all of it.
    PathRegex(GoRegex),
    /// One of the field lines of this name has this value.
    Header(HeaderName, Arc<str>),
    /// One of the field lines of this name matches.
    HeaderRegex(HeaderName, GoRegex),
    /// The method.
    Method(Method),
    /// One of the query parameters of this name has this value, both after decoding.
    Query(Arc<str>, Arc<str>),
    /// One of the query parameters of this name matches.
    QueryRegex(Arc<str>, GoRegex),
    /// The other end of the connection is in this network.
    Peer(IpNet),
}

impl Condition {
    /// Whether `request` fulfils it.
    pub fn holds(&self, request: RequestKey<'_>) -> bool {
        match self {
            Self::Host(pattern) => pattern.matches(request.host),
            Self::HostRegex(regex) => regex.is_match(request.host),
            Self::Path(text) => **text == *request.path,
            Self::PathPrefix(text) => request.path.starts_with(&**text),
            Self::PathRegex(regex) => regex.is_match(&decoded(request.path)),
            Self::Header(name, value) => {
                request.headers.get_all(name).iter().any(|line| line.as_bytes() == value.as_bytes())
            }
            Self::HeaderRegex(name, regex) => {
                let mut lines = request.headers.get_all(name).iter();
                lines.any(|line| regex.is_match(&String::from_utf8_lossy(line.as_bytes())))
            }
            Self::Method(method) => method == request.method,
            Self::Query(name, value) => parameters(request.query).any(|(n, v)| n == **name && v == **value),
            Self::QueryRegex(name, regex) => parameters(request.query).any(|(n, v)| n == **name && regex.is_match(&v)),
            Self::Peer(net) => net.contains(&request.peer.to_canonical()),
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(pattern) => write!(f, "host is {pattern}"),
            Self::HostRegex(regex) => write!(f, "host matches {regex:?}"),
            Self::Path(text) => write!(f, "path is {text}"),
            Self::PathPrefix(text) => write!(f, "path begins with {text}"),
            Self::PathRegex(regex) => write!(f, "path matches {regex:?}"),
            Self::Header(name, value) => write!(f, "header {name} is {value:?}"),
            Self::HeaderRegex(name, regex) => write!(f, "header {name} matches {regex:?}"),
            Self::Method(method) => write!(f, "method is {method}"),
            Self::Query(name, value) => write!(f, "query {name} is {value:?}"),
            Self::QueryRegex(name, regex) => write!(f, "query {name} matches {regex:?}"),
            Self::Peer(net) => write!(f, "peer is in {net}"),
        }
    }
}

/// The path as Traefik's expressions see it: escapes of reserved characters (RFC 3986 section 2.2) and of `%` stay.
fn decoded(path: &str) -> Cow<'_, str> {
    const KEPT: &[u8] = b":/?#[]@!$&'()*+,;=%";
    if !path.contains('%') {
        return path.into();
    }
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        match escaped(rest).filter(|byte| !KEPT.contains(byte)) {
            Some(byte) => {
                bytes.push(byte);
                rest = rest.get(3..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned().into()
}

/// The byte that `%` and two digits at the beginning of `text` stand for.
fn escaped(text: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = text else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(*high)? * 16 + digit(*low)?)
}

/// The parameters of a query as Go's `url.ParseQuery` reads them: a pair with `;` or with a `%` that begins no escape is
/// left out.
fn parameters(query: Option<&str>) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    let pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty() && !pair.contains(';'));
    pairs.filter_map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Some((unescape(name)?, unescape(value)?))
    })
}

fn unescape(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains(['%', '+']) {
        return Some(text.into());
    }
    let begins_no_escape = |at: usize| escaped(text.as_bytes().get(at..).unwrap_or_default()).is_none();
    if text.match_indices('%').any(|(at, _)| begins_no_escape(at)) {
        return None;
    }
    let spaced = text.replace('+', " ");
    Some(percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy().into_owned().into())
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::*;

    fn regex(text: &str) -> GoRegex {
        GoRegex::new(text).expect("a valid expression")
    }

    fn holds(condition: Condition, path: &str, query: Option<&str>) -> bool {
        let headers = HeaderMap::new();
        let peer = "::ffff:10.1.2.3".parse().expect("an address");
        condition.holds(RequestKey { host: "a.b", path, query, method: &Method::GET, headers: &headers, peer })
    }

    #[test]
    fn expressions_see_the_path_decoded_but_for_what_is_reserved() {
        for (expression, path, want) in [
            ("^/café$", "/caf%C3%A9", true),
            ("^/a b$", "/a%20b", true),
            ("^/a/b$", "/a%2Fb", false),
            ("^/a%2Fb$", "/a%2Fb", true),
            ("^/100%25$", "/100%25", true),
            ("b", "/abc", true),
            ("^b", "/abc", false),
        ] {
            assert_eq!(holds(Condition::PathRegex(regex(expression)), path, None), want, "{expression} {path}");
        }
    }

    #[test]
    fn prefixes_are_compared_by_character() {
        let prefix = |text: &str| Condition::PathPrefix(text.into());
        for (text, path, want) in [
            ("/products", "/products-for-sale", true),
            ("/products", "/products/1", true),
            ("/products/", "/products", false),
            ("/.", "/.well-known", true),
            ("/a", "/b", false),
        ] {
            assert_eq!(holds(prefix(text), path, None), want, "{text} {path}");
        }
    }

    #[test]
    fn any_parameter_of_the_name_may_match() {
        let query = |name: &str, value: &str| Condition::Query(name.into(), value.into());
        for (condition, text, want) in [
            (query("a", "2"), "a=1&a=2", true),
            (query("a", ""), "a", true),
            (query("a", ""), "a=1", false),
            (query("a", ""), "b", false),
            (query("a", "x y"), "a=x+y", true),
            (query("a", "x y"), "a=x%20y", true),
            (query("a", "1"), "a=1;b=2", false),
            (query("a", "%zz"), "a=%zz", false),
            (Condition::QueryRegex("a".into(), regex("^[0-9]+$")), "a=x&a=12", true),
        ] {
            assert_eq!(holds(condition.clone(), "/", Some(text)), want, "{condition} in {text}");
        }
    }

    #[test]
    fn any_line_of_a_field_may_match() {
        let mut headers = HeaderMap::new();
        headers.append("x-a", HeaderValue::from_static("1"));
        headers.append("x-a", HeaderValue::from_bytes(b"\xff2").expect("a value"));
        let name = HeaderName::from_static("x-a");
        for (condition, want) in [
            (Condition::Header(name.clone(), "1".into()), true),
            (Condition::Header(name.clone(), "2".into()), false),
            (Condition::HeaderRegex(name, regex("2$")), true),
            (Condition::HeaderRegex(HeaderName::from_static("x-b"), regex("")), false),
        ] {
            let (method, peer) = (&Method::GET, IpAddr::from([127, 0, 0, 1]));
            let key = RequestKey { host: "", path: "/", query: None, method, headers: &headers, peer };
            assert_eq!(condition.holds(key), want, "{condition}");
        }
    }

    #[test]
    fn a_mapped_address_is_in_networks_of_ipv4() {
        for (net, want) in [("10.0.0.0/8", true), ("11.0.0.0/8", false), ("::/0", false)] {
            assert_eq!(holds(Condition::Peer(net.parse().expect("a network")), "/", None), want, "{net}");
        }
    }
}
