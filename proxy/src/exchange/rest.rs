//! What is left of a request's way at some point of it: members of chains, steps of its rule, then the outcome.
//!
//! Most middlewares see a request once and let it on. Those that stand around what comes after them (to judge it, to
//! answer in its place, to try it again) are handed the rest and run it themselves.

use std::{borrow::Cow, rc::Rc, sync::Arc};

use http::{Response, StatusCode};
use postern_config::model::{
    filter::Filter,
    id::MiddlewareId,
    route::{Action, Outcome, Step},
};

use super::{Body, Exchange, FilterSite, Flow, filter};
use crate::{
    middleware::{Middleware, Part, Slot},
    plan::Plan,
    respond::Failure,
    upstream,
    worker::Worker,
};

/// Circles are refused when chains are read; this bounds what a half-applied change could do.
const MOST_MEMBERS: u32 = 512;

/// What is left to do of a request. A clone is the same way once more.
#[derive(Clone, Debug, Default)]
pub struct Rest {
    /// The next step of the rule.
    step: u32,
    /// Members of chains so far.
    seen: u32,
    /// Members of chains that come before the next step, the next one last.
    #[allow(clippy::box_collection, reason = "most requests meet no chain, and each future holds this")]
    members: Option<Box<Vec<MiddlewareId>>>,
}

enum Next<'r> {
    Filter(&'r Filter, FilterSite),
    Middleware(Cow<'r, MiddlewareId>),
    Outcome(&'r Outcome),
}

impl Rest {
    /// Runs it, up to the answer or what stands in its way.
    pub async fn run(&mut self, exchange: &mut Exchange, worker: &Rc<Worker>) -> Result<Response<Body>, Failure> {
        let rule = exchange.rule.clone();
        let plan = exchange.plan.clone();
        loop {
            let middleware = match self.next(&rule.action) {
                Next::Outcome(Outcome::Forward(forward)) => return upstream::forward(exchange, forward, worker).await,
                Next::Outcome(Outcome::Closed { status, reason }) => {
                    return Err(Failure::Closed { status: *status, reason: reason.clone() });
                }
                Next::Filter(filter, site) => match filter::run(filter, site, exchange) {
                    Flow::Continue => continue,
                    Flow::Answer(response) => return Ok(response),
                },
                Next::Middleware(id) => find(&plan, &id)?,
            };
            match middleware.part() {
                Part::Gate => {
                    if let Flow::Answer(response) = middleware.on_request(exchange, worker).await {
                        return Ok(response);
                    }
                }
                Part::Group(members) => self.enter(members)?,
                Part::Around(around) => return around.run(std::mem::take(self), exchange, worker).await,
            }
        }
    }

    fn next<'r>(&mut self, action: &'r Action) -> Next<'r> {
        if let Some(member) = self.members.as_mut().and_then(|members| members.pop()) {
            return Next::Middleware(Cow::Owned(member));
        }
        let at = self.step as usize;
        self.step += 1;
        match action.steps.get(at) {
            Some(Step::Filter(filter)) => Next::Filter(filter, FilterSite::Step(at)),
            Some(Step::Middleware(id)) => Next::Middleware(Cow::Borrowed(id)),
            None => Next::Outcome(&action.outcome),
        }
    }

    /// Puts the members of a chain before everything else.
    fn enter(&mut self, members: &[MiddlewareId]) -> Result<(), Failure> {
        let seen = u32::try_from(members.len()).ok().and_then(|count| self.seen.checked_add(count));
        self.seen = seen.filter(|seen| *seen <= MOST_MEMBERS).ok_or_else(|| closed("a chain leads into a circle"))?;
        self.members.get_or_insert_default().extend(members.iter().rev().cloned());
        Ok(())
    }
}

/// A middleware that is there and can be honoured.
fn find<'p>(plan: &'p Plan, id: &MiddlewareId) -> Result<&'p Middleware, Failure> {
    match plan.middlewares.get(id).map(|slot| &**slot) {
        Some(Slot::Ready(middleware)) => Ok(middleware),
        Some(Slot::Closed { reason }) => Err(closed(reason.clone())),
        None => Err(closed(format!("middleware {id} is not there"))),
    }
}

fn closed(reason: impl Into<Arc<str>>) -> Failure {
    Failure::Closed { status: StatusCode::SERVICE_UNAVAILABLE, reason: reason.into() }
}
