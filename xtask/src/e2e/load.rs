//! Requests without a pause while something happens, by `postern-benches load`.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use crate::workspace::{debug_binary, program};

/// What is spoken in each part of a load.
const PROTOCOLS: [&str; 5] = ["h1", "h1-tls", "h2-tls", "new", "new-tls"];

/// A load under way.
pub(crate) struct Load(Vec<(String, Child)>);

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Answered with 200.
    pub(crate) requests: u64,
    /// Everything else.
    pub(crate) errors: u64,
    /// Errors that were an answer with 404.
    pub(crate) not_found: u64,
    /// The first errors, with the protocol they came from.
    pub(crate) complaints: Vec<String>,
}

impl Load {
    /// Kept and new connections, plain and TLS, HTTP/1.1 and HTTP/2 for `host` to ports 80 and 443 of `addresses`; every
    /// connection has been answered when this returns.
    pub(crate) fn start(addresses: &[String], host: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        for address in addresses {
            for protocol in PROTOCOLS {
                parts.push((format!("{protocol} to {address}"), spawn(address, host, protocol)?));
            }
        }
        let mut load = Self(parts);
        for (name, child) in &mut load.0 {
            started(name, child)?;
        }
        Ok(load)
    }

    /// Ends it.
    pub(crate) fn stop(mut self) -> Result<Outcome, String> {
        let mut outcome = Outcome::default();
        for (_, child) in &mut self.0 {
            drop(child.stdin.take());
        }
        for (name, child) in std::mem::take(&mut self.0) {
            let output = child.wait_with_output().map_err(|error| format!("the load {name}: {error}"))?;
            outcome.add(&name, &String::from_utf8_lossy(&output.stdout));
        }
        Ok(outcome)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        for (_, child) in &mut self.0 {
            let _ended = child.kill().and_then(|()| child.wait().map(drop));
        }
    }
}

impl Outcome {
    /// An error unless every request was answered with 200.
    pub(crate) fn faultless(&self) -> Result<(), String> {
        if self.errors == 0 && self.requests > 0 {
            return Ok(());
        }
        Err(format!("{} errors beside {} answers: {}", self.errors, self.requests, self.complaints.join("; ")))
    }

    fn add(&mut self, name: &str, told: &str) {
        for (word, value) in told.lines().filter_map(|line| line.split_once(' ')) {
            let number = value.parse().unwrap_or(0);
            match word {
                "requests" => self.requests += number,
                "errors" => self.errors += number,
                "status-404" => self.not_found += number,
                "complaint" => self.complaints.push(format!("{name}: {value}")),
                _ => {}
            }
        }
    }
}

fn spawn(address: &str, host: &str, protocol: &str) -> Result<Child, String> {
    let port = if protocol.ends_with("tls") { 443 } else { 80 };
    let target = format!("{address}:{port}");
    let rate = if protocol == "new-tls" { "25" } else { "100" };
    let words =
        ["load", "--target", &target, "--host", host, "--protocol", protocol, "--rate", rate, "--connections", "4"];
    let mut command: Command = program(debug_binary("postern-benches"), &words);
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    child.map_err(|error| format!("postern-benches: {error}"))
}

fn started(name: &str, child: &mut Child) -> Result<(), String> {
    let Some(stdout) = child.stdout.as_mut() else { return Err(format!("the load {name} has no output")) };
    // What it says at the end stays in the pipe: nothing is said in between.
    let mut line = String::new();
    BufReader::with_capacity(1, stdout).read_line(&mut line).map_err(|error| format!("the load {name}: {error}"))?;
    if line.trim() == "started" {
        Ok(())
    } else {
        Err(format!("the load {name} did not start: every answer must be 200"))
    }
}
