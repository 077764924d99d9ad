//! Steps of a run, and the table of where the time went.

use std::time::{Duration, Instant};

use crate::workspace;

/// One check.
pub(crate) struct Step {
    /// Name, as given on the command line.
    pub(crate) name: &'static str,
    /// What it checks, for the table.
    pub(crate) about: &'static str,
    /// Does it.
    pub(crate) run: fn() -> Result<Outcome, String>,
}

/// How a step ended, when it did not fail.
pub(crate) enum Outcome {
    /// Everything was checked.
    Passed,
    /// A part that depends on the outside could not be had; the text says which and why.
    Limited(String),
    /// Nothing could be checked here; the text says why. A failure in CI.
    Skipped(String),
}

struct Line {
    step: &'static Step,
    took: Duration,
    verdict: String,
    failed: bool,
}

/// Runs the steps in order until one fails, then prints the table.
pub(crate) fn run_all(steps: impl Iterator<Item = &'static Step>) -> Result<(), String> {
    let mut lines: Vec<Line> = Vec::new();
    for step in steps {
        let line = run_one(step);
        let failed = line.failed;
        lines.push(line);
        if failed {
            break;
        }
    }
    print_table(&lines);
    match lines.iter().find(|line| line.failed) {
        Some(line) => Err(format!("step `{}` failed", line.step.name)),
        None => Ok(()),
    }
}

fn run_one(step: &'static Step) -> Line {
    println!("\n== {}: {}", step.name, step.about);
    let start = Instant::now();
    let (failed, verdict) = match (step.run)() {
        Ok(Outcome::Passed) => (false, "passed".to_owned()),
        Ok(Outcome::Limited(what)) => (false, format!("passed; NOT CHECKED: {what}")),
        Ok(Outcome::Skipped(why)) if workspace::is_ci() => (true, format!("FAILED: cannot run here: {why}")),
        Ok(Outcome::Skipped(why)) => (false, format!("SKIPPED: {why}")),
        Err(reason) => (true, format!("FAILED: {reason}")),
    };
    println!("-- {}: {verdict}", step.name);
    Line { step, took: start.elapsed(), verdict, failed }
}

fn print_table(lines: &[Line]) {
    println!("\n{:<10} {:>8}  verdict", "step", "seconds");
    for line in lines {
        let first = line.verdict.lines().next().unwrap_or_default();
        println!("{:<10} {:>8.1}  {first}", line.step.name, line.took.as_secs_f64());
    }
    let total: Duration = lines.iter().map(|line| line.took).sum();
    println!("{:<10} {:>8.1}", "total", total.as_secs_f64());
}
