//! Announcing on real segments: network namespaces on a bridge, real kernels as clients.

use std::{fs, process::Command};

use crate::{
    step::Outcome,
    workspace::{cargo, run as run_command},
};

/// The step. `unit` runs the same tests, which skip themselves; here it is said whether they could.
pub(super) fn run() -> Result<Outcome, String> {
    if let Err(reason) = can_make_namespaces() {
        return Ok(Outcome::Skipped(reason));
    }
    run_command(&mut cargo(&[
        "test",
        "-p",
        "postern-l2announce",
        "--test",
        "wire",
        "--test",
        "namespaces",
        "--test",
        "agent",
        "--locked",
        "--quiet",
    ]))?;
    Ok(Outcome::Passed)
}

/// `cargo xtask vip`: real failures under traffic, for some minutes, with what they cost printed. Not a step: where a
/// machine is busy with other things, a process that does not run for a second is a failure too.
pub(crate) fn vip(arguments: &[String]) -> Result<(), String> {
    can_make_namespaces()?;
    let words = [
        "test",
        "-p",
        "postern-proxy",
        "--test",
        "vip",
        "--",
        "--include-ignored",
        "--test-threads",
        "1",
        "--nocapture",
    ];
    run_command(cargo(&words).args(arguments))
}

fn can_make_namespaces() -> Result<(), String> {
    let status = fs::read_to_string("/proc/self/status").map_err(|error| format!("/proc/self/status: {error}"))?;
    // The effective user is the second of four.
    let user = status.lines().find_map(|line| line.strip_prefix("Uid:")?.split_whitespace().nth(1));
    if user != Some("0") {
        return Err("network namespaces need root".to_owned());
    }
    let programs = [("ip", ["netns", "list"], "iproute2"), ("nft", ["list", "tables"], "nftables")];
    programs.into_iter().try_for_each(|(program, arguments, package)| {
        match Command::new(program).args(arguments).output() {
            Ok(output) if output.status.success() => Ok(()),
            _ => Err(format!("the tests need the program `{program}` (package {package})")),
        }
    })
}
