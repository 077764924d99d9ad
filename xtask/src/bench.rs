//! `cargo xtask bench`: builds Postern, the load generator and the peers, then hands over to `postern-benches`.

use crate::{
    tools,
    workspace::{self, cargo, peers, program, root, run as run_command},
};

/// The command.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let missing = prepare_peers();
    run_command(&mut cargo(&[
        "build",
        "--profile",
        "bench",
        "-p",
        "postern-proxy",
        "-p",
        "postern-benches",
        "--bins",
    ]))?;
    for line in &missing {
        println!("left out: {line}");
    }
    // cargo puts what the bench profile builds into the folder of the release profile.
    let built = workspace::target().join("release");
    let mut command = program(built.join("postern-benches"), &["compare"]);
    command.arg("--postern").arg(built.join("postern")).args(arguments);
    command.arg("--pingora").arg(pingora_binary());
    command.arg("--out").arg(root().join("target/bench"));
    run_command(&mut command)
}

/// What could not be had, one line each; the comparison runs without it and says so.
fn prepare_peers() -> Vec<String> {
    let packages =
        [("nginx", "nginx-light"), ("haproxy", "haproxy"), ("taskset", "util-linux"), ("valgrind", "valgrind")];
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

fn pingora_target() -> std::path::PathBuf {
    peers().join("pingora")
}

fn pingora_binary() -> std::path::PathBuf {
    pingora_target().join("release/pingora-peer")
}
