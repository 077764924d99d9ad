//! May this process bind ports below 1024?

use std::fs;

use postern_config::kubernetes::doctor::Diagnosis;

const CHECK: &str = "capabilities";
/// Bit of CAP_NET_BIND_SERVICE (linux/capability.h).
const NET_BIND_SERVICE: u32 = 10;

/// What the kernel says of this process.
pub(super) fn look(ports: &[u16]) -> Diagnosis {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    check(&read("/proc/self/status"), &read("/proc/sys/net/ipv4/ip_unprivileged_port_start"), ports)
}

/// `status` is /proc/self/status, `first` the first port that anybody may bind.
fn check(status: &str, first: &str, ports: &[u16]) -> Diagnosis {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let Some(effective) = line.and_then(|text| u64::from_str_radix(text.trim(), 16).ok()) else {
        return Diagnosis::unknown(CHECK, "what this process may do cannot be read in /proc/self/status");
    };
    let first: u16 = first.trim().parse().unwrap_or(1024);
    match ports.iter().find(|port| **port < first) {
        Some(port) if effective & (1 << NET_BIND_SERVICE) == 0 => Diagnosis::breaks(
            CHECK,
            format!("this process may not bind port {port}"),
            "grant CAP_NET_BIND_SERVICE, or lower net.ipv4.ip_unprivileged_port_start",
        ),
        _ => Diagnosis::good(CHECK, "every port may be bound"),
    }
}

#[cfg(test)]
mod tests {
    use postern_config::kubernetes::doctor::Outcome;

    use super::*;

    #[test]
    fn low_ports_need_the_capability_or_a_kernel_that_gives_them_to_all() {
        for (status, first, ports, outcome) in [
            ("CapEff:\t0000000000000400\n", "1024\n", &[80, 443][..], Outcome::Good),
            ("CapEff:\t0000000000000000\n", "1024\n", &[80], Outcome::Breaks),
            ("CapEff:\t0000000000000000\n", "80\n", &[80], Outcome::Good),
            ("CapEff:\t0000000000000000\n", "", &[8080], Outcome::Good),
            ("", "1024", &[80], Outcome::Unknown),
        ] {
            assert_eq!(check(status, first, ports).outcome, outcome, "{status:?} {first:?} {ports:?}");
        }
    }
}
