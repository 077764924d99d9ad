//! Developer commands: `cargo xtask test | bench | dist | fuzz`. Each prints what it does, and says so when it cannot.
//!
//! Deliberately without dependencies, so that the first `cargo xtask` on a fresh machine starts within seconds.

mod bench;
mod child;
mod dist;
mod fuzz;
mod step;
mod test;
mod tools;
mod workspace;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask test [STEP...]       every check that CI runs, fast ones first; STEP names pick some
       cargo xtask bench [--untrained] [QUESTION...]
                                        compare with the peers; flags such as --rounds N are passed on
       cargo xtask dist                 build the binary that is shipped, and print its path
       cargo xtask fuzz SECONDS [TARGET...]
                                        fuzz each target that long
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((command, rest)) = arguments.split_first() else { return usage() };
    let result = match command.as_str() {
        "test" => test::run(rest),
        "bench" => bench::run(rest),
        "dist" => dist::run(),
        "fuzz" => fuzz::run(rest),
        _ => return usage(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("xtask: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    eprint!("{USAGE}");
    ExitCode::from(2)
}
