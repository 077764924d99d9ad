//! Runs the stateless filters of a rule: header changes, redirects, rewrites.

use std::borrow::Cow;

use http::{HeaderMap, HeaderValue, Response, Uri, header, uri::PathAndQuery};
use postern_config::model::{
    filter::{Filter, HeaderChange, PathChange, Redirect, Rewrite, Scheme},
    path::PathPattern,
};

use super::{Body, Exchange, FilterSite, Flow, ResponseStep};
use crate::respond::{self, Failure};

/// Runs `filter`, which stands at `site` of the exchange's rule.
pub fn run(filter: &Filter, site: FilterSite, exchange: &mut Exchange) -> Flow {
    match filter {
        Filter::RequestHeaders(change) => change_request(change, exchange),
        Filter::ResponseHeaders(_) => exchange.response_steps.push(ResponseStep::Headers(exchange.rule.clone(), site)),
        Filter::Redirect(redirect) => return Flow::Answer(redirect_answer(redirect, exchange)),
        Filter::Rewrite(rewrite) => return rewrite_request(rewrite, exchange),
    }
    Flow::Continue
}

/// Set, then add, then remove.
pub fn change_headers(change: &HeaderChange, headers: &mut HeaderMap) {
    for (name, value) in &change.set {
        headers.insert(name, value.clone());
    }
    for (name, value) in &change.add {
        headers.append(name, value.clone());
    }
    for name in &change.remove {
        headers.remove(name);
    }
}

/// `path` after `change`, for a rule filed by `pattern`.
pub fn change_path<'a>(change: &'a PathChange, pattern: &PathPattern, path: &'a str) -> Cow<'a, str> {
    match change {
        PathChange::Full(full) => Cow::Borrowed(full),
        PathChange::Prefix(replacement) => {
            let prefix = match pattern {
                PathPattern::Prefix(prefix) => &**prefix,
                PathPattern::Exact(_) | PathPattern::Start(_) | PathPattern::Regex(_) => "",
            };
            replace_prefix(path, prefix, replacement)
        }
    }
}

/// Gateway API `ReplacePrefixMatch`: joined with exactly one slash.
fn replace_prefix<'a>(path: &'a str, prefix: &str, replacement: &str) -> Cow<'a, str> {
    let rest = path.strip_prefix(prefix).unwrap_or(path);
    let head = replacement.trim_end_matches('/');
    let mut out = String::with_capacity(head.len() + rest.len() + 1);
    out.push_str(head);
    out.push_str(rest);
    if out.is_empty() {
        out.push('/');
    }
    Cow::Owned(out)
}

/// The Host field is not in the map: setting it sets the authority.
fn change_request(change: &HeaderChange, exchange: &mut Exchange) {
    change_headers(change, &mut exchange.parts.headers);
    if let Some(host) = exchange.parts.headers.remove(header::HOST) {
        exchange.authority = host;
    }
}

fn redirect_answer(redirect: &Redirect, exchange: &Exchange) -> Response<Body> {
    let mut response = respond::plain(redirect.status);
    match HeaderValue::from_str(&location(redirect, exchange)) {
        Ok(location) => drop(response.headers_mut().insert(header::LOCATION, location)),
        Err(_) => {
            response = respond::answer(&Failure::BadRequest("no redirect for this path"), &exchange.parts.headers)
        }
    }
    response
}

fn location(redirect: &Redirect, exchange: &Exchange) -> String {
    let scheme = redirect.scheme.map_or(exchange.scheme, Scheme::as_str);
    let host = redirect.host.as_deref().unwrap_or(&exchange.host);
    let default = if scheme == "https" { Scheme::Https } else { Scheme::Http }.default_port();
    let port = redirect.port.unwrap_or(match redirect.scheme {
        Some(scheme) => scheme.default_port(),
        None => exchange.connection.socket.port,
    });
    let path = match &redirect.path {
        Some(change) => change_path(change, &exchange.rule.path, exchange.parts.uri.path()),
        None => Cow::Borrowed(exchange.parts.uri.path()),
    };
    let mut out = format!("{scheme}://{host}");
    if port != default {
        out.push_str(&format!(":{port}"));
    }
    out.push_str(&path);
    if let Some(query) = exchange.parts.uri.query() {
        out.push('?');
        out.push_str(query);
    }
    out
}

fn rewrite_request(rewrite: &Rewrite, exchange: &mut Exchange) -> Flow {
    if let Some(host) = rewrite.host.as_deref().and_then(|host| HeaderValue::from_str(host).ok()) {
        exchange.authority = host;
    }
    let Some(change) = &rewrite.path else { return Flow::Continue };
    let path = change_path(change, &exchange.rule.path, exchange.parts.uri.path()).into_owned();
    match with_path(&exchange.parts.uri, &path) {
        Some(uri) => rewrite_to(exchange, uri),
        None => {
            let failure = Failure::BadRequest("the rewritten path is no path");
            return Flow::Answer(respond::answer(&failure, &exchange.parts.headers));
        }
    }
    Flow::Continue
}

/// Among a request's extensions: what the client asked for, in its one form, before the path was rewritten.
#[derive(Clone, Debug)]
struct ClientTarget(Uri);

/// Makes `uri` the target that the backend sees.
pub(crate) fn rewrite_to(exchange: &mut Exchange, uri: Uri) {
    let before = std::mem::replace(&mut exchange.parts.uri, uri);
    exchange.parts.extensions.get_or_insert(ClientTarget(before));
}

/// What the client asked for, in its one form, whatever has become of the path since.
pub(crate) fn target_of_client(exchange: &Exchange) -> &Uri {
    exchange.parts.extensions.get::<ClientTarget>().map_or(&exchange.parts.uri, |target| &target.0)
}

/// `uri` with another path and the same query, path and query only.
pub fn with_path(uri: &Uri, path: &str) -> Option<Uri> {
    let text = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    PathAndQuery::try_from(text).ok().map(Uri::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of the Gateway API's `HTTPPathModifier.replacePrefixMatch`.
    #[test]
    fn a_prefix_is_replaced_element_by_element() {
        for (path, prefix, replacement, want) in [
            ("/foo/bar", "/foo", "/xyz", "/xyz/bar"),
            ("/foo/bar", "/foo", "/xyz/", "/xyz/bar"),
            ("/foo/bar", "/foo/", "/xyz", "/xyz/bar"),
            ("/foo/bar", "/foo/", "/xyz/", "/xyz/bar"),
            ("/foo", "/foo", "/xyz", "/xyz"),
            ("/foo/", "/foo", "/xyz", "/xyz/"),
            ("/foo/bar", "/foo", "", "/bar"),
            ("/foo/", "/foo", "", "/"),
            ("/foo", "/foo", "", "/"),
            ("/foo/", "/foo", "/", "/"),
            ("/foo", "/foo", "/", "/"),
        ] {
            let pattern = PathPattern::prefix(prefix).expect("a valid prefix");
            let change = PathChange::Prefix(replacement.into());
            assert_eq!(change_path(&change, &pattern, path), want, "{path} {prefix} {replacement}");
        }
    }
}
