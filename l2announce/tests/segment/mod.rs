//! A segment of its own for a test: network namespaces on a bridge, with a real kernel in each, made and removed by `ip`.

#![allow(dead_code, reason = "each test uses a part of it")]

use std::{
    fs::File,
    io::Write as _,
    net::{IpAddr, SocketAddr, UdpSocket},
    process::Command,
    sync::{
        atomic::{AtomicU32, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use postern_l2announce::{
    socket::{PacketSocket, Protocol},
    station::{self, Event, Settings, Station},
    wire::{Frame, MacAddr},
};
use tokio::runtime::Builder;

/// Long enough for a machine that is busy with other things; what should be quick is measured.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// The one link of every host.
pub(crate) const LINK: &str = "lan0";

static SEGMENTS: AtomicU32 = AtomicU32::new(0);

/// A bridge, and the hosts that were plugged into it.
pub(crate) struct Segment {
    name: String,
    hosts: Vec<String>,
}

/// One host: a namespace with a link to the bridge.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    pub(crate) namespace: String,
    pub(crate) mac: MacAddr,
    switch: String,
    number: u8,
}

/// `None`, said loudly, where namespaces can't be made; a failure in CI.
pub(crate) fn segment() -> Option<Segment> {
    if Command::new("ip").args(["netns", "list"]).output().is_ok() && nix::unistd::geteuid().is_root() {
        return Some(Segment::new());
    }
    let is_ci = std::env::var("CI").is_ok_and(|value| !value.is_empty() && value != "0" && value != "false");
    assert!(!is_ci, "network namespaces need root and the program `ip`");
    let mut terminal = std::io::stderr();
    writeln!(terminal, "SKIPPED: NOTHING IS CHECKED ON A REAL SEGMENT: it needs root and the program `ip`")
        .expect("a line can be written");
    None
}

impl Segment {
    fn new() -> Self {
        let number = SEGMENTS.fetch_add(1, Ordering::Relaxed);
        let name = format!("pst{}-{number}", std::process::id());
        let mut segment = Self { name: name.clone(), hosts: Vec::new() };
        segment.add_namespace("switch");
        ip(&format!("-n {name}-switch link add br0 type bridge"));
        ip(&format!("-n {name}-switch link set br0 up"));
        segment
    }

    fn add_namespace(&mut self, host: &str) -> String {
        let namespace = format!("{}-{host}", self.name);
        ip(&format!("netns add {namespace}"));
        self.hosts.push(namespace.clone());
        ip(&format!("-n {namespace} link set lo up"));
        // A link that comes up can speak at once.
        sysctl(&namespace, "net.ipv6.conf.default.accept_dad=0");
        namespace
    }

    /// A host with this number, which is the last of its addresses' and its station's bytes.
    pub(crate) fn host(&mut self, name: &str, number: u8) -> Host {
        let namespace = self.add_namespace(name);
        let mac = MacAddr(2, 0, 0, 0, 0, number);
        let host = Host { namespace, mac, switch: format!("{}-switch", self.name), number };
        host.plug_in();
        host
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        for namespace in self.hosts.iter().rev() {
            // Whatever is left of a failed test.
            let _ = Command::new("ip").args(["netns", "del", namespace]).output();
        }
    }
}

impl Host {
    /// Makes the link, with its addresses; it comes up.
    pub(crate) fn plug_in(&self) {
        let Self { namespace, switch, mac, number } = self;
        ip(&format!("-n {switch} link add p{number} type veth peer name {LINK} address {mac} netns {namespace}"));
        ip(&format!("-n {switch} link set p{number} master br0 up"));
        self.ip(&format!("addr add 192.0.2.{number}/24 dev {LINK}"));
        self.ip(&format!("link set {LINK} up"));
        self.ip(&format!("addr add 2001:db8::{number:x}/64 dev {LINK} nodad"));
    }

    /// Takes the cable out at the other end: as a power cut looks to everybody else, but for the carrier that is lost.
    pub(crate) fn cut(&self) {
        ip(&format!("-n {} link set p{} down", self.switch, self.number));
    }

    /// Takes the port out of the switch: nothing goes in or out any more, though the carrier stays.
    pub(crate) fn isolate(&self) {
        ip(&format!("-n {} link set p{} nomaster", self.switch, self.number));
    }

    /// Puts it back.
    pub(crate) fn rejoin(&self) {
        ip(&format!("-n {} link set p{} master br0", self.switch, self.number));
    }

    /// Takes the link away.
    pub(crate) fn unplug(&self) {
        self.ip(&format!("link del {LINK}"));
    }

    pub(crate) fn ip(&self, arguments: &str) -> String {
        ip(&format!("-n {} {arguments}", self.namespace))
    }

    pub(crate) fn sysctl(&self, setting: &str) {
        sysctl(&self.namespace, setting);
    }

    /// Sends a datagram, so that the kernel must find the station of `to`.
    pub(crate) fn send(&self, from: &str, to: IpAddr) {
        let from: IpAddr = from.parse().expect("it is an address");
        self.inside(move || {
            let socket = UdpSocket::bind(SocketAddr::new(from, 0)).expect("it is an address of the host");
            // Refused where an earlier one found nobody.
            let _ = socket.send_to(b"?", SocketAddr::new(to, 9));
        });
    }

    /// What the kernel knows of the station of `address`.
    pub(crate) fn neighbour(&self, address: IpAddr) -> String {
        self.ip(&format!("neigh show {address} dev {LINK}")).trim().to_owned()
    }

    /// Runs something within the host.
    pub(crate) fn inside<T: Send>(&self, run: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let thread = scope.spawn(|| {
                enter(&self.namespace);
                run()
            });
            thread.join().expect("it runs to its end")
        })
    }

    /// Does something with a packet socket of this host.
    pub(crate) fn with_socket(&self, run: impl FnOnce(&PacketSocket) + Send) {
        self.inside(|| {
            runtime().block_on(async {
                run(&PacketSocket::open(link_index(), &LINK.into(), Protocol::Arp).expect("a socket opens"));
            });
        });
    }

    /// Everything that is heard here from now on, with the time of each frame.
    pub(crate) fn listen(&self) -> Receiver<(Instant, Frame)> {
        let (heard, frames) = channel();
        let (ready, is_ready) = channel();
        let namespace = self.namespace.clone();
        thread::spawn(move || {
            enter(&namespace);
            runtime().block_on(async move {
                let index = link_index();
                let sockets = [Protocol::Arp, Protocol::Ndp]
                    .map(|kind| PacketSocket::open(index, &LINK.into(), kind).expect("a socket opens"));
                ready.send(()).expect("somebody waits");
                let mut buffer = [0; 2048];
                loop {
                    let receive = std::future::poll_fn(|context| {
                        let first = sockets[0].poll_receive(context, &mut buffer);
                        if first.is_ready() { first } else { sockets[1].poll_receive(context, &mut buffer) }
                    });
                    let Ok(length) = receive.await else { return };
                    let Ok(frame) = Frame::parse(&buffer[..length]) else { continue };
                    if heard.send((Instant::now(), frame)).is_err() {
                        return;
                    }
                }
            });
        });
        is_ready.recv_timeout(PATIENCE).expect("the sockets open");
        frames
    }

    /// Starts a station.
    pub(crate) fn start(&self) -> Node {
        self.start_with(Settings::default(), || ())
    }

    /// Starts a station after something was done to its thread.
    pub(crate) fn start_with(&self, settings: Settings, before: impl FnOnce() + Send + 'static) -> Node {
        let (tell, events) = channel();
        let (opened, station) = channel();
        let (stall, mut stalls) = tokio::sync::mpsc::unbounded_channel::<Stall>();
        let namespace = self.namespace.clone();
        let thread = thread::spawn(move || {
            enter(&namespace);
            before();
            runtime().block_on(async move {
                let (station, mut told, driver) = station::open(settings).await.expect("links can be followed");
                opened.send(station).expect("somebody waits");
                let forward = async {
                    while let Some(event) = told.recv().await {
                        let _ = tell.send(event);
                    }
                };
                let stalling = async {
                    while let Some((began, over)) = stalls.recv().await {
                        // As if the process were stopped: nothing else runs on this thread.
                        began.send(()).expect("somebody waits");
                        let _ = over.recv();
                    }
                    std::future::pending::<()>().await;
                };
                tokio::select! {
                    () = driver.run() => {}
                    () = forward => {}
                    () = stalling => {}
                }
            });
        });
        let station = station.recv_timeout(PATIENCE).expect("the station opens");
        Node { station: Some(station), events, stall, thread: Some(thread) }
    }
}

/// Told when it begins; it ends when it is told.
type Stall = (Sender<()>, Receiver<()>);

/// A station that runs in a host.
pub(crate) struct Node {
    station: Option<Station>,
    pub(crate) events: Receiver<Event>,
    stall: tokio::sync::mpsc::UnboundedSender<Stall>,
    thread: Option<JoinHandle<()>>,
}

impl Node {
    pub(crate) fn station(&self) -> &Station {
        self.station.as_ref().expect("it is taken when the node is dropped")
    }

    pub(crate) fn order(&self, command: station::Command) {
        self.station().order(command);
    }

    /// Has the station not run while something is done.
    pub(crate) fn stall(&self, during: impl FnOnce()) {
        let (began, has_begun) = channel();
        let (over, is_over) = channel();
        self.stall.send((began, is_over)).expect("the station runs");
        has_begun.recv_timeout(PATIENCE).expect("the stall begins");
        during();
        over.send(()).expect("the stall lasts until it is told");
    }

    /// The next event that is asked for; others are passed over.
    pub(crate) fn wait<T>(&self, what: &str, mut wanted: impl FnMut(Event) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let event = self.events.recv_timeout(left).unwrap_or_else(|_| panic!("{what} did not happen"));
            if let Some(found) = wanted(event) {
                return found;
            }
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.station = None;
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || thread::panicking(), "the station's thread panicked");
        }
    }
}

/// Asks until the answer is good, or for too long.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> Result<(), String>) -> Duration {
    let start = Instant::now();
    loop {
        match is_so() {
            Ok(()) => return start.elapsed(),
            Err(reason) => assert!(start.elapsed() < PATIENCE, "{what}: {reason}"),
        }
        // The kernel has no event for all that is asked here.
        thread::park_timeout(Duration::from_millis(2));
    }
}

fn runtime() -> tokio::runtime::Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime starts")
}

fn enter(namespace: &str) {
    let file = File::open(format!("/run/netns/{namespace}")).expect("the namespace is there");
    nix::sched::setns(file, nix::sched::CloneFlags::CLONE_NEWNET).expect("it can be entered");
}

fn link_index() -> u32 {
    nix::net::if_::if_nametoindex(LINK).expect("the link is there")
}

fn sysctl(namespace: &str, setting: &str) {
    run(Command::new("ip").args(["netns", "exec", namespace, "sysctl", "-qw", setting]));
}

fn ip(arguments: &str) -> String {
    run(Command::new("ip").args(arguments.split_whitespace()))
}

fn run(command: &mut Command) -> String {
    let output = command.output().expect("the program starts");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
