//! Elections on a virtual segment under everything that goes wrong, by seeds: 12,000 schedules in a run of the tests.
//!
//! A schedule that fails prints its seed; `POSTERN_SIMULATION_SEED=… cargo test -p postern-l2announce --test simulation`
//! runs it alone and prints what is done, and `POSTERN_SIMULATION_SCHEDULES=…` says how many there are. The bounds that are asserted are those of
//! docs/design/0004-election.md.

mod random;
mod schedule;
mod world;

use std::{collections::BTreeMap, env, panic, thread};

use schedule::{Outages, run};

const SCHEDULES: u64 = 12_000;

fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is a number, not {text}")))
}

/// Every `step`th seed from `first` on.
fn run_some(first: u64, step: usize, count: u64) -> Outages {
    let mut outages = Outages::new();
    for seed in (first..count).step_by(step) {
        let result = panic::catch_unwind(|| run(seed));
        let result = result.unwrap_or_else(|panic| {
            eprintln!("schedule {seed} failed; POSTERN_SIMULATION_SEED={seed} runs it alone");
            panic::resume_unwind(panic)
        });
        result.into_iter().for_each(|(cause, times)| outages.entry(cause).or_default().extend(times));
    }
    outages
}

fn print(outages: &BTreeMap<&'static str, Vec<u64>>) {
    println!("outages in ms: cause, times seen, median, 90 %, 99 %, longest");
    for (cause, times) in outages {
        let mut times = times.clone();
        times.sort_unstable();
        let of_thousand = |share: usize| times.get((times.len() - 1) * share / 1000).copied().unwrap_or(0) / 1000;
        let [half, most, nearly, all] = [500, 900, 990, 1000].map(of_thousand);
        println!("{cause:<34} {:>6} {half:>6} {most:>6} {nearly:>6} {all:>6}", times.len());
    }
}

#[test]
fn one_node_owns_each_address_whatever_happens() {
    if let Some(seed) = number("POSTERN_SIMULATION_SEED") {
        return print(&run(seed));
    }
    let count = number("POSTERN_SIMULATION_SCHEDULES").unwrap_or(SCHEDULES);
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let handles: Vec<_> =
        (0..threads).map(|first| thread::spawn(move || run_some(first as u64, threads, count))).collect();
    let mut outages = Outages::new();
    for handle in handles {
        let part = handle.join().unwrap_or_else(|panic| panic::resume_unwind(panic));
        part.into_iter().for_each(|(cause, times)| outages.entry(cause).or_default().extend(times));
    }
    print(&outages);
}
