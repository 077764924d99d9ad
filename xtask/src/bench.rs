//! `cargo xtask bench`: builds Postern as it is shipped, the load generator and the peers, then hands over to `postern-benches`.

use std::path::PathBuf;

use crate::{
    dist, tools,
    workspace::{self, cargo, peers, program, root, run as run_command},
};

/// Measures what plain cargo builds, at the same settings, in place of what is shipped: minutes sooner.
const UNTRAINED: &str = "--untrained";

/// The command.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let mut missing = prepare_peers();
    let benches = dist::benches()?;
    let is_untrained = arguments.iter().any(|argument| argument == UNTRAINED);
    let profdata = if is_untrained { Err(format!("training ({UNTRAINED})")) } else { tools::llvm_profdata() };
    let postern = match profdata {
        Ok(profdata) => dist::trained(&benches, &profdata)?,
        Err(reason) => {
            missing.push(reason);
            untrained()?
        }
    };
    let mut command = program(benches, &["compare"]);
    match tools::kubernetes(&["kube-apiserver", "kubectl"]) {
        Ok(bin) => drop(command.arg("--kube-bin").arg(bin)),
        Err(reason) => missing.push(reason),
    }
    for line in &missing {
        println!("left out: {line}");
    }
    command.arg("--postern").arg(postern).args(arguments.iter().filter(|argument| *argument != UNTRAINED));
    command.arg("--pingora").arg(pingora_binary());
    command.arg("--out").arg(root().join("target/bench"));
    run_command(&mut command)
}

fn untrained() -> Result<PathBuf, String> {
    run_command(&mut cargo(&["build", "--profile", "bench", "-p", "postern-proxy", "--bin", "postern"]))?;
    // cargo puts what the bench profile builds into the folder of the release profile.
    Ok(workspace::target().join("release/postern"))
}

/// What could not be had, one line each; the comparison runs without it and says so.
fn prepare_peers() -> Vec<String> {
    let packages = [
        ("nginx", "nginx-light"),
        ("haproxy", "haproxy"),
        ("keepalived", "keepalived"),
        ("taskset", "util-linux"),
        ("valgrind", "valgrind"),
    ];
    let debian = packages.into_iter().filter_map(|(binary, package)| tools::debian(binary, package).err());
    debian.chain(build_pingora().err()).collect()
}

/// pingora wants cmake, and a lock file of its own: it brings much that Postern keeps out.
fn build_pingora() -> Result<(), String> {
    tools::debian("cmake", "cmake")?;
    let manifest = root().join("benches/pingora-peer/Cargo.toml");
    run_command(
        cargo(&["build", "--release", "--locked", "--manifest-path"])
            .arg(manifest)
            .env("CARGO_TARGET_DIR", pingora_target()),
    )
}

fn pingora_target() -> PathBuf {
    peers().join("pingora")
}

fn pingora_binary() -> PathBuf {
    pingora_target().join("release/pingora-peer")
}
