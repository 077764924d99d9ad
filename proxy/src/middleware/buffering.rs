//! Reads a request whole before it is passed on, and its answer before the client gets any of it: both within limits.
//! With both at hand, a request can be sent again as an expression says.

use std::rc::Rc;

use http::{Response, StatusCode};
use postern_config::model::{
    id::MiddlewareId,
    middleware::buffering::{self as model, Test},
};

use super::keep::{self, Kept, Limits, Read, ReadError};
use crate::{
    exchange::{Body, Exchange, Rest, Trial},
    respond::Failure,
    telemetry::metrics::Limit,
    worker::Worker,
};

/// However the expression goes on to hold (Traefik).
const MOST_RETRIES: u32 = 10;

/// Running state.
#[derive(Debug)]
pub(super) struct Buffering {
    id: MiddlewareId,
    spec: model::Buffering,
}

impl Buffering {
    pub(super) fn build(id: &MiddlewareId, spec: &model::Buffering) -> Self {
        Self { id: id.clone(), spec: spec.clone() }
    }

    pub(super) async fn run(
        &self,
        rest: Rest,
        exchange: &mut Exchange,
        worker: &Rc<Worker>,
    ) -> Result<Response<Body>, Failure> {
        let kept = self.read_request(exchange, worker).await?;
        let trial = self.spec.retry.as_ref().map(|_| Box::new(Trial { left: MOST_RETRIES, ..Trial::default() }));
        let outer = trial.map(|trial| exchange.trial.replace(trial));
        let steps = exchange.response_steps.len();
        let answered = self.try_on(&rest, &kept, exchange, worker).await;
        if let Some(outer) = outer {
            exchange.trial = outer;
        }
        let mut response = answered?;
        exchange.unwind(steps, &mut response, worker).await;
        self.read_answer(response, worker).await
    }

    async fn try_on(
        &self,
        rest: &Rest,
        kept: &Kept,
        exchange: &mut Exchange,
        worker: &Rc<Worker>,
    ) -> Result<Response<Body>, Failure> {
        let saved = self.spec.retry.as_ref().map(|_| exchange.save());
        let mut attempts = 1;
        loop {
            exchange.body = kept.body(&worker.shared.offload);
            let answered = rest.clone().run(exchange, worker).await;
            let status = answered.as_ref().map_or_else(Failure::status, Response::status);
            let Some(saved) = saved.as_ref().filter(|_| self.is_wanted(attempts, status)) else { return answered };
            if !super::retry::pay(exchange, worker) {
                return answered;
            }
            drop(answered);
            attempts += 1;
            exchange.restore(saved);
            exchange.record.retries += 1;
        }
    }

    /// Whether the expression wants the request to be sent again.
    fn is_wanted(&self, attempts: i64, status: StatusCode) -> bool {
        let code = i64::from(status.as_u16());
        let network = status == StatusCode::BAD_GATEWAY || status == StatusCode::GATEWAY_TIMEOUT;
        let holds = |test: &Test| match *test {
            Test::Attempts(how, number) => how.holds(attempts, number),
            Test::ResponseCode(how, number) => how.holds(code, number),
            Test::IsNetworkError => network,
        };
        !status.is_informational() && self.spec.retry.as_ref().is_some_and(|retry| retry.holds(&holds))
    }

    async fn read_request(&self, exchange: &mut Exchange, worker: &Worker) -> Result<Kept, Failure> {
        let limits = Limits { max: self.spec.max_request, memory: self.spec.memory_of_request };
        match keep::read(std::mem::take(&mut exchange.body), limits, &worker.shared.offload).await {
            Ok(Read::Whole(kept)) => Ok(kept),
            Ok(Read::TooLarge(_)) => {
                worker.metrics().limited(Limit::BodyBytes);
                Err(Failure::BodyTooLarge)
            }
            Err(ReadError::Broken(_)) => Err(Failure::BadRequest("the body broke off")),
            Err(error @ ReadError::File(_)) => Err(self.failed(&error.to_string())),
        }
    }

    async fn read_answer(&self, response: Response<Body>, worker: &Worker) -> Result<Response<Body>, Failure> {
        let limits = Limits { max: self.spec.max_response, memory: self.spec.memory_of_response };
        let (parts, body) = response.into_parts();
        match keep::read(body, limits, &worker.shared.offload).await {
            Ok(Read::Whole(kept)) => Ok(Response::from_parts(parts, kept.body(&worker.shared.offload))),
            Ok(Read::TooLarge(_)) => {
                worker.metrics().limited(Limit::BodyBytes);
                Err(self.failed("the answer is larger than allowed"))
            }
            Err(ReadError::Broken(error)) => Err(Failure::BackendBroke(error.to_string())),
            Err(error @ ReadError::File(_)) => Err(self.failed(&error.to_string())),
        }
    }

    fn failed(&self, why: &str) -> Failure {
        Failure::Refused { status: StatusCode::INTERNAL_SERVER_ERROR, reason: format!("{}: {why}", self.id) }
    }
}

#[cfg(test)]
mod tests {
    use http_body::Frame;

    use super::*;
    use crate::{
        exchange::BodyError,
        middleware::{
            testing::exchange,
            world::{Backend, World, reply, run},
        },
    };

    /// A body whose length is not known before its end.
    fn chunked(text: &'static str) -> Body {
        let frames = text.as_bytes().chunks(4).map(|data| Ok::<_, BodyError>(Frame::data(data.into())));
        Body::boxed(http_body_util::StreamBody::new(futures_util::stream::iter(frames)))
    }

    #[test]
    fn requests_and_answers_have_limits() {
        run(async {
            for (options, body, answer, want) in [
                ("", "hello", "answer", 200),
                ("maxRequestBodyBytes: 5", "hello", "answer", 200),
                ("maxRequestBodyBytes: 4", "hello", "answer", 413),
                ("maxRequestBodyBytes: 0", "hello", "answer", 200),
                ("maxResponseBodyBytes: 6", "hello", "answer", 200),
                ("maxResponseBodyBytes: 5", "hello", "answer", 500),
                ("memRequestBodyBytes: 1, memResponseBodyBytes: 1", "hello", "answer", 200),
                ("maxRequestBodyBytes: 4, memRequestBodyBytes: 1", "hello", "answer", 413),
                ("maxResponseBodyBytes: 5, memResponseBodyBytes: 1", "hello", "answer", 500),
            ] {
                let backend = Backend::answering(move |_, _| reply(200, &[], answer)).await;
                let world = World::new(&[&format!("buffering: {{{options}}}")], backend.address, backend.address);
                for (body, known) in [(Body::from(body), true), (chunked(body), false)] {
                    let got = world.ask(exchange("POST", "http://a/").body(body)).await;
                    assert_eq!(got.status, want, "{options} {known}");
                    if want == 200 {
                        assert_eq!(got.body, answer, "{options} {known}");
                        let asked = backend.last();
                        assert_eq!(asked.body, "hello", "{options} {known}");
                        assert_eq!(asked.headers["content-length"], "5", "{options} {known}: its length is known now");
                    }
                }
                assert_eq!(backend.count(), if want == 413 { 0 } else { 2 }, "{options}");
            }
        });
    }

    #[test]
    fn expressions_say_what_is_sent_again() {
        run(async {
            for (expression, method, status, failures, want, asked) in [
                ("IsNetworkError() && Attempts() < 3", "GET", 502, 1, 200, 2),
                ("IsNetworkError() && Attempts() < 3", "POST", 502, 2, 200, 3),
                ("IsNetworkError() && Attempts() < 3", "POST", 504, 5, 504, 3),
                ("IsNetworkError() && Attempts() < 3", "GET", 500, 5, 500, 1),
                ("ResponseCode() == 503 || ResponseCode() >= 505", "GET", 503, 2, 200, 3),
                ("ResponseCode() != 200", "GET", 500, 50, 500, 11),
                ("Attempts() <= 2", "GET", 200, 0, 200, 3),
            ] {
                let backend = Backend::answering(move |before, asked| {
                    let body = String::from_utf8_lossy(&asked.body);
                    if before < failures { reply(status, &[], "") } else { reply(200, &[], &body) }
                })
                .await;
                let options = format!("buffering: {{retryExpression: '{expression}', memRequestBodyBytes: 2}}");
                let world = World::new(&[&options], backend.address, backend.address);
                let got = world.ask(exchange(method, "http://a/").body(chunked("hello"))).await;
                assert_eq!((got.status, backend.count()), (want, asked), "{expression} {method} {status}");
                assert_eq!(backend.last().body, "hello");
            }
        });
    }

    #[test]
    fn what_reaches_no_backend_is_a_network_error() {
        run(async {
            let nobody = Backend::nobody().await;
            let options = "buffering: {retryExpression: 'IsNetworkError() && Attempts() <= 2'}";
            let world = World::new(&[options], nobody, nobody);
            let got = world.ask(exchange("POST", "http://a/").body(chunked("hello"))).await;
            assert_eq!((got.status, got.record.retries), (502, 2));
        });
    }

    #[test]
    fn limits_are_of_the_answer_as_what_stands_inside_made_it() {
        run(async {
            let text: &'static str = Box::leak("a".repeat(4000).into_boxed_str());
            let backend = Backend::answering(move |_, _| reply(200, &[("content-type", "text/plain")], text)).await;
            let limit = "buffering: {maxResponseBodyBytes: 1000}";
            for (middlewares, want) in [(&[limit, "compress: {}"][..], 200), (&["compress: {}", limit], 500)] {
                let world = World::new(middlewares, backend.address, backend.address);
                let got = world.ask(exchange("GET", "http://a/").header("accept-encoding", "gzip")).await;
                assert_eq!(got.status, want, "{middlewares:?}");
            }
        });
    }
}
