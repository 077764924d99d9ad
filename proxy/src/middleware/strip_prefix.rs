//! Takes text off the front of the path that the backend sees.

use std::sync::Arc;

use postern_config::model::middleware::strip_prefix as model;

use super::rewrite::{FORWARDED_PREFIX, set_path, tell, with_slash};
use crate::exchange::{Exchange, Flow};

/// Running state.
#[derive(Debug)]
pub(super) struct StripPrefix {
    prefixes: Vec<Arc<str>>,
}

impl StripPrefix {
    pub(super) fn build(spec: &model::StripPrefix) -> Self {
        Self { prefixes: spec.prefixes.clone() }
    }

    pub(super) fn on_request(&self, exchange: &mut Exchange) -> Flow {
        let path = exchange.parts.uri.path();
        let found = self.prefixes.iter().find_map(|prefix| Some((prefix, path.strip_prefix(&**prefix)?)));
        let Some((prefix, rest)) = found else { return Flow::Continue };
        let path = with_slash(rest);
        tell(exchange, FORWARDED_PREFIX, prefix);
        set_path(exchange, &path)
    }
}

#[cfg(test)]
mod tests {
    use crate::middleware::testing::rewritten;

    #[test]
    fn the_first_fitting_prefix_is_taken_off() {
        for (prefixes, path, want, told) in [
            ("['/api']", "/api/v1?x=1", Ok("/v1?x=1"), Some("/api")),
            ("['/api']", "/api", Ok("/"), Some("/api")),
            ("['/api']", "/apifoo", Ok("/foo"), Some("/api")),
            ("['/api/']", "/api/v1", Ok("/v1"), Some("/api/")),
            ("['/api']", "/other", Ok("/other"), None),
            ("['/a', '/a/b']", "/a/b/c", Ok("/b/c"), Some("/a")),
            ("['/a/b', '/a']", "/a/b/c", Ok("/c"), Some("/a/b")),
            ("['/']", "/a", Ok("/a"), Some("/")),
            ("['/a b']", "/a%20b/c", Ok("/c"), Some("/a%20b")),
            ("['/a']", "/a%2Fb", Ok("/%2Fb"), Some("/a")),
            // What is left must not be another path than the router has seen.
            ("['/api']", "/api../x", Err(400), None),
            ("['/api']", "/api./x", Err(400), None),
            ("['/api']", "/api..", Err(400), None),
        ] {
            let (got, headers) = rewritten(&format!("stripPrefix: {{prefixes: {prefixes}}}"), path);
            assert_eq!(got, want.map(str::to_owned), "{prefixes} {path}");
            if want.is_ok() {
                let header = headers.get("x-forwarded-prefix").map(|value| value.to_str().expect("text"));
                assert_eq!(header, told, "{prefixes} {path}");
            }
        }
    }
}
