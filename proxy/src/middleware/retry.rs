//! Sends requests again that a backend did not answer, or answered with some status: the rest of their way is run once
//! more, middlewares included.
//!
//! Tries are counted together with those that `upstream` makes by itself, and each that costs anything is paid for by
//! the cluster's budget. What no endpoint took at once is tried with another one there, which is no try here.

use std::{rc::Rc, time::Duration};

use http::{Method, Response, StatusCode};
use postern_config::model::{id::MiddlewareId, middleware::retry as model};
use tokio::time::Instant;

use super::keep::{self, Kept, Limits, Read};
use crate::{
    exchange::{Body, Exchange, Rest, Trial},
    respond::Failure,
    worker::Worker,
};

/// Running state.
#[derive(Debug)]
pub(super) struct Retry {
    id: MiddlewareId,
    spec: model::Retry,
}

impl Retry {
    pub(super) fn build(id: &MiddlewareId, spec: &model::Retry) -> Self {
        Self { id: id.clone(), spec: spec.clone() }
    }

    pub(super) async fn run(
        &self,
        mut rest: Rest,
        exchange: &mut Exchange,
        worker: &Rc<Worker>,
    ) -> Result<Response<Body>, Failure> {
        let left = self.spec.attempts.get() - 1;
        if left == 0 {
            return rest.run(exchange, worker).await;
        }
        let kept = self.keep_body(exchange, worker).await?;
        let outer = exchange.trial.replace(Box::new(Trial { left, ..Trial::default() }));
        let answered = self.try_on(&rest, kept.as_ref(), exchange, worker).await;
        exchange.trial = outer;
        answered
    }

    async fn try_on(
        &self,
        rest: &Rest,
        kept: Option<&Kept>,
        exchange: &mut Exchange,
        worker: &Rc<Worker>,
    ) -> Result<Response<Body>, Failure> {
        let saved = exchange.save();
        let started = Instant::now();
        let mut tries = 0;
        loop {
            if let Some(kept) = kept {
                exchange.body = kept.body(&worker.shared.offload);
            }
            let answered = rest.clone().run(exchange, worker).await;
            let late = self.spec.timeout.is_some_and(|limit| started.elapsed() >= limit);
            if late || !self.is_wanted(&answered, exchange, kept.is_some()) || !pay(exchange, worker) {
                return answered;
            }
            drop(answered);
            tries += 1;
            tracing::debug!(middleware = %self.id, tries, "a request is tried again");
            exchange.restore(&saved);
            exchange.record.retries += 1;
            let pause = pause(&self.spec, tries, rand::random());
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
        }
    }

    /// The body, where the request may be tried again for a status.
    async fn keep_body(&self, exchange: &mut Exchange, worker: &Worker) -> Result<Option<Kept>, Failure> {
        if self.spec.statuses.is_empty() || !(self.spec.non_idempotent || is_repeatable(&exchange.parts.method)) {
            return Ok(None);
        }
        let limits = Limits { max: self.spec.max_request_body, memory: u64::MAX };
        match keep::read(std::mem::take(&mut exchange.body), limits, &worker.shared.offload).await {
            Ok(Read::Whole(kept)) => Ok(Some(kept)),
            Ok(Read::TooLarge(body)) => {
                exchange.body = body;
                Ok(None)
            }
            Err(_) => Err(Failure::BadRequest("the body broke off")),
        }
    }

    /// Whether an answer is not good enough; `kept` says that the whole request can be sent again.
    fn is_wanted(&self, answered: &Result<Response<Body>, Failure>, exchange: &Exchange, kept: bool) -> bool {
        let unsent = exchange.trial.as_ref().is_some_and(|trial| trial.unsent);
        if answered.is_err() && unsent && self.spec.on_network_error {
            return true;
        }
        let status = answered.as_ref().map_or_else(Failure::status, Response::status);
        kept && is_final(status) && self.spec.statuses.contains(status)
    }
}

/// Whether one more try may be made; it is paid for then.
pub(super) fn pay(exchange: &mut Exchange, worker: &Worker) -> bool {
    let Some(trial) = &mut exchange.trial else { return false };
    let Some(left) = trial.left.checked_sub(1) else { return false };
    if trial.cluster.as_ref().is_some_and(|cluster| !cluster.pay_retry(worker)) {
        return false;
    }
    trial.left = left;
    trial.unsent = false;
    true
}

/// Whether Traefik repeats such requests for a status.
fn is_repeatable(method: &Method) -> bool {
    *method != Method::POST && *method != Method::PATCH && method.as_str() != "LOCK"
}

/// A tunnel that was begun is not begun again.
fn is_final(status: StatusCode) -> bool {
    !status.is_informational()
}

/// The pause before the try with this number, counted from 1: it grows from the first to the last to twice as much, and
/// is varied by half up or down, as `random` (0 to 1) says, so that clients that failed together do not come together.
fn pause(spec: &model::Retry, tries: u32, random: f64) -> Duration {
    let steps = f64::from(spec.attempts.get().saturating_sub(1).max(1));
    let grown = 2f64.powf(f64::from(tries.saturating_sub(1)) / steps);
    spec.initial_interval.mul_f64(grown * (0.5 + random))
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use postern_config::model::middleware::status::Statuses;

    use super::*;
    use crate::middleware::{
        testing::exchange,
        world::{Backend, World, reply, run},
    };

    #[test]
    fn pauses_grow_to_twice_the_first() {
        let spec = model::Retry {
            attempts: NonZeroU32::new(5).expect("not zero"),
            initial_interval: Duration::from_millis(100),
            timeout: None,
            max_request_body: None,
            statuses: Statuses::default(),
            on_network_error: true,
            non_idempotent: false,
        };
        let millis = |tries, random| pause(&spec, tries, random).as_millis();
        assert_eq!([millis(1, 0.5), millis(3, 0.5), millis(5, 0.5)], [100, 141, 200]);
        assert_eq!([millis(1, 0.0), millis(1, 1.0)], [50, 150]);
        let none = model::Retry { initial_interval: Duration::ZERO, ..spec };
        assert!(pause(&none, 3, 0.9).is_zero());
    }

    /// A backend that answers 503 so many times, then 200 with what it was sent.
    async fn failing(times: usize) -> Backend {
        Backend::answering(move |before, asked| {
            let body = String::from_utf8_lossy(&asked.body);
            if before < times { reply(503, &[("x-try", "bad")], "") } else { reply(200, &[], &body) }
        })
        .await
    }

    #[test]
    fn statuses_are_tried_again_as_often_as_allowed() {
        run(async {
            let many = "x".repeat(100);
            for (options, method, body, failures, want, asked) in [
                ("attempts: 3, status: ['503']", "GET", "", 0, 200, 1),
                ("attempts: 3, status: ['503']", "GET", "", 2, 200, 3),
                ("attempts: 3, status: ['503']", "PUT", "hello", 2, 200, 3),
                ("attempts: 3, status: ['503']", "GET", "", 5, 503, 3),
                ("attempts: 1, status: ['503']", "GET", "", 1, 503, 1),
                ("attempts: 3", "GET", "", 1, 503, 1),
                ("attempts: 3, status: ['500-502']", "GET", "", 1, 503, 1),
                ("attempts: 3, status: ['500-599'], disableRetryOnNetworkError: true", "GET", "", 1, 200, 2),
                ("attempts: 3, status: ['503']", "POST", "hello", 1, 503, 1),
                ("attempts: 3, status: ['503']", "PATCH", "hello", 1, 503, 1),
                ("attempts: 3, status: ['503'], retryNonIdempotentMethod: true", "POST", "hello", 1, 200, 2),
                ("attempts: 3, status: ['503'], maxRequestBodyBytes: 10", "PUT", &*many, 1, 503, 1),
                ("attempts: 3, status: ['503'], maxRequestBodyBytes: 10", "PUT", &*many, 0, 200, 1),
                ("attempts: 3, status: ['503'], initialInterval: 1ms", "GET", "", 2, 200, 3),
            ] {
                let backend = failing(failures).await;
                let world = World::new(&[&format!("retry: {{{options}}}")], backend.address, backend.address);
                let got = world.ask(exchange(method, "http://a/").body(Body::from(body.to_owned()))).await;
                assert_eq!((got.status, backend.count()), (want, asked), "{options} {method} {failures}");
                assert_eq!(got.record.retries as usize, asked - 1, "{options}");
                assert_eq!(got.header("x-try").is_some(), want == 503, "nothing of earlier answers stays");
                assert_eq!(backend.last().body, body, "{options}: the whole body arrives");
            }
        });
    }

    #[test]
    fn what_reached_no_backend_is_tried_again_whatever_the_method() {
        run(async {
            for (options, method, retries) in [
                ("attempts: 3", "GET", 2),
                ("attempts: 3", "POST", 2),
                ("attempts: 3, disableRetryOnNetworkError: true, status: ['500']", "GET", 0),
            ] {
                let nobody = Backend::nobody().await;
                let world = World::new(&[&format!("retry: {{{options}}}")], nobody, nobody);
                let got = world.ask(exchange(method, "http://a/").body(Body::from("hello".to_owned()))).await;
                assert_eq!((got.status, got.record.retries), (502, retries), "{options} {method}");
            }
        });
    }

    #[test]
    fn answers_of_middlewares_are_tried_again_for_their_status_alone() {
        run(async {
            let backend = Backend::saying(200, &[], "").await;
            let none = "inFlightReq: {amount: 0}";
            for (options, retries) in [("attempts: 3", 0), ("attempts: 3, status: ['429']", 2)] {
                let world = World::new(&[&format!("retry: {{{options}}}"), none], backend.address, backend.address);
                let got = world.ask(exchange("GET", "http://a/")).await;
                assert_eq!((got.status, got.record.retries, backend.count()), (429, retries, 0), "{options}");
            }
        });
    }

    #[test]
    fn a_try_gives_back_what_it_took_before_the_next() {
        run(async {
            let backend = failing(2).await;
            let one = "inFlightReq: {amount: 1}";
            let world = World::new(&["retry: {attempts: 3, status: ['503']}", one], backend.address, backend.address);
            assert_eq!(world.ask(exchange("GET", "http://a/")).await.status, 200);
        });
    }

    #[test]
    fn rewrites_are_made_once_per_try_on_the_request_as_it_was() {
        run(async {
            let backend = failing(2).await;
            let add = "addPrefix: {prefix: /x}";
            let world = World::new(&["retry: {attempts: 3, status: ['503']}", add], backend.address, backend.address);
            assert_eq!(world.ask(exchange("GET", "http://a/y")).await.status, 200);
            assert_eq!(backend.last().target, "/x/y");
        });
    }

    #[test]
    fn the_budget_of_the_cluster_ends_a_storm_of_retries() {
        run(async {
            let backend = Backend::saying(503, &[], "").await;
            let world = World::new(&["retry: {attempts: 100, status: ['503']}"], backend.address, backend.address);
            for _ in 0..4 {
                assert_eq!(world.ask(exchange("GET", "http://a/")).await.status, 503);
            }
            assert!(backend.count() < 200, "{}", backend.count());
        });
    }

    #[test]
    fn no_try_begins_after_the_timeout() {
        run(async {
            let backend = Backend::saying(503, &[], "").await;
            let options = "retry: {attempts: 100, status: ['503'], initialInterval: 50ms, timeout: 100ms}";
            let world = World::new(&[options], backend.address, backend.address);
            assert_eq!(world.ask(exchange("GET", "http://a/")).await.status, 503);
            assert!(backend.count() <= 6, "{}", backend.count());
        });
    }
}
