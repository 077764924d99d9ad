//! What was decided for the answer while the request was seen, done to the answer.

use http::Response;
use postern_config::model::{
    filter::Filter,
    route::{Outcome, Rule, Step},
};

use super::{Body, Exchange, FilterSite, ResponseStep, filter};
use crate::worker::Worker;

impl Exchange {
    /// Runs the steps beyond the first `down_to`, last decided first: the outermost has the last word.
    pub async fn unwind(&mut self, down_to: usize, response: &mut Response<Body>, worker: &Worker) {
        while self.response_steps.len() > down_to {
            match self.response_steps.pop() {
                Some(ResponseStep::Headers(rule, site)) => {
                    if let Some(Filter::ResponseHeaders(change)) = filter_at(&rule, site) {
                        filter::change_headers(change, response.headers_mut());
                    }
                }
                Some(ResponseStep::Middleware(step)) => step.run(response, worker).await,
                Some(ResponseStep::Custom(change)) => change(response, worker),
                None => return,
            }
        }
    }
}

fn filter_at(rule: &Rule, site: FilterSite) -> Option<&Filter> {
    match site {
        FilterSite::Step(index) => match rule.action.steps.get(index)? {
            Step::Filter(filter) => Some(filter),
            Step::Middleware(_) => None,
        },
        FilterSite::Backend(backend, index) => match &rule.action.outcome {
            Outcome::Forward(forward) => forward.backends.get(backend)?.filters.get(index),
            Outcome::Closed { .. } => None,
        },
    }
}
