//! The real binary beside a real API server, and a backend.

use std::{
    fs::File,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

/// Where status says that nodes are reached.
pub(crate) const ADDRESS: &str = "192.0.2.7";
/// For anything that is to come about.
const DEADLINE: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// `postern serve --kubernetes`; killed when dropped.
pub(crate) struct Node {
    child: Child,
    log: PathBuf,
    _directory: tempfile::TempDir,
}

impl Node {
    /// As whom `kubeconfig` describes, with what it knows in `cache`, of `namespaces` or, if there are none, all.
    pub(crate) fn start(kubeconfig: &Path, cache: &Path, namespaces: &str) -> Self {
        Self::start_with(kubeconfig, cache, &[("POSTERN_KUBERNETES_NAMESPACES", namespaces)])
    }

    /// The same with these variables; empty is unset.
    pub(crate) fn start_with(kubeconfig: &Path, cache: &Path, variables: &[(&str, &str)]) -> Self {
        Self::start_through(&[], kubeconfig, cache, variables)
    }

    /// The same, run by `through`: a program that takes something from it or puts it somewhere.
    pub(crate) fn start_through(through: &[&str], kubeconfig: &Path, cache: &Path, variables: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let log = directory.path().join("log");
        let mut words = through.iter().copied().chain([env!("CARGO_BIN_EXE_postern")]);
        let mut command = Command::new(words.next().expect("there is at least the binary"));
        command.args(words).args(["serve", "--kubernetes", "--admin", "127.0.0.1:0", "--workers", "1"]);
        command.env_clear().env("KUBECONFIG", kubeconfig);
        command.env("POSTERN_BIND", "127.0.0.1").env("POSTERN_MAP_PORT", "80=0,443=0");
        command.env("POSTERN_KUBERNETES_CACHE", cache).env("POSTERN_KUBERNETES_ADDRESSES", ADDRESS);
        command.env("HOME", directory.path());
        // Nothing of the machine's own network is touched: announcing has tests of its own, in namespaces.
        command.env("POSTERN_ROLES", "serve,control");
        for (name, value) in variables {
            match value.is_empty() {
                true => command.env_remove(name),
                false => command.env(name, value),
            };
        }
        let child = command.stdout(Stdio::null()).stderr(File::create(&log).expect("a file")).spawn();
        Self { child: child.expect("the binary runs"), log, _directory: directory }
    }

    /// Stops it where it is.
    pub(crate) fn pause(&self) {
        self.signal(rustix::process::Signal::STOP);
    }

    /// Lets it go on.
    pub(crate) fn resume(&self) {
        self.signal(rustix::process::Signal::CONT);
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).expect("it runs");
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until `is` holds; says what was waited for, and the log, when that does not come about.
    pub(crate) fn until<T>(&self, what: &str, is: impl FnMut(&Self) -> Option<T>) -> T {
        self.until_within(DEADLINE, what, is)
    }

    /// The same, for what takes longer.
    pub(crate) fn until_within<T>(&self, deadline: Duration, what: &str, mut is: impl FnMut(&Self) -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            if let Some(done) = is(self) {
                return done;
            }
            assert!(start.elapsed() < deadline, "{what}: not within {deadline:?}; the log:\n{}", self.log());
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// Waits until requests to `host` are answered with `status`.
    pub(crate) fn until_status(&self, host: &str, status: u16) {
        self.until(&format!("{status} for {host}"), |node| (node.status(host) == Some(status)).then_some(()));
    }

    /// The status with which the first request to `host` is answered that anybody takes.
    pub(crate) fn first_status(&self, host: &str) -> u16 {
        self.until("a listener", |node| node.status(host))
    }

    /// The admin server's answer, once it is up.
    pub(crate) fn admin(&self, path: &str) -> String {
        let address = self.until("the admin server", |node| {
            let log = node.log();
            let (_, rest) = log.split_once(" admin=")?;
            rest.split_whitespace().next()?.parse().ok()
        });
        self.until("an answer", |_| ask(address, "localhost", path))
    }

    /// The same as JSON.
    pub(crate) fn json(&self, path: &str) -> Value {
        let answer = self.admin(path);
        let (_, body) = answer.split_once("\r\n\r\n").expect("an answer");
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"))
    }

    /// The status with which requests to `host` are answered; `None` where nobody listens.
    pub(crate) fn status(&self, host: &str) -> Option<u16> {
        let listeners = self.json("/api/v1/listeners");
        let plain = listeners.as_array()?.iter().find(|listener| listener["transport"] == "plain")?;
        ask(plain["bound"][0].as_str()?.parse().ok()?, host, "/")?.get(9..12)?.parse().ok()
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn terminate(&mut self) {
        let pid = self.child.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(asked.is_ok_and(|status| status.success()), "it runs");
        let ended = self.child.wait().expect("a child of ours");
        assert!(ended.success(), "{ended}: {}", self.log());
    }

    /// The memory that is its own, in KiB.
    pub(crate) fn memory(&self) -> i64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("Linux says so");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ended = self.child.kill().and_then(|()| self.child.wait());
    }
}

fn ask(address: SocketAddr, host: &str, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&address, DEADLINE).ok()?;
    stream.set_read_timeout(Some(DEADLINE)).ok()?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer).filter(|answer| !answer.is_empty())
}

/// A backend that answers everything with 200, for as long as the test's process lives.
pub(crate) fn backend() -> SocketAddr {
    let listener = TcpListener::bind((own_address(), 0)).expect("a port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut piece = [0; 4096];
                while stream.read(&mut piece).is_ok_and(|read| read > 0) {
                    let answered = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
                    if answered.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

/// On a machine without a network the loopback interface gets this one (of those for documentation).
const SPARE: &str = "198.51.100.77";

/// An address of this machine that an EndpointSlice may have, which excludes loopback's own. Nothing is sent.
pub(crate) fn own_address() -> Ipv4Addr {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a socket");
    if socket.connect((Ipv4Addr::new(203, 0, 113, 1), 9)).is_err() {
        let added = Command::new("ip").args(["address", "replace", &format!("{SPARE}/32"), "dev", "lo"]).status();
        assert!(added.is_ok_and(|status| status.success()), "no address but loopback's, and none can be added");
        return SPARE.parse().expect("an address");
    }
    match socket.local_addr().expect("bound").ip() {
        std::net::IpAddr::V4(address) => address,
        std::net::IpAddr::V6(address) => panic!("{address} for an IPv4 socket"),
    }
}
