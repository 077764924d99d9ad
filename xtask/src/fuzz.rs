//! `cargo xtask fuzz SECONDS`: every target that long, with cargo-fuzz.
//!
//! Uses the stable toolchain without a sanitizer when no nightly is installed: our crates hold no unsafe code, so
//! what fuzzing looks for (panics, hangs, broken properties) shows either way.

use crate::{
    tools,
    workspace::{self, output, program, root},
};

pub(crate) fn run_targets(seconds: u32) -> Result<(), String> {
    let cargo_fuzz = tools::cargo_fuzz()?;
    tools::debian("g++", "g++")?;
    let mut failed = Vec::new();
    for target in targets()? {
        println!("\n== fuzz {target}: {seconds} s");
        if let Err(reason) = fuzz(&cargo_fuzz, &target, seconds) {
            eprintln!("{reason}");
            failed.push(target);
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("findings in: {}", failed.join(", "))) }
}

/// The command.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let [seconds] = arguments else { return Err("fuzz wants one number: seconds per target".to_owned()) };
    run_targets(seconds.parse().map_err(|_| format!("`{seconds}` is not a number of seconds"))?)
}

fn targets() -> Result<Vec<String>, String> {
    let folder = root().join("fuzz/fuzz_targets");
    let entries = std::fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let names = entries.filter_map(|entry| entry.ok()?.path().file_stem()?.to_str().map(str::to_owned));
    let mut names: Vec<String> = names.collect();
    names.sort();
    Ok(names)
}

fn fuzz(cargo_fuzz: &std::path::Path, target: &str, seconds: u32) -> Result<(), String> {
    let mut command = program(cargo_fuzz, &["run", "--fuzz-dir", "fuzz"]);
    if !has_nightly() {
        command.args(["-s", "none"]);
    }
    command.args([
        target,
        &format!("fuzz/corpus/{target}"),
        "--",
        &format!("-max_total_time={seconds}"),
        "-timeout=10",
    ]);
    let dictionary = root().join(format!("fuzz/dictionaries/{target}.dict"));
    if dictionary.is_file() {
        command.arg(format!("-dict={}", dictionary.display()));
    }
    command.env("RUSTUP_TOOLCHAIN", if has_nightly() { "nightly" } else { "stable" });
    workspace::run(&mut command)
}

fn has_nightly() -> bool {
    output(&mut program("rustup", &["toolchain", "list"])).is_ok_and(|text| text.contains("nightly"))
}
