//! `cargo xtask dist`: the binary that is shipped. It is built twice: once with counters, which the work of
//! `postern-benches train` then fills, and once for what these say is hot (profile-guided optimisation, see "Profile-guided
//! Optimization" in the rustc book).

use std::{
    path::{Path, PathBuf},
    time::SystemTime,
};

use crate::{
    image::STATIC,
    tools,
    workspace::{self, cargo, program, run as run_command},
};

/// The command.
pub(crate) fn run() -> Result<(), String> {
    let built = trained(&benches()?, &tools::llvm_profdata()?)?;
    println!("{}", built.display());
    Ok(())
}

/// Postern, optimised for its work: `benches` is the program that puts it through that work, `profdata` the one that
/// sums up what was counted.
pub(crate) fn trained(benches: &Path, profdata: &Path) -> Result<PathBuf, String> {
    let counters = folder().join("counters");
    let profile = folder().join("postern.profdata");
    let counting = build("counting", &format!("-Cprofile-generate={}", counters.display()))?;
    if is_older(&profile, &counting) {
        println!("training Postern with the work of benches/src/training.rs");
        let _ = std::fs::remove_dir_all(&counters);
        run_command(program(benches, &["train", "--postern"]).arg(&counting))?;
        run_command(program(profdata, &["merge", "-o"]).arg(&profile).arg(&counters))?;
    }
    build("trained", &format!("-Cprofile-use={}", profile.display()))
}

/// The load generator.
pub(crate) fn benches() -> Result<PathBuf, String> {
    run_command(&mut cargo(&["build", "--profile", "bench", "-p", "postern-benches", "--bins"]))?;
    Ok(workspace::target().join("release/postern-benches"))
}

/// Both times by one profile, link-time optimisation included: cargo puts its settings into the names of symbols, by
/// which counters find their functions. With a target named, flags reach what is shipped and no build script.
fn build(name: &str, flags: &str) -> Result<PathBuf, String> {
    let host = workspace::rustc("host")?;
    let arguments = ["build", "--profile", "bench", "--target", &host, "-p", "postern-proxy", "--bin", "postern"];
    let target = folder().join(name);
    let flags = format!("{flags} {STATIC}");
    run_command(cargo(&arguments).env("CARGO_TARGET_DIR", &target).env("RUSTFLAGS", flags))?;
    // cargo puts what the bench profile builds into the folder of the release profile.
    Ok(target.join(&host).join("release/postern"))
}

fn folder() -> PathBuf {
    workspace::target().join("dist")
}

fn is_older(file: &Path, than: &Path) -> bool {
    let modified = |path: &Path| std::fs::metadata(path).and_then(|data| data.modified()).ok();
    modified(file).unwrap_or(SystemTime::UNIX_EPOCH) < modified(than).unwrap_or(SystemTime::UNIX_EPOCH)
}
