//! Namespaces whose links meet on a switch, made and removed by `ip`.

use std::{process::Command, thread, time::Duration};

use crate::result::{Context, Error, Result};

/// Nodes of a segment; the client comes beside.
pub(super) const NODES: u8 = 3;
/// The last byte of the client's address and station.
const CLIENT: u8 = 200;

/// A switch with the nodes and the client.
pub(super) struct Segment {
    name: String,
}

impl Segment {
    /// For `contender`; the name is unique on this machine.
    pub(super) fn new(contender: &str) -> Result<Self> {
        let segment = Self { name: format!("psb{}-{contender}", std::process::id()) };
        let switch = segment.namespace("switch");
        ip(&format!("netns add {switch}"))?;
        ip(&format!("-n {switch} link add br0 type bridge forward_delay 0"))?;
        ip(&format!("-n {switch} link set br0 up"))?;
        for number in (1..=NODES).chain([CLIENT]) {
            segment.plug_in(&switch, number)?;
        }
        Ok(segment)
    }

    fn plug_in(&self, switch: &str, number: u8) -> Result<()> {
        let host = self.namespace(&number.to_string());
        ip(&format!("netns add {host}"))?;
        ip(&format!("-n {host} link set lo up"))?;
        ip(&format!(
            "-n {switch} link add p{number} type veth peer name lan0 address {} netns {host}",
            station(number)
        ))?;
        ip(&format!("-n {switch} link set p{number} master br0"))?;
        ip(&format!("-n {switch} link set p{number} up"))?;
        ip(&format!("-n {host} addr add 192.0.2.{number}/24 dev lan0"))?;
        ip(&format!("-n {host} link set lan0 up"))
    }

    fn namespace(&self, host: &str) -> String {
        format!("{}-{host}", self.name)
    }

    /// A program within a node.
    pub(super) fn command(&self, node: u8, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace(&node.to_string())]).arg(program);
        command
    }

    /// A program within the client.
    pub(super) fn client(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        self.command(CLIENT, program)
    }

    /// Cuts a node's cable, or mends it.
    pub(super) fn cable(&self, node: u8, state: &str) -> Result<()> {
        ip(&format!("-n {} link set p{node} {state}", self.namespace("switch")))
    }

    /// The node that the client last knew `address` at.
    pub(super) fn known(&self, address: &str) -> Option<u8> {
        let output = self.client("ip").args(["neigh", "show", address, "dev", "lan0"]).output().ok()?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        (1..=NODES).find(|node| said.contains(&station(*node)))
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        for host in (1..=NODES).chain([CLIENT]).map(|number| number.to_string()).chain(["switch".to_owned()]) {
            // Whatever is left of a run that failed.
            let _ = Command::new("ip").args(["netns", "del", &self.namespace(&host)]).output();
        }
    }
}

fn station(number: u8) -> String {
    format!("02:00:00:00:00:{number:02x}")
}

fn ip(arguments: &str) -> Result<()> {
    let output = Command::new("ip").args(arguments.split_whitespace()).output().context("running ip")?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::Unexpected(format!("ip {arguments}: {}", String::from_utf8_lossy(&output.stderr).trim())))
}

/// Asks `is_so` until it is, for a minute or so.
pub(super) fn wait<T>(what: &str, mut is_so: impl FnMut() -> Option<T>) -> Result<T> {
    for _ in 0..120 {
        if let Some(answer) = is_so() {
            return Ok(answer);
        }
        thread::sleep(Duration::from_millis(100));
    }
    Err(Error::Unexpected(format!("not within a minute: {what}")))
}
