//! Redirects to another scheme or port.

use postern_config::model::middleware::redirect_scheme as model;

use super::redirect::{answer, authority, target};
use crate::exchange::{Exchange, Flow, forwarded::FORWARDED_PROTO};

/// Running state.
#[derive(Debug)]
pub(super) struct RedirectScheme {
    spec: model::RedirectScheme,
    /// `:8443`, or nothing.
    port: String,
}

impl RedirectScheme {
    pub(super) fn build(spec: &model::RedirectScheme) -> Self {
        let port = spec.port.filter(|port| default_port(&spec.scheme) != Some(*port));
        Self { spec: spec.clone(), port: port.map(|port| format!(":{port}")).unwrap_or_default() }
    }

    pub(super) fn on_request(&self, exchange: &mut Exchange) -> Flow {
        let (host, port) = split_port(authority(exchange));
        let scheme = client_scheme(exchange);
        let port = port.filter(|port| port.parse().ok() != default_port(scheme));
        let same_port = port.unwrap_or_default() == self.port.trim_start_matches(':');
        if *self.spec.scheme == *scheme && same_port {
            return Flow::Continue;
        }
        let location = format!("{}://{host}{}{}", self.spec.scheme, self.port, target(exchange));
        answer(exchange, &location, self.spec.permanent)
    }
}

/// The scheme that the client used: X-Forwarded-Proto, which is only there from trusted peers or from ourselves.
/// `ws` and `wss` are what an upgrade makes of `http` and `https`.
fn client_scheme(exchange: &Exchange) -> &'static str {
    let said = exchange.parts.headers.get(FORWARDED_PROTO).map(|value| value.as_bytes()).unwrap_or_default();
    let is = |name: &str| said.eq_ignore_ascii_case(name.as_bytes());
    if is("https") || is("wss") || (!is("http") && !is("ws") && exchange.connection.tls.is_some()) {
        "https"
    } else {
        "http"
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        _ => None,
    }
}

/// Host (brackets kept) and port.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') && (!host.contains(':') || host.ends_with(']')) => (host, Some(port)),
        _ => (authority, None),
    }
}

#[cfg(test)]
mod tests {
    use crate::middleware::testing::{exchange, redirected, spec};

    #[test]
    fn clients_are_sent_to_the_other_scheme() {
        for (options, method, url, proto, want) in [
            ("scheme: https", "GET", "http://foo", "", Some((302, "https://foo/"))),
            ("scheme: https", "GET", "http://foo:80", "", Some((302, "https://foo/"))),
            ("scheme: https, port: '8443'", "GET", "http://foo", "", Some((302, "https://foo:8443/"))),
            ("scheme: https, port: '443'", "GET", "http://foo:8000", "", Some((302, "https://foo/"))),
            ("scheme: https, permanent: true", "GET", "http://foo/a?b=%20", "", Some((301, "https://foo/a?b=%20"))),
            ("scheme: https", "POST", "http://foo/a", "", Some((307, "https://foo/a"))),
            ("scheme: https", "HEAD", "http://foo/a", "", Some((307, "https://foo/a"))),
            ("scheme: https, permanent: true", "PUT", "http://foo/a", "", Some((308, "https://foo/a"))),
            ("scheme: https", "GET", "https://foo", "", None),
            ("scheme: https", "GET", "https://foo:443", "", None),
            ("scheme: https", "GET", "https://foo:8443", "", Some((302, "https://foo/"))),
            ("scheme: https, port: '8443'", "GET", "https://foo:8443", "", None),
            ("scheme: https", "GET", "http://foo", "https", None),
            ("scheme: https", "GET", "http://foo", "WSS", None),
            ("scheme: https", "GET", "http://foo", "ws", Some((302, "https://foo/"))),
            ("scheme: https", "GET", "http://foo", "bar", Some((302, "https://foo/"))),
            ("scheme: http", "GET", "https://foo", "", Some((302, "http://foo/"))),
            ("scheme: http, port: '80'", "GET", "https://foo:443", "", Some((302, "http://foo/"))),
            ("scheme: https", "GET", "http://[::1]:8000/x", "", Some((302, "https://[::1]/x"))),
            ("scheme: https", "GET", "http://[::1]/x", "", Some((302, "https://[::1]/x"))),
            ("scheme: https", "GET", "http://foo/a%2Fb//", "", Some((302, "https://foo/a%2Fb//"))),
        ] {
            let middleware = spec(&format!("redirectScheme: {{{options}}}"));
            let mut exchange = exchange(method, url);
            if !proto.is_empty() {
                exchange = exchange.header("x-forwarded-proto", proto);
            }
            let got = redirected(&middleware, &mut exchange.build());
            assert_eq!(got, want.map(|(status, to)| (status, to.to_owned())), "{options} {method} {url} {proto}");
        }
    }
}
