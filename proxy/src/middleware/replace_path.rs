//! Replaces the path that the backend sees.

use std::sync::Arc;

use postern_config::model::middleware::replace_path as model;

use super::rewrite::{REPLACED_PATH, set_path, tell};
use crate::exchange::{Exchange, Flow};

/// Running state.
#[derive(Debug)]
pub(super) struct ReplacePath {
    path: Arc<str>,
}

impl ReplacePath {
    pub(super) fn build(spec: &model::ReplacePath) -> Self {
        Self { path: spec.path.clone() }
    }

    pub(super) fn on_request(&self, exchange: &mut Exchange) -> Flow {
        let old = exchange.parts.uri.path().to_owned();
        tell(exchange, REPLACED_PATH, &old);
        set_path(exchange, &self.path)
    }
}

#[cfg(test)]
mod tests {
    use crate::middleware::testing::rewritten;

    #[test]
    fn the_path_is_replaced_and_the_old_one_told() {
        for (options, path, want) in [
            ("path: /new", "/old/a%2Fb?q=1", Ok("/new?q=1")),
            ("path: '/new way'", "/old", Ok("/new%20way")),
            ("path: /a/../b", "/old", Err(400)),
        ] {
            let (got, headers) = rewritten(&format!("replacePath: {{{options}}}"), path);
            assert_eq!(got, want.map(str::to_owned), "{options} {path}");
            let old = path.split('?').next().expect("a path");
            assert_eq!(headers.get("x-replaced-path").map(|value| value.as_bytes()), Some(old.as_bytes()));
        }
    }
}
