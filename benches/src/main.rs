//! Load tests and comparisons with peers, run by `cargo xtask bench`; one file per question under `question`.
//!
//! A benchmark, never a timed test: it prints medians and spreads of ratios that were measured in one interleaved
//! run, and judges nothing but errors.
#![forbid(unsafe_code)]

mod api_server;
mod backend;
mod contender;
mod floor;
mod load;
mod manifests;
mod measure;
mod question;
mod result;
mod training;
mod watch;

use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

/// The allocator of Postern, so that the floors differ from it in nothing else.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(about = "Load tests and comparisons with peers")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Answers questions; all of them when none is named.
    Compare(question::Options),
    /// Puts a Postern that counts what it executes through the work that the shipped one is optimised for.
    Train {
        /// Its binary.
        #[arg(long)]
        postern: PathBuf,
    },
    /// Runs the fixed-answer backend until it is ended.
    Backend {
        /// Where it listens.
        #[arg(long)]
        bind: SocketAddr,
    },
    /// Runs what no proxy can go below, until it is ended.
    #[command(hide = true)]
    Floor {
        /// Which one.
        floor: floor::Floor,
        /// Where it listens.
        #[arg(long)]
        bind: SocketAddr,
        /// Where the backend is.
        #[arg(long)]
        backend: SocketAddr,
    },
    /// Writes manifests that route every host to a backend, over http and https.
    Manifests {
        /// The folder to write to.
        folder: PathBuf,
        /// Where the backend is.
        #[arg(long)]
        backend: SocketAddr,
        /// How many routes for other hosts are written beside.
        #[arg(long, default_value_t = 0)]
        routes: usize,
    },
    /// Asks an address until its standard input ends, and says for how long nobody answered.
    #[command(hide = true)]
    Watch {
        /// The address.
        #[arg(long)]
        target: SocketAddr,
    },
    /// Sends requests until its standard input ends, and says what came of them.
    Load(load::command::Flags),
    /// Looks routes up in a loop; what `route-lookup` runs under callgrind.
    #[command(hide = true)]
    LookUp {
        /// Routes in the table.
        routes: usize,
        /// Look-ups.
        count: u64,
    },
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Compare(options) => question::answer(&options),
        Command::Train { postern } => training::run(&postern),
        Command::Backend { bind } => backend::run(bind),
        Command::Floor { floor, bind, backend } => floor::run(floor, bind, backend),
        Command::Manifests { folder, backend, routes } => manifests::World::new(backend).routes(routes).write(&folder),
        Command::Watch { target } => watch::run(target),
        Command::Load(flags) => load::command::run(flags),
        Command::LookUp { routes, count } => {
            question::look_up(routes, count);
            Ok(())
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("postern-benches: {error}");
            ExitCode::FAILURE
        }
    }
}
