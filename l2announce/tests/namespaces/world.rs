//! Network namespaces as a world: a switch, and whoever is plugged into it.

use std::{
    fs::File,
    io::Write as _,
    net::{IpAddr, UdpSocket},
    process::{Command, Output},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// How long something may take that happens on its own.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// One network namespace; it goes with the value.
pub(crate) struct Namespace {
    name: String,
}

impl Namespace {
    /// Named for what it stands for, and unique on this machine.
    pub(crate) fn new(what: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let namespace = Self { name: format!("postern-{}-{number}-{what}", std::process::id()) };
        run(&["ip", "netns", "add", &namespace.name]);
        namespace.run(&["ip", "link", "set", "lo", "up"]);
        namespace
    }

    /// As `ip netns` knows it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Runs a command in it, which must succeed, and returns what it printed.
    pub(crate) fn run(&self, command: &[&str]) -> String {
        let inside: Vec<&str> =
            ["ip", "netns", "exec", &self.name].into_iter().chain(command.iter().copied()).collect();
        run(&inside)
    }

    /// The same for words that hold no blanks.
    pub(crate) fn sh(&self, command: &str) -> String {
        self.run(&command.split_ascii_whitespace().collect::<Vec<_>>())
    }

    /// Loads rules with the `nft` program.
    pub(crate) fn nft(&self, rules: &str) {
        self.run(&["nft", rules]);
    }

    /// A command to be started in it.
    pub(crate) fn command(&self, program: &std::path::Path) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// Does something in it, on a thread of its own: a namespace is a thread's. Sockets that are opened stay in it.
    pub(crate) fn inside<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let path = format!("/run/netns/{}", self.name);
        let moved = thread::spawn(move || {
            let namespace = File::open(&path).expect("the namespace is there");
            move_into_link_name_space(std::os::fd::AsFd::as_fd(&namespace), Some(LinkNameSpaceType::Network))
                .expect("root may enter it");
            work()
        });
        moved.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// What a neighbour's MAC address is thought to be, once the kernel has made its mind up; nothing where nobody
    /// answered.
    pub(crate) fn neighbour(&self, address: &str) -> Option<String> {
        eventually("the kernel has asked for its neighbour", || {
            let line = self.sh(&format!("ip neigh show {address}"));
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            let at = words.iter().position(|word| *word == "lladdr");
            match at.and_then(|at| words.get(at + 1)) {
                Some(mac) => Some(Some((*mac).to_owned())),
                None => words.contains(&"FAILED").then_some(None),
            }
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let removed = Command::new("ip").args(["netns", "del", &self.name]).status();
        if !removed.is_ok_and(|status| status.success()) {
            eprintln!("namespace {} could not be removed", self.name);
        }
    }
}

fn run(command: &[&str]) -> String {
    let (program, arguments) = command.split_first().expect("a command has a program");
    let Output { status, stdout, stderr } =
        Command::new(program).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(status.success(), "{command:?}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).expect("tools print text")
}

/// Asks until there is an answer.
pub(crate) fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        thread::yield_now();
    }
}

/// A switch with hosts. Host number n has `eth0` with 10.77.0.n/24 and fd77::n/64.
pub(crate) struct Segment {
    switch: Namespace,
    hosts: u8,
}

impl Segment {
    /// `None`, said loudly, where namespaces cannot be made; a failure in CI.
    pub(crate) fn new() -> Option<Self> {
        let works = |command: &[&str]| Command::new(command[0]).args(&command[1..]).output().is_ok();
        if nix::unistd::geteuid().is_root() && works(&["ip", "netns", "list"]) && works(&["nft", "--version"]) {
            return Some(Self::made());
        }
        let is_ci = std::env::var("CI").is_ok_and(|value| !value.is_empty() && value != "0" && value != "false");
        assert!(!is_ci, "network namespaces need root and the programs `ip` and `nft`");
        let said = "SKIPPED: NO KERNEL STATE IS CHECKED: it needs root and the programs `ip` and `nft`";
        writeln!(std::io::stderr(), "{said}").expect("a line can be written");
        None
    }

    fn made() -> Self {
        let switch = Namespace::new("switch");
        switch.sh("ip link add br0 type bridge forward_delay 0 mcast_snooping 0");
        switch.sh("ip link set br0 up");
        Self { switch, hosts: 0 }
    }

    /// Plugs one more host in.
    pub(crate) fn host(&mut self, what: &str) -> Arc<Namespace> {
        self.hosts += 1;
        let (number, host) = (self.hosts, Namespace::new(what));
        self.switch.sh(&format!("ip link add port{number} type veth peer name eth0 netns {}", host.name));
        self.switch.sh(&format!("ip link set port{number} master br0 up"));
        // Neighbours that do not answer are given up after 3 × 50 ms instead of 3 s.
        host.sh("sysctl -qw net.ipv4.neigh.eth0.retrans_time_ms=50 net.ipv6.neigh.eth0.retrans_time_ms=50");
        host.sh(&format!("ip address add 10.77.0.{number}/24 dev eth0"));
        host.sh("sysctl -qw net.ipv6.conf.eth0.accept_dad=0");
        host.sh(&format!("ip address add fd77::{number}/64 dev eth0 nodad"));
        host.sh("ip link set eth0 up");
        Arc::new(host)
    }
}

/// Makes the kernel ask for a neighbour by sending it a datagram.
pub(crate) fn knock(host: &Namespace, address: IpAddr) {
    host.inside(move || {
        let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any).expect("a socket");
        let _nobody_need_be_there = socket.send_to(b"knock", (address, 9));
    });
}
