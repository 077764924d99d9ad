//! Several middlewares under one name: members are slots of the plan, looked up as they are reached.

use std::{rc::Rc, sync::Arc};

use http::StatusCode;
use postern_config::model::{id::MiddlewareId, middleware::chain as model};

use super::{Kind, Slot, count, fail};
use crate::{
    exchange::{Exchange, Flow},
    respond::Failure,
    worker::Worker,
};

/// Circles are refused when chains are read; this bounds what a half-applied change could do.
const MOST_MEMBERS: usize = 512;

/// Running state.
#[derive(Debug)]
pub(super) struct Chain {
    members: Vec<MiddlewareId>,
}

impl Chain {
    pub(super) fn build(spec: &model::Chain) -> Self {
        Self { members: spec.members.clone() }
    }

    pub(super) async fn on_request(&self, exchange: &mut Exchange, worker: &Rc<Worker>) -> Flow {
        let plan = exchange.plan.clone();
        let mut left: Vec<&MiddlewareId> = self.members.iter().rev().collect();
        let mut seen = 0;
        while let Some(id) = left.pop() {
            seen += 1;
            let middleware = match plan.middlewares.get(id).map(|slot| &**slot) {
                Some(Slot::Ready(middleware)) if seen <= MOST_MEMBERS => middleware,
                Some(Slot::Ready(_)) => return closed(exchange, worker, "a chain leads into a circle".into()),
                Some(Slot::Closed { reason }) => return closed(exchange, worker, reason.clone()),
                None => return closed(exchange, worker, format!("middleware {id} is not there").into()),
            };
            if let Kind::Chain(chain) = &middleware.0 {
                left.extend(chain.members.iter().rev());
            } else if let Flow::Answer(response) = middleware.on_request_alone(exchange, worker).await {
                return Flow::Answer(response);
            }
        }
        Flow::Continue
    }
}

fn closed(exchange: &mut Exchange, worker: &Worker, reason: Arc<str>) -> Flow {
    let flow = fail(exchange, &Failure::Closed { status: StatusCode::SERVICE_UNAVAILABLE, reason });
    count(&flow, exchange, worker);
    flow
}
