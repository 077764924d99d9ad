//! Where things are, and how other programs are run.

use std::{
    path::PathBuf,
    process::{Command, ExitStatus},
};

/// The repository.
pub(crate) fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().map_or_else(|| here.clone(), PathBuf::from)
}

/// Where cargo builds: `CARGO_TARGET_DIR` or `target`.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// A binary of ours, as built by the dev profile.
pub(crate) fn debug_binary(name: &str) -> PathBuf {
    target().join("debug").join(name)
}

/// Where peers and tools of the tests are kept; ignored by git. `POSTERN_PEERS` shares them among checkouts.
pub(crate) fn peers() -> PathBuf {
    std::env::var_os("POSTERN_PEERS").map_or_else(|| root().join("target/peers"), PathBuf::from)
}

/// Whether this is a continuous-integration run: what is missing is then a failure.
pub(crate) fn is_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| !value.is_empty() && value != "0" && value != "false")
}

/// The cargo that started us, in the repository.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root()).args(arguments);
    command
}

/// What the compiler says of itself under `field` (`host`, `LLVM version`).
pub(crate) fn rustc(field: &str) -> Result<String, String> {
    let text = output(&mut program(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()), &["-vV"]))?;
    let value = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(": "));
    value.map(str::to_owned).ok_or_else(|| format!("rustc -vV says nothing of `{field}`: {text}"))
}

/// Any other program, in the repository.
pub(crate) fn program(name: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> Command {
    let mut command = Command::new(name);
    command.current_dir(root()).args(arguments);
    command
}

/// One of our scripts, with the folder where it finds and leaves what it builds.
pub(crate) fn script(name: &str) -> Command {
    let mut command = program("bash", &[]);
    command.arg(root().join("xtask/scripts").join(name)).env("PEERS", peers());
    command
}

/// Runs to the end; anything but success is an error that names the command.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let status = command.status().map_err(|error| format!("{}: {error}", shown(command)))?;
    judge(command, status)
}

/// Runs to the end and returns what was printed to standard output.
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{}: {error}", shown(command)))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    match judge(command, output.status) {
        Ok(()) => Ok(text),
        Err(reason) => Err(format!("{reason}\n{text}{}", String::from_utf8_lossy(&output.stderr))),
    }
}

/// Whether a program can be started by this name.
pub(crate) fn has(name: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(name).is_file()))
}

fn judge(command: &Command, status: ExitStatus) -> Result<(), String> {
    if status.success() { Ok(()) } else { Err(format!("{}: {status}", shown(command))) }
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
