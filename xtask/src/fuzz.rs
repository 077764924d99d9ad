//! `cargo xtask fuzz SECONDS [TARGET...]`: every target, or those that are named, that long, with cargo-fuzz.
//!
//! Uses the stable toolchain without a sanitizer when no nightly is installed: our crates hold no unsafe code, so
//! what fuzzing looks for (panics, hangs, broken properties) shows either way.

use crate::{
    tools,
    workspace::{self, output, program, root},
};

fn run_targets(seconds: u32, targets: &[String]) -> Result<(), String> {
    let cargo_fuzz = tools::cargo_fuzz()?;
    tools::debian("g++", "g++")?;
    let mut failed = Vec::new();
    for target in targets {
        println!("\n== fuzz {target}: {seconds} s");
        if let Err(reason) = fuzz(&cargo_fuzz, target, seconds) {
            eprintln!("{reason}");
            failed.push(target.as_str());
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("findings in: {}", failed.join(", "))) }
}

/// The command.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let Some((seconds, named)) = arguments.split_first() else {
        return Err("fuzz wants a number: seconds per target".to_owned());
    };
    let seconds = seconds.parse().map_err(|_| format!("`{seconds}` is not a number of seconds"))?;
    let known = targets()?;
    if let Some(unknown) = named.iter().find(|name| !known.contains(name)) {
        return Err(format!("no target `{unknown}`; there are: {}", known.join(", ")));
    }
    run_targets(seconds, if named.is_empty() { &known } else { named })
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
    // What is found on the way is kept aside: the first folder is the one that is written to.
    let found = workspace::target().join("fuzz-corpus").join(target);
    std::fs::create_dir_all(&found).map_err(|error| format!("{}: {error}", found.display()))?;
    command.arg(target).arg(found);
    command.args([&format!("fuzz/corpus/{target}"), "--", &format!("-max_total_time={seconds}"), "-timeout=10"]);
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
