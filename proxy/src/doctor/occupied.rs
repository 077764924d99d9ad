//! Who listens on our ports now? Sockets by /proc/net/tcp, their processes where /proc shows them.

use std::{collections::BTreeMap, fs};

use postern_config::kubernetes::doctor::Diagnosis;

const CHECK: &str = "listeners";
/// State TCP_LISTEN in /proc/net/tcp (net/tcp_states.h).
const LISTEN: &str = "0A";
/// What the kernel calls our own processes.
const OURS: &str = "postern";

/// What the kernel says.
pub(super) fn look(ports: &[u16]) -> Vec<Diagnosis> {
    let tables: Vec<_> =
        ["/proc/net/tcp", "/proc/net/tcp6"].iter().filter_map(|path| fs::read_to_string(path).ok()).collect();
    if tables.is_empty() {
        return vec![Diagnosis::unknown(CHECK, "/proc/net/tcp cannot be read")];
    }
    let sockets = tables.iter().flat_map(|table| listening(table)).filter(|(port, _)| ports.contains(port));
    check(&sockets.collect(), owner)
}

/// Port and inode of each listening socket.
fn listening(table: &str) -> Vec<(u16, u64)> {
    let socket = |line: &str| {
        let mut words = line.split_whitespace();
        let port = words.nth(1)?.rsplit_once(':')?.1;
        (words.nth(1)? == LISTEN).then_some(())?;
        Some((u16::from_str_radix(port, 16).ok()?, words.nth(5)?.parse().ok()?))
    };
    table.lines().skip(1).filter_map(socket).collect()
}

fn check(sockets: &BTreeMap<u16, u64>, owner: impl Fn(u64) -> Option<String>) -> Vec<Diagnosis> {
    let of = |(port, inode): (&u16, &u64)| match owner(*inode) {
        Some(name) if name == OURS => Diagnosis::good(CHECK, format!("Postern listens on port {port}")),
        found => {
            let name = found.unwrap_or_else(|| "a process that is not to be seen from here".to_owned());
            let remedy = format!("stop it, or bind another port (mapPort: {port}=…)");
            Diagnosis::breaks(CHECK, format!("{name} listens on port {port}"), remedy)
        }
    };
    let found: Vec<_> = sockets.iter().map(of).collect();
    if found.is_empty() { vec![Diagnosis::good(CHECK, "nobody listens on a port of ours")] } else { found }
}

/// The name of the process that has the socket `inode`.
fn owner(inode: u64) -> Option<String> {
    let wanted = format!("socket:[{inode}]");
    let processes = fs::read_dir("/proc").ok()?.flatten().map(|entry| entry.path());
    let has = |process: &std::path::PathBuf| {
        let files = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
        files.filter_map(|file| fs::read_link(file.path()).ok()).any(|link| link.as_os_str() == wanted.as_str())
    };
    let process = processes.filter(|path| path.join("fd").is_dir()).find(has)?;
    fs::read_to_string(process.join("comm")).ok().map(|name| name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use postern_config::kubernetes::doctor::Outcome;

    use super::*;

    const TABLE: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0
   1: 0100007F:01BB 0100007F:C001 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0 100 0 0 10 0
   2: broken
";

    #[test]
    fn listening_sockets_are_read_and_no_others() {
        assert_eq!(listening(TABLE), [(80, 4711)]);
        assert_eq!(listening(""), []);
    }

    #[test]
    fn another_program_on_our_port_breaks() {
        let sockets = BTreeMap::from([(80, 1)]);
        let outcome = |name: Option<&str>| check(&sockets, |_| name.map(str::to_owned))[0].outcome;
        assert_eq!(outcome(Some("nginx")), Outcome::Breaks);
        assert_eq!(outcome(Some("postern")), Outcome::Good);
        assert_eq!(outcome(None), Outcome::Breaks);
        assert_eq!(check(&BTreeMap::new(), |_| None)[0].outcome, Outcome::Good);
    }
}
