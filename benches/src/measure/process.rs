//! CPU time and memory of a process, and what the hypervisor took away, from /proc.

use std::{fs, time::Duration};

use crate::result::{Context, Error, Result};

/// CPU time of all threads of `pid`, to the nanosecond (`schedstat`).
pub(crate) fn cpu_time(pid: u32) -> Result<Duration> {
    Ok(thread_times(pid)?.into_iter().map(|(_, time)| time).sum())
}

/// CPU time of each thread of `pid`, with the thread's name.
pub(crate) fn thread_times(pid: u32) -> Result<Vec<(String, Duration)>> {
    let folder = format!("/proc/{pid}/task");
    let threads = fs::read_dir(&folder).context(folder)?;
    Ok(threads.filter_map(|thread| thread_time(&thread.ok()?.path())).collect())
}

/// A thread that has just ended has no time to tell.
fn thread_time(folder: &std::path::Path) -> Option<(String, Duration)> {
    let name = fs::read_to_string(folder.join("comm")).ok()?.trim().to_owned();
    let text = fs::read_to_string(folder.join("schedstat")).ok()?;
    let nanoseconds = text.split_whitespace().next()?.parse().ok()?;
    Some((name, Duration::from_nanos(nanoseconds)))
}

/// Resident memory of `pid` in bytes.
pub(crate) fn resident(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).context(path.as_str())?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()).and_then(|digits| digits.parse::<u64>().ok());
    kib.map(|kib| kib * 1024).ok_or_else(|| Error::Unexpected(format!("{path} tells no VmRSS")))
}

/// Time that the hypervisor gave to others, and all time, of the machine so far, in ticks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Machine {
    stolen: u64,
    all: u64,
}

impl Machine {
    /// So far.
    pub(crate) fn now() -> Self {
        let text = fs::read_to_string("/proc/stat").unwrap_or_default();
        let line = text.lines().next().unwrap_or_default();
        let ticks: Vec<u64> = line.split_whitespace().skip(1).filter_map(|word| word.parse().ok()).collect();
        Self { stolen: ticks.get(7).copied().unwrap_or(0), all: ticks.iter().take(8).sum() }
    }

    /// Share of time stolen since, in percent.
    pub(crate) fn stolen_percent(self) -> f64 {
        let now = Self::now();
        100.0 * (now.stolen - self.stolen) as f64 / (now.all - self.all).max(1) as f64
    }
}
