//! A planned move: connections go on at the node that had the address, everything else arrives at the one that has it.

use std::{
    collections::BTreeSet,
    io::{self, Read, Write},
    net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::{
        Arc,
        mpsc::{Sender, TryRecvError, channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{Process, UNTOUCHED, VIP4, VIP6, state, traffic::bind};
use crate::world::{Namespace, PATIENCE, Segment, eventually};
use postern_l2announce::{
    kernel::{Error, Flow, MAX_OLD_OWNERS, connections},
    wire::MacAddr,
};

const LINK: &str = "eth0";
const LONG: Duration = Duration::from_secs(600);

/// Two nodes that serve both addresses, and a client that is told by whom.
struct World {
    old: Process,
    new: Process,
    client: Arc<Namespace>,
    _segment: Segment,
    _directory: tempfile::TempDir,
}

impl World {
    fn new() -> Option<Self> {
        let mut segment = Segment::new()?;
        let (old, new, client) = (segment.host("old"), segment.host("new"), segment.host("client"));
        let directory = tempfile::tempdir().expect("a folder");
        let [old, new] = [(old, "old"), (new, "new")].map(|(node, name)| {
            let mut process = Process::start(&node, &directory.path().join(name));
            process.announce_on(&[LINK]);
            process.serve(&[VIP4, VIP6]);
            process
        });
        let world = Self { old, new, client, _segment: segment, _directory: directory };
        world.announce(&world.old);
        Some(world)
    }

    /// What an announcement comes to: the client's neighbour is this node.
    fn announce(&self, owner: &Process) {
        for vip in [VIP4, VIP6] {
            self.client.sh(&format!("ip neigh replace {vip} lladdr {} dev eth0 nud permanent", mac(owner)));
        }
    }

    fn move_to_new(&self) {
        self.announce(&self.new);
    }

    /// The same port on both nodes, where each says its name and then echoes.
    fn listen(&self, vip: &str) -> SocketAddr {
        let address = echo(&self.old.node, SocketAddr::new(ip(vip), 0), b'o');
        echo(&self.new.node, address, b'n')
    }

    fn connect(&self, address: SocketAddr) -> io::Result<Connection> {
        self.client.inside(move || Connection::new(address))
    }

    fn listed(&self) -> Vec<Flow> {
        self.old.node.inside(|| connections(&[ip(VIP4), ip(VIP6)].into())).expect("the kernel lists them")
    }

    fn hand_back(&mut self, flows: Vec<Flow>, lasts: Duration) -> Result<usize, Error> {
        let old = mac(&self.old);
        self.new.call(move |kernel| kernel.hand_back(&LINK.into(), old, flows, lasts))
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn mac(process: &Process) -> MacAddr {
    process.node.sh("cat /sys/class/net/eth0/address").trim().parse().expect("a MAC address")
}

fn echo(node: &Namespace, address: SocketAddr, name: u8) -> SocketAddr {
    let listener: TcpListener = node.inside(move || bind(address)).expect("it can be bound");
    let bound = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                stream.write_all(&[name])?;
                io::copy(&mut stream.try_clone()?, &mut stream)
            });
        }
    });
    bound
}

struct Connection {
    stream: TcpStream,
    /// The name of the node that accepted it.
    node: char,
}

impl Connection {
    fn new(address: SocketAddr) -> io::Result<Self> {
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut name = [0];
        stream.read_exact(&mut name)?;
        Ok(Self { stream, node: name[0].into() })
    }

    /// Sends `length` bytes and wants them back.
    fn echoes(&mut self, length: usize) -> io::Result<()> {
        let sent: Vec<u8> = (0..length).map(|at| (at % 251).try_into().expect("it fits")).collect();
        let (mut out, bytes) = (self.stream.try_clone()?, sent.clone());
        let writing = thread::spawn(move || out.write_all(&bytes));
        let mut received = vec![0; length];
        self.stream.read_exact(&mut received)?;
        writing.join().expect("it ends")?;
        assert!(received == sent, "the bytes come back as they were");
        Ok(())
    }
}

/// A connection that is in use all the time.
struct Busy {
    stop: Sender<()>,
    echoing: JoinHandle<u64>,
}

impl Busy {
    fn start(mut connection: Connection) -> Self {
        let (stop, stopped) = channel();
        let echoing = thread::spawn(move || {
            let mut echoes = 0;
            while stopped.try_recv() == Err(TryRecvError::Empty) {
                connection.echoes(1_000).expect("it is not reset");
                echoes += 1;
            }
            echoes
        });
        Self { stop, echoing }
    }

    /// How often there was an answer.
    fn stop(self) -> u64 {
        drop(self.stop);
        self.echoing.join().expect("it lived to its end")
    }
}

#[test]
fn a_planned_move_resets_no_connection_that_is_handed_back_and_new_ones_arrive_at_the_new_owner() {
    let Some(mut world) = World::new() else { return };
    for vip in [VIP4, VIP6] {
        world.announce(&world.old);
        let address = world.listen(vip);
        let mut handed: Vec<Connection> = (0..20).map(|_| world.connect(address).expect("it is accepted")).collect();
        handed.iter_mut().for_each(|connection| connection.echoes(10).expect("it lives"));
        let busy = Busy::start(world.connect(address).expect("it is accepted"));
        let flows = world.listed();
        let mut forgotten = world.connect(address).expect("it is accepted");
        assert!(flows.iter().filter(|flow| flow.local() == address).count() >= handed.len());

        let start = Instant::now();
        let count = world.hand_back(flows, LONG).expect("the kernel does it");
        println!("{count} flows of {vip} handed back in {:?}", start.elapsed());
        let resets = resets_sent(&world.new.node);
        world.move_to_new();
        // More than a packet: segments that the card is to split and to sum cross the ingress as one.
        handed.iter_mut().for_each(|connection| connection.echoes(1_000_000).expect("it is not reset"));
        assert!(handed.iter().all(|connection| connection.node == 'o'));
        println!("{} echoes while it moved", busy.stop());
        assert_eq!(resets_sent(&world.new.node), resets, "the new owner resets nothing");
        assert_eq!(world.connect(address).expect("it is accepted").node, 'n');
        let reset = forgotten.echoes(10).expect_err("a connection that is not handed back is reset");
        assert_eq!(reset.kind(), io::ErrorKind::ConnectionReset);

        let dropped = handed.pop().expect("there are twenty");
        let flow = Flow::new(dropped.stream.local_addr().expect("it is bound"), address).expect("of one family");
        let old = mac(&world.old);
        world.new.call(move |kernel| kernel.drop_flows(&LINK.into(), old, [flow, flow])).expect("the kernel does it");
        assert!({ dropped }.echoes(10).is_err(), "its packets stay at the new owner");
        handed.iter_mut().for_each(|connection| connection.echoes(10).expect("the others live on"));
    }
}

#[test]
fn datagrams_arrive_at_the_new_owner_whatever_is_handed_back() {
    let Some(mut world) = World::new() else { return };
    let address = world.listen(VIP4);
    let connection = world.connect(address).expect("it is accepted");
    let from = connection.stream.local_addr().expect("it is bound").port();
    let flows = world.listed();
    world.hand_back(flows, LONG).expect("the kernel does it");
    world.move_to_new();
    let arrived = world.new.node.inside(move || UdpSocket::bind(address)).expect("it can be bound");
    arrived.set_read_timeout(Some(PATIENCE)).expect("it can be set");
    world
        .client
        .inside(move || UdpSocket::bind(("10.77.0.3", from))?.send_to(b"datagram", address))
        .expect("it is sent");
    let mut datagram = [0; 8];
    arrived.recv(&mut datagram).expect("it comes, though its ports are those of a flow");
}

#[test]
fn connections_that_no_list_has_yet_are_not_reset_while_resets_are_held() {
    let Some(mut world) = World::new() else { return };
    for vip in [VIP4, VIP6] {
        world.announce(&world.old);
        let address = world.listen(vip);
        let mut late = world.connect(address).expect("it is accepted");
        let held = BTreeSet::from([ip(VIP4), ip(VIP6)]);
        world.new.call(move |kernel| kernel.hold_resets(&held, LONG)).expect("the kernel does it");
        world.move_to_new();
        let (flows, before) = (world.listed(), resets_sent(&world.new.node));
        late.stream.write_all(b"lost once").expect("it is sent");
        eventually("the new owner has dropped its reset", || {
            let sent = resets_sent(&world.new.node);
            (sent > before).then_some(())
        });
        world.hand_back(flows, LONG).expect("the kernel does it");
        let mut back = [0; 9];
        late.stream.read_exact(&mut back).expect("TCP sends it again");
        assert_eq!(&back, b"lost once");
    }
}

/// `OutRsts`, which counts what the table drops too.
fn resets_sent(node: &Namespace) -> u64 {
    let text = node.sh("cat /proc/net/snmp");
    let mut lines = text.lines().filter(|line| line.starts_with("Tcp:")).map(str::split_ascii_whitespace);
    let [mut names, mut values] = [(); 2].map(|()| lines.next().expect("names and values"));
    let at = names.position(|name| name == "OutRsts").expect("it is counted");
    values.nth(at).and_then(|value| value.parse().ok()).expect("a number")
}

#[test]
fn what_is_handed_back_ends_by_itself_and_is_tidied_away() {
    let Some(mut world) = World::new() else { return };
    let rules = |world: &World| world.new.node.sh("nft list ruleset");
    let flow = |port| Flow::new(SocketAddr::new(ip("10.77.0.3"), port), SocketAddr::new(ip(VIP4), 443));
    let flows: Vec<Flow> = (1..=3).filter_map(flow).collect();
    world.hand_back(flows.clone(), Duration::from_millis(200)).expect("the kernel does it");
    let table = world.new.node.sh("nft list table netdev postern");
    assert!(table.contains(VIP4) && table.contains("fwd to"), "{table}");
    eventually("the flows end", || {
        world.new.settle();
        (!rules(&world).contains("flows4_")).then_some(())
    });
    assert!(!rules(&world).contains("back_"), "{}", rules(&world));

    world.hand_back(flows, LONG).expect("the kernel does it");
    world.new.settle();
    assert!(rules(&world).contains("flows4_"), "what lasts is kept");
    let old = mac(&world.old);
    world.new.call(move |kernel| kernel.clear(&LINK.into(), old)).expect("the kernel does it");
    world.new.call(move |kernel| kernel.clear(&LINK.into(), old)).expect("it is well if there is nothing");
    assert!(!rules(&world).contains("flows4_"));
    let node = world.new.node.clone();
    assert!(world.new.close());
    assert_eq!(state(&node), UNTOUCHED);
}

#[test]
fn nothing_is_handed_back_to_this_node_itself() {
    let Some(mut world) = World::new() else { return };
    let own = mac(&world.new);
    let outcome = world.new.call(move |kernel| kernel.hand_back(&LINK.into(), own, [], LONG));
    assert!(matches!(outcome, Err(Error::Itself(_))));
}

#[test]
fn old_owners_are_bounded_and_a_link_that_goes_takes_its_flows_along() {
    let Some(mut segment) = Segment::new() else { return };
    let node = segment.host("node");
    node.sh("ip link add gone0 type bridge");
    node.sh("ip link set gone0 up");
    let directory = tempfile::tempdir().expect("a folder");
    let mut process = Process::start(&node, directory.path());
    let flow = Flow::new(SocketAddr::new(ip("10.77.0.3"), 1), SocketAddr::new(ip(VIP4), 443)).expect("of one family");
    let mut to = |link: &'static str, number: usize| {
        let owner = MacAddr::new(2, 0, 0, 0, 0, number.try_into().expect("it fits"));
        process.call(move |kernel| kernel.hand_back(&link.into(), owner, [flow], LONG))
    };
    for number in 0..MAX_OLD_OWNERS {
        to("gone0", number).expect("the kernel does it");
    }
    assert!(matches!(to("gone0", MAX_OLD_OWNERS), Err(Error::TooManyOwners(MAX_OLD_OWNERS))));
    to("gone0", 3).expect("one that is known is no more");
    assert!(matches!(to("absent0", 3), Err(Error::NoLink(_))));
    assert!(matches!(to("lo", 3), Err(Error::NoMac(_) | Error::TooManyOwners(_))));
    node.sh("ip link del gone0");
    process.settle();
    assert!(process.close());
    assert_eq!(state(&node), UNTOUCHED);
}

#[test]
fn ten_thousand_flows_are_loaded() {
    let Some(mut world) = World::new() else { return };
    for (vip, client) in [(VIP4, "10.77.0.3"), (VIP6, "fd77::3")] {
        let flow = |port| Flow::new(SocketAddr::new(ip(client), port), SocketAddr::new(ip(vip), 443));
        let flows: Vec<Flow> = (1_u16..=10_000).filter_map(flow).collect();
        let start = Instant::now();
        assert_eq!(world.hand_back(flows, LONG).expect("the kernel does it"), 10_000);
        println!("10,000 flows of {vip} loaded in {:?}", start.elapsed());
        let (start, old) = (Instant::now(), mac(&world.old));
        let ended: Vec<Flow> = (9_991_u16..=11_000).filter_map(flow).collect();
        world.new.call(move |kernel| kernel.drop_flows(&LINK.into(), old, ended)).expect("the kernel does it");
        println!("1,010 of which ten were there dropped in {:?}", start.elapsed());
        let listed = world.new.node.sh("nft list table netdev postern");
        assert_eq!(listed.matches(&format!(" . {vip} . 443")).count(), 9_990);
    }
    let start = Instant::now();
    world.new.settle();
    println!("the kernel state looked through beside them in {:?}", start.elapsed());
}

#[test]
fn connections_that_a_client_has_at_the_addresses_are_listed_and_no_others() {
    let Some(world) = World::new() else { return };
    let any = echo(&world.old.node, "[::]:0".parse().expect("an address"), b'o').port();
    let at = |address: &str| world.connect(SocketAddr::new(ip(address), any)).expect("it is accepted").stream;
    let mine = [at(VIP4), at(VIP6), at(VIP6)];
    let _others = [at("10.77.0.1"), at("fd77::1")];
    let vip = SocketAddr::new(ip(VIP4), any);
    let _of_the_node = world.old.node.inside(move || Connection::new(vip)).expect("it is accepted");
    mine[2].shutdown(Shutdown::Write).expect("it can be half closed");

    let flow = |stream: &TcpStream| Flow::new(stream.local_addr().ok()?, stream.peer_addr().ok()?);
    let wanted: BTreeSet<Flow> = mine[..2].iter().filter_map(flow).collect();
    let listed: BTreeSet<Flow> = world.listed().into_iter().collect();
    assert!(listed.is_superset(&wanted), "{listed:?}");
    assert!(listed.iter().all(|flow| [ip(VIP4), ip(VIP6)].contains(&flow.local().ip())), "{listed:?}");
    assert!(listed.len() <= mine.len(), "{listed:?}");
}
