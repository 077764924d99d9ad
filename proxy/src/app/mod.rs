//! Connects the parts; the only place where they all meet. `main` calls one function here per command.
//!
//! ```text
//! provider, compiler (threads of their own) ─published─> pipeline: plan ─swap─> workers
//!                                                            └─> report ─> admin, metrics
//! ```

mod ask;
pub mod check;
mod cleanup;
mod crds;
mod demo;
mod doctor;
mod explain;
mod offload;
mod pipeline;
mod probe;
mod running;
mod serve;
mod signal;
mod succession;
mod takeover;
mod vip;

use std::{fmt::Display, io::Write as _, process::ExitCode};

pub use running::{App, Bound, StartError};

use crate::args::{Arguments, Command, TakeoverCommand};

/// What `main` returns.
pub const GOOD: u8 = 0;
/// The input was refused.
pub const REFUSED: u8 = 1;
/// The command was used wrongly.
pub const USAGE: u8 = 2;

/// Runs a command to its end.
pub fn run(arguments: Arguments) -> ExitCode {
    // One provider for the whole process, before anything makes a TLS configuration. A second call is no harm.
    let _already = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let code = match arguments.command {
        Command::Demo(demo) => demo::run(&demo),
        Command::Serve(serve) => serve::run(&serve),
        Command::Check(check) => check::run(&check),
        Command::Explain(explain) => explain::run(&explain),
        Command::Takeover(takeover) => match takeover.command {
            TakeoverCommand::Plan(plan) => takeover::run(&plan),
        },
        Command::Doctor(doctor) => doctor::run(&doctor),
        Command::Cleanup(cleanup) => cleanup::run(&cleanup),
        Command::Crds(crds) => crds::run(&crds.command),
        Command::Vip(vip) => vip::run(&vip),
        Command::Probe(probe) => probe::run(&probe),
    };
    ExitCode::from(code)
}

/// Prints an answer. A reader that has gone (`| head`) is no error of ours.
fn print(text: impl Display) {
    let mut out = std::io::stdout().lock();
    let _reader_gone = write!(out, "{text}").and_then(|()| out.flush());
}

/// Prints what is wrong, one line each, and returns `code`.
fn complain<E: Display>(errors: impl IntoIterator<Item = E>, code: u8) -> u8 {
    let mut out = std::io::stderr().lock();
    for error in errors {
        let _reader_gone = writeln!(out, "postern: {error}");
    }
    code
}

/// Resolved settings, or the exit code after the mistakes have been printed.
fn settings(said: &crate::settings::Said) -> Result<crate::settings::Settings, u8> {
    crate::settings::resolve(crate::settings::Settings::default(), said).map_err(|mistakes| {
        let code = if mistakes.iter().any(crate::settings::Mistake::is_usage) { USAGE } else { REFUSED };
        complain(mistakes, code)
    })
}
