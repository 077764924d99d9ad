//! Settings of the kernel that decide whether connections arrive, and whether many of them do.

use std::{fs, path::Path};

use postern_config::kubernetes::doctor::Diagnosis;

/// Postern asks for as many waiting connections; the kernel lowers it to net.core.somaxconn.
const BACKLOG: u32 = 4096;

/// What the kernel says.
pub(super) fn look(ports: &[u16]) -> Vec<Diagnosis> {
    let read = |path: &str| fs::read_to_string(Path::new("/proc/sys/net").join(path)).unwrap_or_default();
    let interfaces = fs::read_dir("/proc/sys/net/ipv4/conf").into_iter().flatten().flatten();
    let strict = interfaces.filter_map(|interface| {
        let filter = fs::read_to_string(interface.path().join("rp_filter")).ok()?;
        Some((interface.file_name().into_string().ok()?, filter))
    });
    let range = range(&read("ipv4/ip_local_port_range"), &read("ipv4/ip_local_reserved_ports"), ports);
    vec![backlog(&read("core/somaxconn")), range, reverse_path(strict.collect())]
}

fn backlog(somaxconn: &str) -> Diagnosis {
    match somaxconn.trim().parse::<u32>() {
        Ok(most) if most < BACKLOG => Diagnosis::careful(
            "somaxconn",
            format!("only {most} connections may wait to be accepted"),
            format!("set net.core.somaxconn to {BACKLOG}"),
        ),
        Ok(_) => Diagnosis::good("somaxconn", "enough connections may wait to be accepted"),
        Err(_) => Diagnosis::unknown("somaxconn", "net.core.somaxconn cannot be read"),
    }
}

/// A port in the range that outgoing connections take theirs from may be in use when Postern starts.
fn range(range: &str, reserved: &str, ports: &[u16]) -> Diagnosis {
    const CHECK: &str = "ip_local_port_range";
    let mut ends = range.split_whitespace().map(str::parse::<u16>);
    let (Some(Ok(from)), Some(Ok(to))) = (ends.next(), ends.next()) else {
        return Diagnosis::unknown(CHECK, "net.ipv4.ip_local_port_range cannot be read");
    };
    let is_reserved = |port: u16| {
        reserved.trim().split(',').any(|part| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            first.parse().is_ok_and(|first: u16| first <= port) && last.parse().is_ok_and(|last: u16| port <= last)
        })
    };
    match ports.iter().find(|port| (from..=to).contains(*port) && !is_reserved(**port)) {
        Some(port) => Diagnosis::careful(
            CHECK,
            format!("port {port} is one of those that outgoing connections take ({from} to {to})"),
            format!("add it to net.ipv4.ip_local_reserved_ports, or raise the range above {port}"),
        ),
        None => Diagnosis::good(CHECK, "no outgoing connection takes a port of ours"),
    }
}

/// The strict filter (RFC 3704) drops what came in by another interface than the answer would take. The kernel takes the
/// higher of `all` and the interface's own.
fn reverse_path(filters: Vec<(String, String)>) -> Diagnosis {
    const CHECK: &str = "rp_filter";
    if filters.is_empty() {
        return Diagnosis::unknown(CHECK, "net.ipv4.conf.*.rp_filter cannot be read");
    }
    let level = |text: &str| text.trim().parse::<u8>().unwrap_or(0);
    let all = filters.iter().find(|(name, _)| name == "all").map_or(0, |(_, text)| level(text));
    let is_real = |name: &str| !["all", "default", "lo"].contains(&name);
    let mut strict: Vec<_> = filters
        .iter()
        .filter(|(name, text)| is_real(name) && level(text).max(all) == 1)
        .map(|(name, _)| name.as_str())
        .collect();
    strict.sort_unstable();
    if strict.is_empty() {
        return Diagnosis::good(CHECK, "no interface drops packets by the way back");
    }
    Diagnosis::careful(
        CHECK,
        format!(
            "strict on {}: where an address lies in another subnet than the way back to its clients, they are dropped",
            strict.join(", ")
        ),
        "set net.ipv4.conf.NAME.rp_filter to 2 on interfaces whose clients come from elsewhere, or give the node a route back",
    )
}

#[cfg(test)]
mod tests {
    use postern_config::kubernetes::doctor::Outcome;

    use super::*;

    #[test]
    fn a_short_queue_is_told() {
        for (text, outcome) in [("4096\n", Outcome::Good), ("128\n", Outcome::Careful), ("", Outcome::Unknown)] {
            assert_eq!(backlog(text).outcome, outcome, "{text:?}");
        }
    }

    #[test]
    fn a_port_among_those_of_outgoing_connections_is_told_unless_it_is_reserved() {
        for (text, reserved, ports, outcome) in [
            ("32768\t60999\n", "\n", &[80, 443][..], Outcome::Good),
            ("1024\t65535\n", "\n", &[80, 8443], Outcome::Careful),
            ("1024\t65535\n", "8000-8500\n", &[80, 8443], Outcome::Good),
            ("1024\t65535\n", "8080,8443\n", &[8443], Outcome::Good),
            ("nonsense", "", &[80], Outcome::Unknown),
        ] {
            assert_eq!(range(text, reserved, ports).outcome, outcome, "{text:?} {reserved:?} {ports:?}");
        }
    }

    #[test]
    fn the_higher_of_all_and_of_the_interface_counts() {
        let check = |filters: &[(&str, &str)]| {
            reverse_path(filters.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()).outcome
        };
        for (filters, outcome) in [
            (&[("all", "0"), ("eth0", "0\n")][..], Outcome::Good),
            (&[("all", "0"), ("eth0", "1\n")], Outcome::Careful),
            (&[("all", "1"), ("eth0", "0")], Outcome::Careful),
            (&[("all", "2"), ("eth0", "1")], Outcome::Good),
            (&[("all", "0"), ("lo", "1"), ("default", "1")], Outcome::Good),
            (&[], Outcome::Unknown),
        ] {
            assert_eq!(check(filters), outcome, "{filters:?}");
        }
    }
}
