//! Redirects by a regular expression on the URL.

use postern_config::model::middleware::redirect_regex as model;

use super::redirect::{answer, authority, target};
use crate::exchange::{Exchange, Flow};

/// Running state.
#[derive(Debug)]
pub(super) struct RedirectRegex {
    spec: model::RedirectRegex,
}

impl RedirectRegex {
    pub(super) fn build(spec: &model::RedirectRegex) -> Self {
        Self { spec: spec.clone() }
    }

    /// The scheme of the URL is the connection's own, whatever X-Forwarded-Proto says (as in Traefik).
    pub(super) fn on_request(&self, exchange: &mut Exchange) -> Flow {
        let scheme = if exchange.connection.tls.is_some() { "https" } else { "http" };
        let old = format!("{scheme}://{}{}", authority(exchange), target(exchange));
        if !self.spec.regex.is_match(&old) {
            return Flow::Continue;
        }
        let new = self.spec.regex.replace_all(&old, &self.spec.replacement);
        if new == old { Flow::Continue } else { answer(exchange, &new, self.spec.permanent) }
    }
}

#[cfg(test)]
mod tests {
    use crate::middleware::testing::{exchange, redirected, spec};

    #[test]
    fn matching_urls_are_sent_elsewhere() {
        for (regex, replacement, url, want) in [
            (
                "^(?:http?://)(foo)(.com)(:\\d+)(.*)$",
                "https://${1}bar$2:443$4",
                "http://foo.com:80/a?b=c",
                Some("https://foobar.com:443/a?b=c"),
            ),
            ("^http://(.*)", "https://$1", "http://foo.com", Some("https://foo.com/")),
            ("^http://(.*)", "https://$1", "https://foo.com", None),
            ("^http://other/", "https://$1", "http://foo.com", None),
            ("^http://foo/(.*)", "http://foo/$1", "http://foo/a", None),
            ("^http://foo/a(.*)", "http://foo/b$1", "http://foo/a%20c", Some("http://foo/b%20c")),
        ] {
            let middleware = spec(&format!("redirectRegex: {{regex: '{regex}', replacement: '{replacement}'}}"));
            let got = redirected(&middleware, &mut exchange("GET", url).build());
            assert_eq!(got, want.map(|to| (302, to.to_owned())), "{regex} {url}");
        }
    }
}
