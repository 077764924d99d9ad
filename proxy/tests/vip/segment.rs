//! A segment of its own for a test: namespaces whose links meet on a switch, made and removed by `ip`.

use std::{
    fs::File,
    io::Write as _,
    net::{Ipv4Addr, Ipv6Addr},
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use postern_l2announce::wire::MacAddr;

/// Longer than anything here takes; what should be quick is measured.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// The one link of every host. No name that never announces.
pub(crate) const LINK: &str = "lan0";

/// Measurements of one test must not be those of two.
static TURN: Mutex<()> = Mutex::new(());

/// A switch, and the hosts that were plugged into it.
pub(crate) struct Segment {
    name: String,
    namespaces: Vec<String>,
    _turn: MutexGuard<'static, ()>,
}

/// One host: a namespace with a link to the switch.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    pub(crate) namespace: String,
    pub(crate) mac: MacAddr,
    switch: String,
    pub(crate) number: u8,
}

impl Segment {
    /// `None`, said loudly, where namespaces can't be made; a failure in CI.
    pub(crate) fn new() -> Option<Self> {
        if !can_make_namespaces() {
            return None;
        }
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let name = format!("psv{}-{:x}", std::process::id(), rand::random::<u16>());
        let mut segment = Self { name, namespaces: Vec::new(), _turn: turn };
        let switch = segment.namespace("switch");
        for bridge in ["br0", "br1"] {
            ip(&format!("-n {switch} link add {bridge} type bridge forward_delay 0"));
            ip(&format!("-n {switch} link set {bridge} up"));
        }
        Some(segment)
    }

    fn namespace(&mut self, host: &str) -> String {
        let namespace = format!("{}-{host}", self.name);
        ip(&format!("netns add {namespace}"));
        self.namespaces.push(namespace.clone());
        ip(&format!("-n {namespace} link set lo up"));
        namespace
    }

    /// A host with this number, which is the last of its address's and its station's bytes.
    pub(crate) fn host(&mut self, name: &str, number: u8) -> Host {
        let namespace = self.namespace(name);
        let mac = MacAddr(2, 0, 0, 0, 0, number);
        let host = Host { namespace, mac, switch: format!("{}-switch", self.name), number };
        host.plug_in();
        host
    }

    /// A pod on a node: a namespace behind it, as a CNI plugin that routes makes one.
    pub(crate) fn pod(&mut self, node: &Host) -> Host {
        let (number, subnet) = (node.number, format!("10.244.{}", node.number));
        let namespace = self.namespace(&format!("pod{number}"));
        // A name that never announces.
        node.ip(&format!("link add cali0 type veth peer name {LINK} netns {namespace}"));
        node.ip(&format!("addr add {subnet}.1/24 dev cali0"));
        node.ip("link set cali0 up");
        let pod = Host { namespace, ..node.clone() };
        pod.ip(&format!("addr add {subnet}.2/24 dev {LINK}"));
        pod.ip(&format!("link set {LINK} up"));
        pod.ip(&format!("route add default via {subnet}.1"));
        pod
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        for namespace in self.namespaces.iter().rev() {
            // Whatever is left of a failed test.
            let _ = Command::new("ip").args(["netns", "del", namespace]).output();
        }
    }
}

impl Host {
    /// The link is gone, from the kernel too.
    pub(crate) fn remove_link(&self) {
        ip(&format!("-n {} link del p{}", self.switch, self.number));
    }

    /// Makes the link, with the same station and addresses as before.
    pub(crate) fn plug_in(&self) {
        let Self { namespace, switch, mac, number } = self;
        ip(&format!("-n {switch} link add p{number} type veth peer name {LINK} address {mac} netns {namespace}"));
        self.join("br0");
        self.switch("up");
        self.ip(&format!("addr add {}/24 dev {LINK}", self.address()));
        self.ip(&format!("addr add {}/64 dev {LINK} nodad", self.address6()));
        self.ip(&format!("link set {LINK} up"));
    }

    /// The node's own, which is no virtual one.
    pub(crate) fn address(&self) -> Ipv4Addr {
        Ipv4Addr::new(192, 0, 2, self.number)
    }

    /// The same of IPv6.
    pub(crate) fn address6(&self) -> Ipv6Addr {
        Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, self.number.into())
    }

    fn switch(&self, state: &str) {
        ip(&format!("-n {} link set p{} {state}", self.switch, self.number));
    }

    /// Nothing of it arrives anywhere any more: what a power cut is to everybody else.
    pub(crate) fn cut(&self) {
        self.switch("down");
    }

    pub(crate) fn restore(&self) {
        self.switch("up");
    }

    /// Plugs the cable into another switch.
    pub(crate) fn join(&self, bridge: &str) {
        ip(&format!("-n {} link set p{} master {bridge}", self.switch, self.number));
    }

    pub(crate) fn ip(&self, arguments: &str) -> String {
        ip(&format!("-n {} {arguments}", self.namespace))
    }

    /// A rule of the host's own firewall; `arguments` are nft's.
    pub(crate) fn firewall(&self, arguments: &str) {
        let mut command = self.command("nft");
        run(command.arg(arguments));
    }

    /// A program within the host. The process is the program's own.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace, program]);
        command
    }

    /// Runs something within the host.
    pub(crate) fn inside<T: Send>(&self, run: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let thread = scope.spawn(|| {
                self.enter();
                run()
            });
            thread.join().expect("it runs to its end")
        })
    }

    /// Brings the calling thread into the host, for good.
    pub(crate) fn enter(&self) {
        let file = File::open(format!("/run/netns/{}", self.namespace)).expect("the namespace is there");
        nix::sched::setns(file, nix::sched::CloneFlags::CLONE_NEWNET).expect("it can be entered");
    }
}

/// Asks until the answer is good, or for too long.
pub(crate) fn eventually<T>(what: &str, mut ask: impl FnMut() -> Result<T, String>) -> T {
    let start = Instant::now();
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(reason) => assert!(start.elapsed() < PATIENCE, "{what}: {reason}"),
        }
        // What other processes and the kernel do makes no event here.
        thread::park_timeout(Duration::from_millis(20));
    }
}

/// Lets `time` pass while probes measure.
pub(crate) fn pass(time: Duration) {
    let end = Instant::now() + time;
    while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        thread::park_timeout(left);
    }
}

fn can_make_namespaces() -> bool {
    let has = |program: &str, arguments: &[&str]| {
        Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
    };
    let can = nix::unistd::geteuid().is_root() && has("ip", &["netns", "list"]) && has("nft", &["list", "tables"]);
    let is_ci = std::env::var("CI").is_ok_and(|value| !value.is_empty() && value != "0" && value != "false");
    assert!(can || !is_ci, "network namespaces need root and the programs `ip` and `nft`");
    if !can {
        let said = "SKIPPED: NOTHING IS CHECKED ON A REAL SEGMENT: it needs root and the programs `ip` and `nft`";
        writeln!(std::io::stderr(), "{said}").expect("a line can be written");
    }
    can
}

fn ip(arguments: &str) -> String {
    run(Command::new("ip").args(arguments.split_whitespace()))
}

fn run(command: &mut Command) -> String {
    let output = command.output().expect("the program starts");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
