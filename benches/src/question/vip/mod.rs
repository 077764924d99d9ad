//! A virtual address whose owner dies, and one that is moved on purpose: how long its clients wait, and what breaks.
//! Each contender has three nodes and a client on a switch of its own; rounds are interleaved.

mod owner;
mod segment;

use std::time::Duration;

use serde_json::{Value, json};

use self::{
    owner::{Announcer, Nodes},
    segment::Segment,
};
use super::Bench;
use crate::{
    measure::rounds::{median, quantile},
    result::{Error, Result},
    watch::Seen,
};

/// Longer than any contender takes to notice.
const NOTICED: Duration = Duration::from_secs(6);
/// After which a node that has come back takes part again.
const SETTLED: Duration = Duration::from_secs(4);
/// Before the owner goes.
const BEFORE: Duration = Duration::from_millis(500);

/// How the owner goes.
#[derive(Clone, Copy)]
enum Way {
    /// Its cable is cut, as a power cut looks to everybody else.
    Crash,
    /// SIGTERM.
    Move,
}

pub(super) fn crash(bench: &Bench<'_>) -> Result<Value> {
    answer(bench, Way::Crash)
}

pub(super) fn planned_move(bench: &Bench<'_>) -> Result<Value> {
    answer(bench, Way::Move)
}

/// One contender and what was seen of it.
struct Course {
    name: &'static str,
    nodes: Nodes,
    seen: Vec<Seen>,
}

fn answer(bench: &Bench<'_>, way: Way) -> Result<Value> {
    if !rustix::process::geteuid().is_root() {
        println!("  left out: network namespaces need root");
        return Ok(Value::Null);
    }
    let mut courses = Vec::new();
    for announcer in Announcer::ALL {
        let folder = bench.folder().join(announcer.name());
        std::fs::create_dir_all(&folder).map_err(|error| Error::Io(folder.display().to_string(), error))?;
        let name = announcer.name();
        match Nodes::start(announcer, Segment::new(name)?, &folder, &bench.options.postern) {
            Ok(nodes) => courses.push(Course { name, nodes, seen: Vec::new() }),
            Err(error) if announcer == Announcer::Keepalived => println!("  left out: {error}"),
            Err(error) => return Err(error),
        }
    }
    for round in 0..bench.options.rounds {
        let count = courses.len();
        for at in 0..count {
            // Each round begins with another one.
            if let Some(course) = courses.get_mut((at + round) % count) {
                let seen = once(&mut course.nodes, way)?;
                course.seen.push(seen);
            }
        }
    }
    Ok(report(&courses))
}

fn once(nodes: &mut Nodes, way: Way) -> Result<Seen> {
    let owner = nodes.owner()?;
    let watch = nodes.watch()?;
    std::thread::sleep(BEFORE);
    match way {
        Way::Crash => nodes.cut(owner)?,
        Way::Move => nodes.terminate(owner)?,
    }
    std::thread::sleep(NOTICED);
    let seen = watch.stop()?;
    match way {
        Way::Crash => nodes.restore(owner)?,
        Way::Move => nodes.start_again(owner)?,
    }
    std::thread::sleep(SETTLED);
    Ok(seen)
}

fn report(courses: &[Course]) -> Value {
    println!("  {:<16} {:>10} {:>10} {:>10}   failed, broken", "longest wait, ms", "median", "p99", "longest");
    let mut cases = Vec::new();
    for Course { name, seen, .. } in courses {
        let waits: Vec<f64> = seen.iter().map(|seen| seen.longest).collect();
        let failed: usize = seen.iter().flat_map(|seen| seen.failed.values()).sum();
        let broken: usize = seen.iter().map(|seen| seen.broken).sum();
        let (middle, late, most) = (median(&waits), quantile(&waits, 0.99), quantile(&waits, 1.0));
        println!(
            "  {name:<16} {middle:>10.0} {late:>10.0} {most:>10.0}   {failed} requests, {broken} kept connections"
        );
        cases.push(json!({ "name": name, "rounds": seen, "median_ms": middle, "p99_ms": late, "longest_ms": most }));
    }
    json!({ "contenders": cases })
}
