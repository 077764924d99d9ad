//! Stops asking a backend that fails, for a while: each rule that names the middleware has a circuit of its own, which
//! all workers share and which outlives changes of anything but its own options.

mod circuit;
mod window;

use std::{
    collections::HashMap,
    rc::Rc,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use http::Response;
use postern_config::model::{
    id::{MiddlewareId, ObjectId},
    middleware::circuit_breaker as model,
    route::RuleSource,
};
use tokio::time::Instant;

use self::circuit::Circuit;
use super::live::Live;
use crate::{
    exchange::{Body, Exchange, Rest},
    respond::Failure,
    worker::Worker,
};

/// Running state.
#[derive(Debug)]
pub(super) struct CircuitBreaker {
    id: MiddlewareId,
    circuits: Arc<Circuits>,
}

/// The circuits of one middleware.
#[derive(Debug)]
pub(super) struct Circuits {
    spec: model::CircuitBreaker,
    /// Time is counted from here.
    begin: Instant,
    by_rule: RwLock<Table>,
}

#[derive(Debug, Default)]
struct Table {
    /// By object and index of the rule in it.
    circuits: HashMap<(ObjectId, u32), Arc<Mutex<Circuit>>>,
    /// Size at which circuits are looked for that nobody would miss.
    sweep_at: usize,
}

impl CircuitBreaker {
    pub(super) fn build(id: &MiddlewareId, spec: &model::CircuitBreaker, live: &Live) -> Self {
        let circuits = live.circuits.state(id, spec, || Circuits::new(spec));
        Self { id: id.clone(), circuits }
    }

    pub(super) async fn run(
        &self,
        mut rest: Rest,
        exchange: &mut Exchange,
        worker: &Rc<Worker>,
    ) -> Result<Response<Body>, Failure> {
        let circuit = self.circuits.of(&exchange.rule.source);
        let begin = self.circuits.now();
        if !locked(&circuit).admits(&self.circuits.spec, begin) {
            let reason = format!("{}: the circuit is open", self.id);
            return Err(Failure::Refused { status: self.circuits.spec.status, reason });
        }
        let answered = rest.run(exchange, worker).await;
        let status = answered.as_ref().map_or_else(Failure::status, Response::status);
        let now = self.circuits.now();
        let took = now.saturating_sub(begin);
        if locked(&circuit).record(&self.circuits.spec, now, status.as_u16(), took) {
            let object = &exchange.rule.source.object;
            tracing::warn!(middleware = %self.id, route = %object, "a circuit has opened");
        }
        answered
    }
}

impl Circuits {
    fn new(spec: &model::CircuitBreaker) -> Self {
        Self { spec: spec.clone(), begin: Instant::now(), by_rule: RwLock::default() }
    }

    fn now(&self) -> Duration {
        Instant::now().saturating_duration_since(self.begin)
    }

    fn of(&self, rule: &RuleSource) -> Arc<Mutex<Circuit>> {
        let key = (rule.object.clone(), rule.rule_index);
        let known = self.by_rule.read().unwrap_or_else(PoisonError::into_inner).circuits.get(&key).cloned();
        if let Some(circuit) = known {
            return circuit;
        }
        let mut table = self.by_rule.write().unwrap_or_else(PoisonError::into_inner);
        table.sweep(self.now());
        table.circuits.entry(key).or_insert_with(|| Arc::new(Mutex::new(Circuit::new(&self.spec)))).clone()
    }
}

impl Table {
    /// Forgets what is as if it were new: rules come and go.
    fn sweep(&mut self, now: Duration) {
        if self.circuits.len() >= self.sweep_at {
            self.circuits.retain(|_, circuit| !locked(circuit).is_idle(now));
            self.sweep_at = self.circuits.len() * 2 + 16;
        }
    }
}

/// Held for a few additions; workers meet here only on one rule.
fn locked(circuit: &Mutex<Circuit>) -> std::sync::MutexGuard<'_, Circuit> {
    circuit.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use crate::middleware::{
        testing::exchange,
        world::{Backend, World, run},
    };

    const BREAKER: &str =
        "circuitBreaker: {expression: 'ResponseCodeRatio(500, 600, 0, 600) > 0.5', responseCode: 507}";

    #[test]
    fn an_open_circuit_answers_in_the_backends_place_and_outlives_other_changes() {
        run(async {
            let backend = Backend::saying(500, &[], "").await;
            let mut world = World::new(&[BREAKER], backend.address, backend.address);
            assert_eq!(world.ask(exchange("GET", "http://a/")).await.status, 500);
            let got = world.ask(exchange("GET", "http://a/")).await;
            assert_eq!((got.status, got.record.reason, backend.count()), (507, Some("refused"), 1));
            world.configure(&[BREAKER, "compress: {}"], backend.address, backend.address);
            assert_eq!(world.ask(exchange("GET", "http://a/")).await.status, 507, "another change left it as it was");
            let world = world.by_another_rule();
            assert_eq!(world.ask(exchange("GET", "http://a/")).await.status, 500, "each rule has a circuit of its own");
        });
    }

    #[test]
    fn failures_to_reach_a_backend_count_as_network_errors() {
        run(async {
            let nobody = Backend::nobody().await;
            let breaker = "circuitBreaker: {expression: NetworkErrorRatio() > 0.5}";
            let world = World::new(&[breaker], nobody, nobody);
            assert_eq!(world.ask(exchange("GET", "http://a/")).await.status, 502);
            assert_eq!(world.ask(exchange("GET", "http://a/")).await.status, 503);
        });
    }
}
