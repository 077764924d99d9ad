//! Interleaved rounds: A B C, B C A, C A B, … so that what changes with time hits all alike; ratios are per round.

use serde_json::{Value, json};

use super::process::Machine;
use crate::result::Result;

/// What one contender cost in each round.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    /// Who.
    pub(crate) name: String,
    /// Cost, one per round, in the question's unit.
    pub(crate) costs: Vec<f64>,
    /// Requests that failed, over all rounds.
    pub(crate) errors: u64,
}

/// Cost and errors of one round of one contender.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sample {
    /// In the question's unit.
    pub(crate) cost: f64,
    /// Failed requests.
    pub(crate) errors: u64,
}

/// All rounds of a question.
#[derive(Clone, Debug)]
pub(crate) struct Rounds {
    /// One per contender.
    pub(crate) series: Vec<Series>,
    /// Share of time that the hypervisor took, per round, in percent.
    pub(crate) stolen: Vec<f64>,
}

impl Rounds {
    /// Runs `rounds` rounds over `names`, each round beginning with another contender.
    pub(crate) fn run(names: &[String], rounds: usize, mut one: impl FnMut(usize) -> Result<Sample>) -> Result<Self> {
        let empty = |name: &String| Series { name: name.clone(), costs: Vec::new(), errors: 0 };
        let mut all = Self { series: names.iter().map(empty).collect(), stolen: Vec::new() };
        for round in 0..rounds {
            let machine = Machine::now();
            for step in 0..names.len() {
                let at = (round + step) % names.len();
                let sample = one(at)?;
                if let Some(series) = all.series.get_mut(at) {
                    series.costs.push(sample.cost);
                    series.errors += sample.errors;
                }
            }
            all.stolen.push(machine.stolen_percent());
            eprint!("\r  round {} of {rounds}", round + 1);
        }
        eprintln!();
        Ok(all)
    }

    /// Ratio of `series` to the one named `base`, per round; empty when `base` did not run.
    pub(crate) fn ratios(&self, series: &Series, base: &str) -> Vec<f64> {
        let Some(base) = self.series.iter().find(|other| other.name == base) else { return Vec::new() };
        series.costs.iter().zip(&base.costs).map(|(cost, of)| cost / of).collect()
    }

    /// As JSON.
    pub(crate) fn json(&self, unit: &str, base: &str) -> Value {
        let one = |series: &Series| {
            let ratios = self.ratios(series, base);
            json!({
                "name": series.name, "median": median(&series.costs), "costs": series.costs,
                "ratio": finite(median(&ratios)), "ratio_spread": spread(&ratios), "errors": series.errors,
            })
        };
        let contenders: Vec<Value> = self.series.iter().map(one).collect();
        json!({ "unit": unit, "ratio_to": base, "contenders": contenders, "stolen_percent": self.stolen })
    }
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

/// The median; NaN of nothing.
pub(crate) fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// First and third quartile.
pub(crate) fn spread(values: &[f64]) -> Option<[f64; 2]> {
    (!values.is_empty()).then(|| [quantile(values, 0.25), quantile(values, 0.75)])
}

/// The value below which `share` of all lie, the nearest one; NaN of nothing.
pub(crate) fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 0 && share == 0.5 => (sorted[n / 2 - 1] + sorted[n / 2]) / 2.0,
        n => sorted[(share * (n - 1) as f64).round() as usize],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_of_values_is_the_mean_of_the_middle_two() {
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
    }

    #[test]
    fn every_contender_runs_once_a_round_and_ratios_are_per_round() -> Result<()> {
        let mut cost = 0.0;
        let rounds = Rounds::run(&["a".to_owned(), "b".to_owned()], 3, |at| {
            cost += 1.0;
            Ok(Sample { cost: if at == 0 { cost } else { 2.0 * cost }, errors: 0 })
        })?;
        assert!(rounds.series.iter().all(|series| series.costs.len() == 3));
        assert_eq!(rounds.ratios(&rounds.series[1], "b"), [1.0, 1.0, 1.0]);
        Ok(())
    }
}
