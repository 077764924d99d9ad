//! Programs of others that tests and benches need: Debian packages where we are root, else cargo installs and Go
//! modules at pinned versions. Each function makes the thing available or says in one sentence why it cannot.

use std::path::PathBuf;

use crate::workspace::{self, cargo, has, peers, program, run};

const CARGO_DENY: &str = "0.20.2";
const CARGO_FUZZ: &str = "0.13.2";

/// A program from a Debian package.
pub(crate) fn debian(binary: &str, package: &str) -> Result<(), String> {
    if has(binary) || PathBuf::from("/usr/sbin").join(binary).is_file() {
        return Ok(());
    }
    if !has("apt-get") || !is_root() {
        return Err(format!("`{binary}` is missing: install the package {package} (needs root and apt)"));
    }
    println!("installing the Debian package {package}");
    let update = run(program("apt-get", &["update", "-q"]).stdout(std::process::Stdio::null()));
    let install = run(program("apt-get", &["install", "-y", "-q", "--no-install-recommends", package])
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdout(std::process::Stdio::null()));
    install.map_err(|reason| match update {
        Ok(()) => reason,
        Err(first) => format!("{reason} (before it: {first})"),
    })
}

/// cargo-deny.
pub(crate) fn cargo_deny() -> Result<PathBuf, String> {
    installed("cargo-deny", CARGO_DENY)
}

/// cargo-fuzz.
pub(crate) fn cargo_fuzz() -> Result<PathBuf, String> {
    installed("cargo-fuzz", CARGO_FUZZ)
}

/// h2spec, from Go modules.
pub(crate) fn h2spec() -> Result<PathBuf, String> {
    let binary = peers().join("bin/h2spec");
    if !binary.is_file() {
        debian("go", "golang-go")?;
    }
    let script = workspace::root().join("xtask/scripts/tools.sh");
    run(program("bash", &[]).arg(script).arg("h2spec").env("PEERS", peers()))?;
    if binary.is_file() {
        Ok(binary)
    } else {
        Err("h2spec could not be built from its Go module (see above)".to_owned())
    }
}

fn installed(name: &str, version: &str) -> Result<PathBuf, String> {
    let stamp = peers().join("bin").join(format!(".{name}.version"));
    let binary = peers().join("bin").join(name);
    if binary.is_file() && std::fs::read_to_string(&stamp).is_ok_and(|text| text == version) {
        return Ok(binary);
    }
    println!("installing {name} {version}");
    run(cargo(&["install", "--locked", name, "--version", version, "--root"])
        .arg(peers())
        .env("CARGO_TARGET_DIR", peers().join("build")))?;
    std::fs::write(&stamp, version).map_err(|error| format!("{}: {error}", stamp.display()))?;
    Ok(binary)
}

fn is_root() -> bool {
    workspace::output(&mut program("id", &["-u"])).is_ok_and(|text| text.trim() == "0")
}
