//! Stops asking a backend that fails, for a while.

use std::time::Duration;

use http::StatusCode;

use crate::model::{
    condition::{Call, Compared, Comparison, ConditionError, Number, Vocabulary},
    expression::Expression,
};

/// Configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct CircuitBreaker {
    /// The circuit opens when this holds.
    pub expression: Expression<Test>,
    /// How often that is looked at, at most.
    pub check_period: Duration,
    /// How long nothing is asked once it has opened.
    pub fallback: Duration,
    /// How long it takes then until everything is asked again, more and more on the way.
    pub recovery: Duration,
    /// What clients get that are not let through.
    pub status: StatusCode,
}

/// Compared by what was written: no number of an expression is NaN.
impl Eq for CircuitBreaker {}

/// A test of what was measured in the last ten seconds (latencies: in the last minute).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Test {
    /// Share of answers 502 and 504.
    NetworkErrorRatio(Comparison, f64),
    /// Number of answers of one range of statuses, divided by that of another.
    ResponseCodeRatio {
        /// First status that counts, and the first that does not any more.
        of: (u16, u16),
        /// The same, of those that it is a share of.
        among: (u16, u16),
        /// How the ratio is compared.
        how: Comparison,
        /// With what.
        with: f64,
    },
    /// Milliseconds that this share of requests, in percent, took at most.
    LatencyAtQuantile(f64, Comparison, i64),
    /// Number of requests.
    Requests(Comparison, i64),
}

const KNOWN: &str = "NetworkErrorRatio, ResponseCodeRatio, LatencyAtQuantileMS, RequestThreshold";

impl Vocabulary for Test {
    fn test(call: &Call<'_>, compared: Option<Compared>) -> Result<Self, ConditionError> {
        let (usage, test) = match call.name {
            "NetworkErrorRatio" => ("NetworkErrorRatio() > 0.3", network_error_ratio(call, compared)),
            "ResponseCodeRatio" => ("ResponseCodeRatio(500, 600, 0, 600) > 0.3", response_code_ratio(call, compared)),
            "LatencyAtQuantileMS" => ("LatencyAtQuantileMS(50.0) > 100", latency(call, compared)),
            "RequestThreshold" => ("RequestThreshold() >= 20", requests(call, compared)),
            _ => return Err(call.unknown(KNOWN)),
        };
        test.ok_or_else(|| call.misused(usage))
    }
}

fn network_error_ratio(call: &Call<'_>, compared: Option<Compared>) -> Option<Test> {
    let Compared { how, with } = compared?;
    call.arguments.is_empty().then_some(Test::NetworkErrorRatio(how, with.as_f64()))
}

fn response_code_ratio(call: &Call<'_>, compared: Option<Compared>) -> Option<Test> {
    let Compared { how, with } = compared?;
    let [a, b, c, d] = *call.arguments.as_slice() else { return None };
    let status = |number: Number| u16::try_from(number.whole()?).ok();
    let (of, among) = ((status(a)?, status(b)?), (status(c)?, status(d)?));
    Some(Test::ResponseCodeRatio { of, among, how, with: with.as_f64() })
}

fn latency(call: &Call<'_>, compared: Option<Compared>) -> Option<Test> {
    let Compared { how, with } = compared?;
    let [quantile] = *call.arguments.as_slice() else { return None };
    let quantile = Some(quantile.as_f64()).filter(|quantile| (0.0..=100.0).contains(quantile))?;
    Some(Test::LatencyAtQuantile(quantile, how, with.whole()?))
}

fn requests(call: &Call<'_>, compared: Option<Compared>) -> Option<Test> {
    let Compared { how, with } = compared?;
    call.arguments.is_empty().then_some(())?;
    Some(Test::Requests(how, with.whole()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::condition;

    #[test]
    fn the_functions_are_used_as_traefik_documents_them() {
        for (text, want) in [
            ("NetworkErrorRatio() > 0.30", Some(Test::NetworkErrorRatio(Comparison::Greater, 0.3))),
            ("LatencyAtQuantileMS(50.0) > 100", Some(Test::LatencyAtQuantile(50.0, Comparison::Greater, 100))),
            (
                "ResponseCodeRatio(500, 600, 0, 600) > 0.25",
                Some(Test::ResponseCodeRatio { of: (500, 600), among: (0, 600), how: Comparison::Greater, with: 0.25 }),
            ),
            ("RequestThreshold() >= 20", Some(Test::Requests(Comparison::AtLeast, 20))),
            ("NetworkErrorRatio()", None),
            ("NetworkErrorRatio(1) > 0.3", None),
            ("ResponseCodeRatio(500, 600) > 0.25", None),
            ("ResponseCodeRatio(500, 600, 0, 70000) > 0.25", None),
            ("LatencyAtQuantileMS(101.0) > 100", None),
            ("LatencyAtQuantileMS(50.0) > 100.5", None),
            ("RequestThreshold() > 1.5", None),
            ("Requests() > 1", None),
        ] {
            assert_eq!(condition::parse(text).ok(), want.map(Expression::Is), "{text}");
        }
    }
}
