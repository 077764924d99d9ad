//! Replaces parts of the path that the backend sees by a regular expression.

use postern_config::model::{middleware::replace_path_regex as model, path::encode_path};

use super::rewrite::{REPLACED_PATH, set_path, tell};
use crate::exchange::{Exchange, Flow};

/// Running state.
#[derive(Debug)]
pub(super) struct ReplacePathRegex {
    spec: model::ReplacePathRegex,
}

impl ReplacePathRegex {
    pub(super) fn build(spec: &model::ReplacePathRegex) -> Self {
        Self { spec: spec.clone() }
    }

    pub(super) fn on_request(&self, exchange: &mut Exchange) -> Flow {
        let old = exchange.parts.uri.path().to_owned();
        if !self.spec.regex.is_match(&old) {
            return Flow::Continue;
        }
        tell(exchange, REPLACED_PATH, &old);
        let new = encode_path(&self.spec.regex.replace_all(&old, &self.spec.replacement));
        set_path(exchange, &new)
    }
}

#[cfg(test)]
mod tests {
    use crate::middleware::testing::rewritten;

    #[test]
    fn matches_are_replaced_with_groups_filled_in() {
        for (regex, replacement, path, want) in [
            ("^/whoami/(.*)", "/who-am-i/$1", "/whoami/and/whoami", Ok("/who-am-i/and/whoami")),
            ("/whoami", "/x", "/whoami/whoami", Ok("/x/x")),
            ("^/no", "/x", "/whoami", Ok("/whoami")),
            ("^(?i)/downloads/([^/]+)/(.*)$", "/d/${1}-${2}", "/Downloads/a/b?c=d", Ok("/d/a-b?c=d")),
            ("^/a(.*)", "$1", "/a", Ok("/")),
            ("^/a(.*)", "/b?c$1", "/a/x", Ok("/b%3Fc/x")),
            ("^/a(.*)", "b$1", "/a/x", Err(400)),
            ("^/a(.*)", "/..$1", "/a/x", Err(400)),
            ("^/a(.*)", "/%2e%2e$1", "/a/x", Err(400)),
            ("25", "", "/%252e%252e/x", Err(400)),
        ] {
            let spec = format!("replacePathRegex: {{regex: '{regex}', replacement: '{replacement}'}}");
            assert_eq!(rewritten(&spec, path).0, want.map(str::to_owned), "{regex} {replacement} {path}");
        }
    }
}
