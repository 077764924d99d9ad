//! Announcing on real segments: network namespaces on a bridge, real kernels as clients.

use std::{fs, path::PathBuf, process::Command};

use crate::{
    step::Outcome,
    workspace::{cargo, root, run as run_command},
};

/// The package whose tests need network namespaces, in part.
pub(super) const PACKAGE: &str = "postern-l2announce";

/// Which of its tests do.
const TESTS: [&str; 3] = ["wire", "namespaces", "agent"];

/// The step: the tests that `unit` leaves out.
pub(super) fn run() -> Result<Outcome, String> {
    if let Err(reason) = can_make_namespaces() {
        return Ok(Outcome::Skipped(reason));
    }
    test(&TESTS.map(str::to_owned), &[])?;
    Ok(Outcome::Passed)
}

/// All other tests of the package, for `unit`.
pub(super) fn run_others() -> Result<(), String> {
    let others: Vec<String> = all()
        .map_err(|error| format!("the tests of {PACKAGE}: {error}"))?
        .into_iter()
        .filter(|name| !TESTS.contains(&name.as_str()))
        .collect();
    test(&others, &["--lib", "--no-fail-fast"])?;
    run_command(&mut cargo(&["test", "-p", PACKAGE, "--doc", "--locked", "--quiet"]))
}

fn test(names: &[String], more: &[&str]) -> Result<(), String> {
    let mut command = cargo(&["test", "-p", PACKAGE, "--locked", "--quiet"]);
    run_command(command.args(more).args(names.iter().flat_map(|name| ["--test", name])))
}

/// As cargo finds them: files, and folders with a `main.rs`.
fn all() -> std::io::Result<Vec<String>> {
    let entries = fs::read_dir(root().join("l2announce/tests"))?;
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    let is_test = |path: &&PathBuf| path.join("main.rs").is_file() || path.extension().is_some_and(|it| it == "rs");
    let name = |path: &PathBuf| Some(path.file_stem()?.to_str()?.to_owned());
    Ok(paths.iter().filter(is_test).filter_map(name).collect())
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
