//! A circuit: closed while things are well, open once they are not, then letting more and more through. Pure: it is told
//! the time, counted from any moment that stays the same.

use std::time::Duration;

use postern_config::model::{
    expression::Expression,
    middleware::circuit_breaker::{CircuitBreaker, Test},
};

use super::window::{Latencies, Statuses};

/// Answers that stand for trouble on the network, whoever gave them (Traefik).
const NETWORK_ERRORS: [(u16, u16); 2] = [(502, 503), (504, 505)];

/// The state of one circuit.
#[derive(Debug)]
pub(super) struct Circuit {
    state: State,
    next_check: Duration,
    statuses: Statuses,
    /// Only where latencies are asked for: they take 40 KiB.
    latencies: Option<Latencies>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    /// Everything passes.
    Closed,
    /// Nothing does.
    Open { until: Duration },
    /// Some of it does.
    Recovering { since: Duration, passed: u64, refused: u64 },
}

impl Circuit {
    pub(super) fn new(spec: &CircuitBreaker) -> Self {
        let asks_latency = spec.expression.conditions().iter().any(|test| matches!(test, Test::LatencyAtQuantile(..)));
        Self {
            state: State::Closed,
            next_check: Duration::ZERO,
            statuses: Statuses::default(),
            latencies: asks_latency.then(Latencies::default),
        }
    }

    /// Whether a request may pass.
    pub(super) fn admits(&mut self, spec: &CircuitBreaker, now: Duration) -> bool {
        if let State::Open { until } = self.state {
            if now < until {
                return false;
            }
            self.state = State::Recovering { since: now, passed: 0, refused: 0 };
        }
        let State::Recovering { since, passed, refused } = &mut self.state else { return true };
        if now > *since + spec.recovery {
            self.state = State::Closed;
            return true;
        }
        // Half of all is where as many pass as are refused: past it, all may.
        let share = (now - *since).as_secs_f64() / spec.recovery.as_secs_f64() * 0.5;
        let passes = (*passed + 1) as f64 / ((*passed + *refused + 1) as f64) < share;
        *(if passes { passed } else { refused }) += 1;
        passes
    }

    /// Counts an answer; true when the circuit has opened by it.
    pub(super) fn record(&mut self, spec: &CircuitBreaker, now: Duration, status: u16, took: Duration) -> bool {
        self.statuses.count(now, status);
        if let Some(latencies) = &mut self.latencies {
            latencies.count(now, took);
        }
        if now < self.next_check {
            return false;
        }
        self.next_check = now + spec.check_period;
        if matches!(self.state, State::Open { .. }) || !self.holds(&spec.expression, now) {
            return false;
        }
        self.state = State::Open { until: now + spec.fallback };
        self.statuses = Statuses::default();
        self.latencies = self.latencies.as_ref().map(|_| Latencies::default());
        true
    }

    /// Whether it is as it was made: nobody would miss it.
    pub(super) fn is_idle(&mut self, now: Duration) -> bool {
        self.statuses.forget(now);
        self.state == State::Closed && self.statuses.total() == 0
    }

    fn holds(&mut self, expression: &Expression<Test>, now: Duration) -> bool {
        self.statuses.forget(now);
        if let Some(latencies) = &mut self.latencies {
            latencies.forget(now);
        }
        let measured = &*self;
        expression.holds(&|test| measured.test(test))
    }

    fn test(&self, test: &Test) -> bool {
        match *test {
            Test::NetworkErrorRatio(how, with) => how.holds(self.network_error_ratio(), with),
            Test::ResponseCodeRatio { of, among, how, with } => {
                how.holds(ratio(self.statuses.sum(of), self.statuses.sum(among)), with)
            }
            Test::LatencyAtQuantile(percent, how, with) => {
                let latency = self.latencies.as_ref().map(|latencies| latencies.at_quantile(percent));
                let millis = i64::try_from(latency.unwrap_or_default().as_millis()).unwrap_or(i64::MAX);
                how.holds(millis, with)
            }
            Test::Requests(how, with) => how.holds(i64::try_from(self.statuses.total()).unwrap_or(i64::MAX), with),
        }
    }

    fn network_error_ratio(&self) -> f64 {
        let errors = NETWORK_ERRORS.iter().map(|range| self.statuses.sum(*range)).sum();
        ratio(errors, self.statuses.total())
    }
}

/// Nothing divided by nothing is nothing.
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use postern_config::model::condition;

    use super::*;

    const fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn spec(expression: &str) -> CircuitBreaker {
        CircuitBreaker {
            expression: condition::parse(expression).expect("a valid expression"),
            check_period: at(100),
            fallback: at(10_000),
            recovery: at(10_000),
            status: StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Whether a circuit of `expression` opens when it has seen these statuses, each with its latency in ms.
    fn opens(expression: &str, seen: &[(u16, u64)]) -> bool {
        let spec = spec(expression);
        let mut circuit = Circuit::new(&spec);
        for (status, millis) in seen {
            circuit.next_check = at(1_000);
            circuit.record(&spec, at(500), *status, at(*millis));
        }
        circuit.holds(&spec.expression, at(1_000))
    }

    #[test]
    fn expressions_are_tested_on_what_was_measured() {
        let codes = |good: usize, bad: usize| [vec![(200, 1); good], vec![(500, 1); bad]].concat();
        for (expression, seen, want) in [
            ("NetworkErrorRatio() > 0.5", [vec![(502, 1); 6], vec![(200, 1); 4]].concat(), true),
            ("NetworkErrorRatio() < 0.5", [vec![(504, 1); 6], vec![(200, 1); 4]].concat(), false),
            ("NetworkErrorRatio() > 0.5", codes(0, 10), false),
            ("NetworkErrorRatio() == 0.0", vec![], true),
            ("LatencyAtQuantileMS(50.0) > 50", vec![(200, 52)], true),
            ("LatencyAtQuantileMS(50.0) < 50", vec![(200, 52)], false),
            ("LatencyAtQuantileMS(40.0) > 50", vec![], false),
            ("ResponseCodeRatio(500, 600, 0, 600) > 0.5", codes(5, 6), true),
            ("ResponseCodeRatio(500, 600, 0, 600) > 0.5", codes(5, 4), false),
            ("ResponseCodeRatio(500, 600, 0, 600) > 0.25 && RequestThreshold() >= 20", codes(10, 9), false),
            ("ResponseCodeRatio(500, 600, 0, 600) > 0.25 && RequestThreshold() >= 20", codes(10, 10), true),
            ("ResponseCodeRatio(500, 600, 300, 400) > 0.0", codes(0, 10), false),
        ] {
            assert_eq!(opens(expression, &seen), want, "{expression} {seen:?}");
        }
    }

    #[test]
    fn an_open_circuit_lets_nothing_pass_and_then_more_and_more() {
        let spec = spec("NetworkErrorRatio() > 0.5");
        let mut circuit = Circuit::new(&spec);
        assert!(circuit.admits(&spec, at(0)));
        assert!(circuit.record(&spec, at(0), 502, at(1)));
        assert!(!circuit.admits(&spec, at(0)));
        assert!(!circuit.admits(&spec, at(9_999)));
        let mut passed_in = |from: u64| (0..1_000).filter(|n| circuit.admits(&spec, at(from + n))).count();
        let shares: Vec<usize> = (10..20).map(|second| passed_in(second * 1_000)).collect();
        assert!(shares.is_sorted(), "{shares:?}");
        assert!(shares[0] < 60 && shares[9] > 400, "{shares:?}");
        assert_eq!(passed_in(20_001), 1_000, "closed again");
    }

    #[test]
    fn a_failure_while_recovering_opens_it_again() {
        let spec = spec("NetworkErrorRatio() > 0.5");
        let mut circuit = Circuit::new(&spec);
        assert!(circuit.record(&spec, at(0), 502, at(1)));
        assert!(!circuit.record(&spec, at(200), 502, at(1)), "what was under way when it opened changes nothing");
        assert!(!circuit.admits(&spec, at(10_000)), "nothing passes at the very begin");
        while !circuit.admits(&spec, at(15_000)) {}
        // What was measured before it opened is forgotten, and what was under way has aged.
        assert!(circuit.record(&spec, at(15_000), 504, at(1)));
        assert!(!circuit.admits(&spec, at(24_999)));
    }

    #[test]
    fn it_is_looked_at_once_per_period() {
        let spec = spec("ResponseCodeRatio(500, 600, 0, 600) > 0.5");
        let mut circuit = Circuit::new(&spec);
        assert!(!circuit.record(&spec, at(0), 200, at(1)));
        assert!(!circuit.record(&spec, at(50), 500, at(1)));
        assert!(!circuit.record(&spec, at(99), 500, at(1)));
        assert!(circuit.record(&spec, at(100), 500, at(1)));
    }

    #[test]
    fn no_time_makes_it_panic() {
        let spec = spec("LatencyAtQuantileMS(99.9) > 1 || NetworkErrorRatio() > 0.5");
        let mut circuit = Circuit::new(&spec);
        for now in [5_000, 0, u64::MAX / 4, 1, u64::MAX / 4 + 1] {
            circuit.admits(&spec, at(now));
            circuit.record(&spec, at(now), 502, Duration::MAX);
        }
    }
}
