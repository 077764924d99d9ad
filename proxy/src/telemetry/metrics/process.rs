//! The process as the kernel sees it, under the names that every Prometheus client library uses.

use std::time::Duration;

/// One look at the process.
#[derive(Debug, Default)]
pub(super) struct Process {
    pub(super) cpu: Option<Duration>,
    pub(super) resident_bytes: Option<u64>,
    pub(super) open_fds: Option<u64>,
    pub(super) max_fds: Option<u64>,
    pub(super) started: Option<f64>,
}

/// Clock ticks per second of `/proc/*/stat`: 100 on every architecture that Linux is built for today.
const TICKS: f64 = 100.0;

impl Process {
    /// What `/proc` tells; a value that cannot be read is left out.
    pub(super) fn look() -> Self {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let field = |n| stat_field(&stat, n);
        Self {
            cpu: field(14).zip(field(15)).map(|(user, system)| Duration::from_secs_f64((user + system) / TICKS)),
            resident_bytes: status_kib("VmRSS:").map(|kib| kib * 1024),
            open_fds: std::fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count() as u64),
            max_fds: nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE)
                .ok()
                .map(|(soft, _)| soft),
            started: field(22).zip(boot_time()).map(|(ticks, boot)| boot + ticks / TICKS),
        }
    }
}

/// Field `n` (from 1, as proc(5) counts) of a stat line; fields after the name, which may hold spaces and brackets.
fn stat_field(stat: &str, n: usize) -> Option<f64> {
    let after_name = stat.rsplit_once(") ")?.1;
    after_name.split(' ').nth(n.checked_sub(3)?)?.parse().ok()
}

fn status_kib(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

fn boot_time() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_after_a_name_with_brackets_and_spaces() {
        let stat = "12 (a) b) R 1 2 3 4 5 6 7 8 9 10 111 222 16";
        assert_eq!(stat_field(stat, 14), Some(111.0));
        assert_eq!(stat_field(stat, 15), Some(222.0));
        assert_eq!(stat_field("", 14), None);
    }
}
