//! Several middlewares under one name: members are slots of the plan, looked up as they are reached.

use postern_config::model::{id::MiddlewareId, middleware::chain as model};

/// Running state.
#[derive(Debug)]
pub(super) struct Chain {
    pub(super) members: Vec<MiddlewareId>,
}

impl Chain {
    pub(super) fn build(spec: &model::Chain) -> Self {
        Self { members: spec.members.clone() }
    }
}
