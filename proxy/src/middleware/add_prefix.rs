//! Puts text in front of the path that the backend sees.

use std::sync::Arc;

use postern_config::model::middleware::add_prefix as model;

use super::rewrite::set_path;
use crate::exchange::{Exchange, Flow};

/// Running state.
#[derive(Debug)]
pub(super) struct AddPrefix {
    prefix: Arc<str>,
}

impl AddPrefix {
    pub(super) fn build(spec: &model::AddPrefix) -> Self {
        Self { prefix: spec.prefix.clone() }
    }

    pub(super) fn on_request(&self, exchange: &mut Exchange) -> Flow {
        let path = format!("{}{}", self.prefix, exchange.parts.uri.path());
        set_path(exchange, &path)
    }
}

#[cfg(test)]
mod tests {
    use crate::middleware::testing::rewritten;

    #[test]
    fn the_prefix_stands_before_the_path_and_the_query_stays() {
        for (options, path, want) in [
            ("prefix: /a", "/b?c=1", Ok("/a/b?c=1")),
            ("prefix: a", "/b", Ok("/a/b")),
            ("prefix: /a", "/", Ok("/a/")),
            ("prefix: /a", "/b%2Fc", Ok("/a/b%2Fc")),
            ("prefix: '/a b'", "/c", Ok("/a%20b/c")),
            ("prefix: /a/", "/b", Ok("/a/b")),
            ("prefix: /..", "/b", Err(400)),
        ] {
            assert_eq!(
                rewritten(&format!("addPrefix: {{{options}}}"), path).0,
                want.map(str::to_owned),
                "{options} {path}"
            );
        }
    }
}
