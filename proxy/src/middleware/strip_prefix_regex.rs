//! Takes off the front of the path what a regular expression matches.

use postern_config::model::{go_regex::GoRegex, middleware::strip_prefix_regex as model};

use super::rewrite::{FORWARDED_PREFIX, set_path, tell, with_slash};
use crate::exchange::{Exchange, Flow};

/// Running state.
#[derive(Debug)]
pub(super) struct StripPrefixRegex {
    expressions: Vec<GoRegex>,
}

impl StripPrefixRegex {
    pub(super) fn build(spec: &model::StripPrefixRegex) -> Self {
        Self { expressions: spec.expressions.clone() }
    }

    /// The leftmost match counts only where it is at the beginning and not empty.
    pub(super) fn on_request(&self, exchange: &mut Exchange) -> Flow {
        let path = exchange.parts.uri.path();
        let found = self.expressions.iter().find_map(|regex| match regex.find(path)? {
            (0, end) if end > 0 => path.split_at_checked(end),
            _ => None,
        });
        let Some((prefix, rest)) = found else { return Flow::Continue };
        let (prefix, path) = (prefix.to_owned(), with_slash(rest));
        tell(exchange, FORWARDED_PREFIX, &prefix);
        set_path(exchange, &path)
    }
}

#[cfg(test)]
mod tests {
    use crate::middleware::testing::rewritten;

    #[test]
    fn a_match_at_the_beginning_is_taken_off() {
        for (regex, path, want, told) in [
            ("['/a/api/']", "/a/api/test", Ok("/test"), Some("/a/api/")),
            ("['/b/([a-z0-9]+)/']", "/b/c1/d", Ok("/d"), Some("/b/c1/")),
            ("['/c/[a-z0-9]{4}/']", "/x/c/abcd/d", Ok("/x/c/abcd/d"), None),
            ("['/no', '/d']", "/d/e", Ok("/e"), Some("/d")),
            ("['x*']", "/a", Ok("/a"), None),
            ("['^/a']", "/a../b", Err(400), None),
        ] {
            let (got, headers) = rewritten(&format!("stripPrefixRegex: {{regex: {regex}}}"), path);
            assert_eq!(got, want.map(str::to_owned), "{regex} {path}");
            if want.is_ok() {
                let header = headers.get("x-forwarded-prefix").map(|value| value.to_str().expect("text"));
                assert_eq!(header, told, "{regex} {path}");
            }
        }
    }
}
