//! Traffic to a served address arrives at our listener, from wherever it comes.

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Arc,
};

use socket2::{Domain, Socket, Type};

use super::{Process, VIP4, VIP6, purposes};
use crate::world::{Namespace, PATIENCE, Segment};
use postern_l2announce::{
    Port, Purpose, Transport,
    kernel::{Settings, Wanted},
};

/// For IPv6 an address must be on a link, or the socket be told that it need not.
pub(super) fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        socket.set_freebind_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(128)?;
    Ok(socket.into())
}

/// Answers each connection with its own name and the peer's address, for as long as the test runs.
fn listen(node: &Namespace, address: &str, name: &'static str) -> SocketAddr {
    let address: std::net::IpAddr = address.parse().expect("an address");
    let listener = node.inside(move || bind(SocketAddr::new(address, 0)).expect("it can be bound"));
    let bound = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let peer = stream.peer_addr().map(|peer| peer.ip().to_string()).unwrap_or_default();
            let _gone_is_gone = stream.write_all(format!("{name} {peer}").as_bytes());
        }
    });
    bound
}

/// What is answered to a connection from `host`.
fn ask(host: &Namespace, address: SocketAddr) -> std::io::Result<String> {
    host.inside(move || {
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        let mut answer = String::new();
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    })
}

/// A pod of `node`, behind a bridge as CNI plug-ins make it, at 10.88.0.2 and fd88::2.
fn pod(node: &Arc<Namespace>) -> Namespace {
    let pod = Namespace::new("pod");
    let name = pod.name().to_owned();
    for command in [
        "ip link add cni0 type bridge",
        "ip address add 10.88.0.1/24 dev cni0",
        "ip address add fd88::1/64 dev cni0 nodad",
        &format!("ip link add veth1 type veth peer name eth0 netns {name}"),
        "ip link set veth1 master cni0 up",
        "ip link set cni0 up",
    ] {
        node.sh(command);
    }
    for command in [
        "sysctl -qw net.ipv6.conf.eth0.accept_dad=0",
        "ip address add 10.88.0.2/24 dev eth0",
        "ip address add fd88::2/64 dev eth0 nodad",
        "ip link set eth0 up",
        "ip route add default via 10.88.0.1",
        "ip -6 route add default via fd88::1",
    ] {
        pod.sh(command);
    }
    pod
}

#[test]
fn the_nodes_own_processes_and_pods_reach_the_address_whoever_owns_it() {
    let Some(mut segment) = Segment::new() else { return };
    let node = segment.host("node");
    let pod = pod(&node);
    let directory = tempfile::tempdir().expect("a folder");
    let mut process = Process::start(&node, directory.path());
    process.announce_on(&["eth0"]);
    process.serve(&[VIP4, VIP6]);
    // To a local IPv4 address the kernel talks from that address, to an IPv6 one from one that a link has.
    for (vip, from_node, from_pod) in [(VIP4, VIP4, "10.88.0.2"), (VIP6, "fd77::1", "fd88::2")] {
        let address = listen(&node, vip, "ours");
        assert_eq!(ask(&node, address).expect("from the node"), format!("ours {from_node}"));
        assert_eq!(ask(&pod, address).expect("from a pod"), format!("ours {from_pod}"));
    }
}

/// Somebody else's Service shares the address with listeners of ours: kube-proxy translates its port, and needs tracking.
/// Of what the node itself sends it translates the source as well, which is the address itself where nobody chose another.
#[test]
fn at_a_shared_address_ports_of_somebody_else_are_translated_and_ours_are_not() {
    let Some(mut segment) = Segment::new() else { return };
    let (node, client) = (segment.host("node"), segment.host("client"));
    let directory = tempfile::tempdir().expect("a folder");
    let mut process = Process::start(&node, directory.path());
    process.announce_on(&["eth0"]);
    process.serve(&[VIP4, VIP6]);
    for (vip, via, own) in [(VIP4, "10.77.0.1", "10.77.0.1"), (VIP6, "fd77::1", "fd77::1")] {
        let (ours, backend) = (listen(&node, vip, "ours"), listen(&node, own, "theirs"));
        let theirs = SocketAddr::new(ours.ip(), ours.port() ^ 1);
        client.sh(&format!("ip route replace {vip} via {via}"));
        translate(&node, ours.port(), backend);
        let shared = Wanted {
            addresses: purposes(&[VIP4, VIP6], Purpose::Served),
            links: [Arc::from("eth0")].into(),
            foreign: [(theirs.ip(), Port { transport: Transport::Tcp, number: theirs.port() })].into(),
        };
        let alone = Wanted { foreign: BTreeSet::new(), ..shared.clone() };
        node.nft(&format!(
            "table inet shared {{ {} {} chain postrouting {{ type nat hook postrouting priority 100; {MASQUERADE}; }}; }}",
            translation("prerouting", theirs.port(), backend),
            translation("output", theirs.port(), backend),
        ));
        assert!(ask(&client, ours).is_ok_and(|answer| answer.starts_with("ours")), "notrack keeps translation away");
        process.call(|kernel| kernel.set(shared)).expect("the kernel does it");
        let rules = node.sh("nft list table inet postern");
        let element = format!("{} . tcp . {}", theirs.ip(), theirs.port());
        assert!(rules.contains(&element), "{rules}");
        for host in [&client, &node] {
            assert!(ask(host, theirs).is_ok_and(|answer| answer.starts_with("theirs")), "{rules}");
            assert!(ask(host, ours).is_ok_and(|answer| answer.starts_with("ours")), "{rules}");
        }
        process.call(|kernel| kernel.set(alone)).expect("the kernel does it");
        assert!(!node.sh("nft list table inet postern").contains(&element), "it goes with the Service");
        node.sh("nft delete table inet kube");
        node.sh("nft delete table inet shared");
    }
}

/// What kube-proxy does with translated traffic of the node's own.
const MASQUERADE: &str = "fib saddr type local ct status dnat masquerade";

/// What kube-proxy does for node ports, and CNI plug-ins for host ports: whatever is sent to any local address.
fn translate(node: &Namespace, port: u16, to: SocketAddr) {
    let chain = |hook| translation(hook, port, to);
    node.nft(&format!("table inet kube {{ {} {} }}", chain("prerouting"), chain("output")));
}

fn translation(hook: &str, port: u16, to: SocketAddr) -> String {
    let family = if to.is_ipv4() { "ip" } else { "ip6" };
    let rule = format!("fib daddr type local tcp dport {port} dnat {family} to {to}");
    format!("chain {hook} {{ type nat hook {hook} priority -100; {rule}; }};")
}

#[test]
fn translation_of_local_addresses_takes_the_traffic_only_where_that_is_tracked() {
    let Some(mut segment) = Segment::new() else { return };
    let (node, client) = (segment.host("node"), segment.host("client"));
    let pod = pod(&node);
    let directory = tempfile::tempdir().expect("a folder");
    for (notrack, winner) in [(true, "ours"), (false, "thief")] {
        let mut process = Process::start_with(&node, Settings { directory: directory.path().to_owned(), notrack });
        process.announce_on(&["eth0"]);
        process.serve(&[VIP4, VIP6]);
        for (vip, via, thief) in [(VIP4, "10.77.0.1", "10.88.0.1"), (VIP6, "fd77::1", "fd88::1")] {
            let address = listen(&node, vip, "ours");
            translate(&node, address.port(), listen(&node, thief, "thief"));
            client.sh(&format!("ip route replace {vip} via {via}"));
            for (host, name) in [(&*client, "client"), (&*node, "node"), (&pod, "pod")] {
                let answer = ask(host, address).expect("somebody answers");
                assert!(answer.starts_with(winner), "{name} {vip}: {answer}");
            }
            node.sh("nft delete table inet kube");
        }
        assert!(process.close());
    }
}
