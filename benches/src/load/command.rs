//! Load for a test that starts and ends it from outside.

use std::{
    io::{Read, Write},
    net::SocketAddr,
};

use super::{Load, Outcome, Protocol, Trust};
use crate::result::{Context, Result};

/// Flags of `load`.
#[derive(clap::Args)]
pub(crate) struct Flags {
    /// Where it goes.
    #[arg(long)]
    target: SocketAddr,
    /// Host header, and server name.
    #[arg(long)]
    host: String,
    /// Path.
    #[arg(long, default_value = "/")]
    path: String,
    /// What is spoken.
    #[arg(long, value_enum, default_value = "h1")]
    protocol: Protocol,
    /// Connections.
    #[arg(long, default_value_t = 8)]
    connections: usize,
    /// Requests a second, over all connections.
    #[arg(long, default_value_t = 200.0)]
    rate: f64,
}

/// Asks once on each connection and says `started`; goes on until standard input ends, and says what came of it, one
/// `name value` a line: `requests` (answered with 200), `errors`, `status-404` and the like among these, `complaint`.
pub(crate) fn run(flags: Flags) -> Result<()> {
    let load = Load {
        path: flags.path,
        protocol: flags.protocol,
        trust: Trust::Anyone,
        connections: flags.connections,
        ..Load::plain(flags.target, &flags.host, flags.rate)
    };
    load.stand(|| ())?;
    let running = load.background();
    say("started\n")?;
    let mut nothing = Vec::new();
    std::io::stdin().read_to_end(&mut nothing).context("waiting for the end of standard input")?;
    say(&told(&running.stop()?))
}

fn told(outcome: &Outcome) -> String {
    let mut text = format!("requests {}\nerrors {}\n", outcome.requests, outcome.errors);
    outcome.statuses.iter().for_each(|(status, count)| text.push_str(&format!("status-{status} {count}\n")));
    outcome.complaints.iter().for_each(|complaint| text.push_str(&format!("complaint {complaint}\n")));
    text
}

fn say(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("writing to standard output")
}
