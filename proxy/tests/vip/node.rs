//! The built binary as a node of a segment, with a backend and a responder of datagrams beside it.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Stdio},
    thread,
    time::Duration,
};

use postern_proxy::{demo::echo, view::vip::VipsView};
use rustix::process::{Pid, Signal, kill_process};

use crate::segment::{Host, PATIENCE, eventually};

/// Where backends listen: each in a namespace of its own.
const BACKEND: u16 = 8000;
/// Where datagrams are answered (RFC 862).
pub(crate) const ECHO: u16 = 7;
const ADMIN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9000);
/// How long a node that is told to stop waits for its connections.
pub(crate) const DRAIN: Duration = Duration::from_secs(3);
/// Shared by the nodes of a test, and by nobody else: it guards nothing.
const KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// A host that runs the binary.
pub(crate) struct Node {
    pub(crate) host: Host,
    pub(crate) name: String,
    process: Option<Child>,
    folder: PathBuf,
    /// How the program is run: through others that take something from it.
    pub(crate) through: Vec<String>,
    pub(crate) settings: Vec<(String, String)>,
}

impl Node {
    /// A host with its backend; nothing else runs. The manifests lie in `folder`.
    pub(crate) fn prepare(host: Host, folder: &Path) -> Self {
        let name = format!("n{}", host.number);
        run_backend(&host);
        run_responder(&host);
        Self { host, name, process: None, folder: folder.to_owned(), through: Vec::new(), settings: Vec::new() }
    }

    pub(crate) fn start(&mut self) {
        self.process = Some(self.spawn());
    }

    /// One more process of the node.
    pub(crate) fn spawn(&self) -> Child {
        let mut words = self.through.iter().map(String::as_str).chain([env!("CARGO_BIN_EXE_postern")]);
        let mut command = self.host.command(words.next().expect("there is at least the binary"));
        command.args(words).args(["serve", "--workers", "1", "--manifests"]).arg(self.folder.join("manifests"));
        command.env_clear().env("PATH", std::env::var("PATH").unwrap_or_default());
        command.env("POSTERN_CLUSTER_KEY", KEY).env("POSTERN_NODE", &self.name).env("NO_COLOR", "1");
        command
            .env("POSTERN_VIPS_DIRECTORY", self.directory())
            .env("POSTERN_DRAIN_DEADLINE", format!("{}s", DRAIN.as_secs()));
        command.envs(self.settings.iter().map(|(name, value)| (name, value)));
        let log = fs::File::options().create(true).append(true).open(self.log()).expect("a log can be written");
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("it can")).stderr(log);
        command.spawn().expect("the binary starts")
    }

    pub(crate) fn directory(&self) -> PathBuf {
        self.folder.join(format!("{}-run", self.name))
    }

    fn log(&self) -> PathBuf {
        self.folder.join(format!("{}.log", self.name))
    }

    /// What its processes have said.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let process = self.process.as_ref().expect("it runs");
        kill_process(Pid::from_child(process), signal).expect("it is ours");
    }

    /// Waits until the process has ended.
    pub(crate) fn ended(&mut self) {
        let mut process = self.process.take().expect("it ran");
        process.wait().expect("it can be waited for");
    }

    /// Has another process be the node's; the old one.
    pub(crate) fn replace(&mut self, process: Child) -> Child {
        self.process.replace(process).expect("it runs")
    }

    pub(crate) fn has_process(&self) -> bool {
        self.process.is_some()
    }

    /// A page of the admin server.
    pub(crate) fn get(&self, path: &str) -> Result<String, String> {
        let response = self.host.inside(|| ask(path)).map_err(|error| error.to_string())?;
        let (head, body) = response.split_once("\r\n\r\n").ok_or("no head")?;
        if head.starts_with("HTTP/1.1 200") { Ok(body.to_owned()) } else { Err(response) }
    }

    /// What `/api/v1/vips` says.
    pub(crate) fn vips(&self) -> Result<VipsView, String> {
        serde_json::from_str(&self.get("/api/v1/vips")?).map_err(|error| error.to_string())
    }

    /// The owners that this node knows, in the order of the addresses; an error if there is an address without one.
    pub(crate) fn owners(&self) -> Result<Vec<String>, String> {
        let view = self.vips()?;
        if view.vips.is_empty() {
            return Err("no addresses yet".to_owned());
        }
        let all: Option<Vec<_>> = view.vips.iter().map(|vip| vip.owner.clone()).collect();
        all.ok_or_else(|| format!("{}: {view:?}", self.name))
    }

    /// The sum of a family's samples.
    pub(crate) fn count(&self, family: &str) -> u64 {
        let page = eventually("metrics", || self.get("/metrics"));
        let samples = page.lines().filter(|line| line.starts_with(family));
        samples.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
    }

    /// What `postern vip` prints.
    pub(crate) fn command(&self, arguments: &[&str]) -> String {
        let output = self.host.command(env!("CARGO_BIN_EXE_postern")).args(arguments).output().expect("it starts");
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if thread::panicking() {
            println!("--- {} ---\n{}", self.name, self.said());
        }
        if let Some(mut process) = self.process.take() {
            // It has ended, then.
            let _gone = process.kill();
            let _gone = process.wait();
        }
    }
}

fn ask(path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&ADMIN, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut response = Vec::new();
    stream.read_to_end(&mut response)?;
    Ok(String::from_utf8_lossy(&response).into_owned())
}

fn run_backend(host: &Host) {
    let listener = host.inside(|| std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, BACKEND))).expect("nobody else");
    listener.set_nonblocking(true).expect("it can");
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
        runtime.block_on(async { echo::serve(listener.try_into().expect("it is a listener")).await });
    });
}

/// Answers each datagram with the number of the host in front. It ends with the tests.
fn run_responder(host: &Host) {
    let socket = host.inside(|| UdpSocket::bind((Ipv6Addr::UNSPECIFIED, ECHO))).expect("nobody else");
    let number = host.number;
    thread::spawn(move || {
        let mut buffer = [number; 64];
        loop {
            // Errors are of earlier datagrams, whose receiver has gone.
            if let Ok((length, sender)) = socket.recv_from(buffer.get_mut(1..).expect("it is longer")) {
                let _lost = socket.send_to(buffer.get(..=length).expect("it was received"), sender);
            }
        }
    });
}
