//! A station on a real segment: what the kernels of clients make of it, and what it makes of them.

mod segment;

use std::{
    net::IpAddr,
    sync::{Arc, mpsc::Receiver},
    time::{Duration, Instant},
};

use postern_l2announce::{
    Interfaces,
    link::Unfit,
    responder::Outcome,
    station::{Command, Event, Settings, Tell, Thoroughness},
    wire::{Arp, Frame, MacAddr, Operation, Packet},
};
use segment::{Host, LINK, Node, PATIENCE, Segment, eventually};

const CLIENT_V4: &str = "192.0.2.200";
const CLIENT_V6: &str = "2001:db8::c8";

fn address(text: &str) -> IpAddr {
    text.parse().expect("it is an address")
}

fn addresses() -> [(&'static str, IpAddr); 2] {
    [(CLIENT_V4, address("192.0.2.100")), (CLIENT_V6, address("2001:db8::1:64"))]
}

/// A client that asks soon again, and that forgets at once.
fn client(segment: &mut Segment) -> Host {
    let client = segment.host("client", 200);
    for family in ["ipv4", "ipv6"] {
        client.sysctl(&format!("net.{family}.neigh.{LINK}.retrans_time_ms=50"));
        client.sysctl(&format!("net.{family}.neigh.{LINK}.delay_first_probe_time=0"));
    }
    client
}

/// Watches an address and waits until it may be announced.
fn watch(node: &Node, address: IpAddr) {
    node.order(Command::Watch { address, interfaces: Interfaces::All });
    await_place(node, address);
}

fn await_place(node: &Node, wanted: IpAddr) {
    node.wait("a place", |event| match event {
        Event::Links { address, placement } if address == wanted && !placement.places.is_empty() => Some(()),
        _ => None,
    });
}

fn announce(node: &Node, address: IpAddr) {
    node.order(Command::Announce { address, tell: Tell::News });
}

fn announcing(host: &Host) -> Node {
    let node = host.start();
    for (_, address) in addresses() {
        watch(&node, address);
        announce(&node, address);
    }
    node
}

/// Waits until the client's kernel has this station for the address, asking it to look until it does.
fn await_neighbour(client: &Host, from: &str, address: IpAddr, mac: MacAddr) -> Duration {
    client.send(from, address);
    eventually("the client knows the station", || {
        let neighbour = client.neighbour(address);
        if neighbour.contains(&format!("lladdr {mac}")) { Ok(()) } else { Err(neighbour) }
    })
}

/// What a frame tells or asks of `address`, if it comes from this station.
fn speaks_of(frame: &Frame, mac: MacAddr, address: IpAddr) -> bool {
    let of = match frame.packet {
        Packet::Arp(arp) => IpAddr::from(arp.sender),
        Packet::Solicitation(solicitation) => solicitation.target.into(),
        Packet::Advertisement(advertisement) => advertisement.target.into(),
    };
    frame.source == mac && of == address
}

fn next_frame(frames: &Receiver<(Instant, Frame)>, mac: MacAddr, address: IpAddr) -> (Instant, Frame) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let (when, frame) = frames.recv_timeout(left).expect("the frame arrives");
        if speaks_of(&frame, mac, address) {
            return (when, frame);
        }
    }
}

#[test]
fn a_client_finds_an_announced_address_and_finds_it_still_there() {
    let Some(mut segment) = segment::segment() else { return };
    let (host, client) = (segment.host("node", 1), client(&mut segment));
    let node = announcing(&host);
    for (from, address) in addresses() {
        await_neighbour(&client, from, address, host.mac);
        client.ip(&format!("neigh change {address} lladdr {} dev {LINK} nud probe", host.mac));
        eventually("the client's question to our station is answered", || {
            let neighbour = client.neighbour(address);
            if neighbour.contains("REACHABLE") { Ok(()) } else { Err(neighbour) }
        });
    }
    let counters = node.station().counters();
    assert_eq!(counters.len(), 2);
    for (address, counters) in counters {
        assert!(counters.requests_received() >= 2, "{address}: {counters:?}");
        assert_eq!(counters.requests_received(), counters.responses_sent(), "{address}: {counters:?}");
        assert!(counters.gratuitous_sent() >= 1, "{address}: {counters:?}");
    }
}

#[test]
fn an_address_that_was_withdrawn_is_answered_for_no_more() {
    let Some(mut segment) = segment::segment() else { return };
    let (host, client) = (segment.host("node", 1), client(&mut segment));
    let node = announcing(&host);
    for (from, address) in addresses() {
        await_neighbour(&client, from, address, host.mac);
        node.order(Command::Withdraw { address });
        client.ip(&format!("neigh flush dev {LINK}"));
        client.send(from, address);
        eventually("the client finds nobody", || {
            let neighbour = client.neighbour(address);
            if neighbour.contains("FAILED") { Ok(()) } else { Err(neighbour) }
        });
    }
}

#[test]
fn a_take_over_reaches_clients_at_once() {
    let Some(mut segment) = segment::segment() else { return };
    let (one, other, client) = (segment.host("one", 1), segment.host("other", 2), client(&mut segment));
    let (first, second) = (announcing(&one), other.start());
    for (from, address) in addresses() {
        watch(&second, address);
        await_neighbour(&client, from, address, one.mac);
        first.order(Command::Withdraw { address });
        announce(&second, address);
        let took = eventually("the client knows the other station without asking", || {
            let neighbour = client.neighbour(address);
            if neighbour.contains(&format!("lladdr {}", other.mac)) { Ok(()) } else { Err(neighbour) }
        });
        println!("{address}: the client knew the new station after {took:?}");
    }
}

#[test]
fn both_forms_are_told_and_a_probe_finds_who_has_an_address() {
    let Some(mut segment) = segment::segment() else { return };
    let (one, other, client) = (segment.host("one", 1), segment.host("other", 2), client(&mut segment));
    let frames = client.listen();
    let (first, second) = (announcing(&one), other.start());
    let [(_, v4), (_, v6)] = addresses();
    let form = || match next_frame(&frames, one.mac, v4).1.packet {
        Packet::Arp(arp) => arp.operation,
        other => panic!("{other:?} is ARP"),
    };
    assert_eq!([form(), form()], [Operation::Request, Operation::Reply]);
    let watched_probe = |address| {
        watch(&second, address);
        probe(&second, address)
    };
    assert_eq!([v4, v6].map(watched_probe), [Outcome::Taken { mac: one.mac }; 2]);
    let free = ["192.0.2.101", "2001:db8::1:65"].map(address);
    assert_eq!(free.map(watched_probe), [Outcome::Free; 2]);
    drop(first);
    let again = [v4, v6].map(|address| probe(&second, address));
    assert_eq!(again, [Outcome::Free; 2], "its station has ended");
}

fn probe(node: &Node, wanted: IpAddr) -> Outcome {
    node.order(Command::Probe { address: wanted, thoroughness: Thoroughness::Short });
    node.wait("an outcome", |event| match event {
        Event::Probed { address, outcome } if address == wanted => Some(outcome),
        _ => None,
    })
}

#[test]
fn a_host_that_checks_for_duplicates_does_not_take_an_announced_address() {
    let Some(mut segment) = segment::segment() else { return };
    let (host, client) = (segment.host("node", 1), client(&mut segment));
    let _node = announcing(&host);
    let [_, (_, v6)] = addresses();
    client.sysctl(&format!("net.ipv6.conf.{LINK}.accept_dad=1"));
    client.ip(&format!("addr add {v6}/64 dev {LINK}"));
    eventually("duplicate address detection fails", || {
        let shown = client.ip(&format!("-6 addr show dev {LINK} to {v6}"));
        if shown.contains("dadfailed") { Ok(()) } else { Err(shown) }
    });
}

#[test]
fn a_foreign_device_that_uses_an_address_is_named() {
    let Some(mut segment) = segment::segment() else { return };
    let (host, client) = (segment.host("node", 1), client(&mut segment));
    let node = announcing(&host);
    let [(_, v4), (_, v6)] = addresses();
    for (taken, option, peer) in [(v4, "", "192.0.2.1"), (v6, "nodad", "2001:db8::1")] {
        client.ip(&format!("addr add {taken} dev {LINK} {option}"));
        client.ip(&format!("neigh flush dev {LINK}"));
        client.send(&taken.to_string(), address(peer));
        let mac = node.wait("a conflict", |event| match event {
            Event::Conflict { address, mac, .. } if address == taken => Some(mac),
            _ => None,
        });
        assert_eq!(mac, client.mac, "{taken}");
    }
}

#[test]
fn a_link_that_goes_down_is_told_and_answered_on_when_it_is_back() {
    let Some(mut segment) = segment::segment() else { return };
    let (host, client) = (segment.host("node", 1), client(&mut segment));
    let node = announcing(&host);
    let [(from, v4), _] = addresses();
    host.ip(&format!("link set {LINK} down"));
    let why = node.wait("the link's loss", |event| match event {
        Event::Links { address, placement } if address == v4 && placement.places.is_empty() => Some(placement.refused),
        _ => None,
    });
    assert!(why.contains(&(Arc::from(LINK), Unfit::Down)), "{why:?}");
    host.ip(&format!("link set {LINK} up"));
    await_place(&node, v4);
    await_neighbour(&client, from, v4, host.mac);
}

#[test]
fn a_link_that_is_made_anew_is_answered_on_within_100_ms() {
    let Some(mut segment) = segment::segment() else { return };
    let (host, client) = (segment.host("node", 1), client(&mut segment));
    let node = announcing(&host);
    let addresses = addresses();
    host.unplug();
    node.wait("the link's loss", |event| match event {
        Event::Links { address, placement } if address == addresses[1].1 && placement.places.is_empty() => Some(()),
        _ => None,
    });
    let frames = client.listen();
    let before = Instant::now();
    host.plug_in();
    let back = Instant::now();
    for (from, address) in addresses {
        let (when, _) = next_frame(&frames, host.mac, address);
        println!(
            "{address}: told {:?} after its return, which took {:?}",
            when.saturating_duration_since(back),
            back - before
        );
        await_neighbour(&client, from, address, host.mac);
    }
}

#[test]
fn orders_that_change_nothing_send_nothing() {
    let Some(mut segment) = segment::segment() else { return };
    let (host, client) = (segment.host("node", 1), client(&mut segment));
    let node = host.start();
    let frames = client.listen();
    let addresses = addresses();
    for (_, address) in addresses {
        watch(&node, address);
        node.order(Command::Announce { address, tell: Tell::Nobody });
    }
    let start = Instant::now();
    for step in 1..=50 {
        for (_, address) in addresses {
            node.order(Command::Watch { address, interfaces: Interfaces::All });
            announce(&node, address);
        }
        while start.elapsed() < Duration::from_millis(20) * step {
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }
    // What is told now is the first that is told.
    for (_, address) in addresses {
        node.order(Command::Announce { address, tell: Tell::Again });
        let (when, _) = next_frame(&frames, host.mac, address);
        assert!(when >= start + Duration::from_secs(1), "told {:?} after the first order", when - start);
    }
}

#[test]
fn requests_that_waited_while_the_process_was_stopped_are_not_answered() {
    let Some(mut segment) = segment::segment() else { return };
    let (host, client) = (segment.host("node", 1), client(&mut segment));
    let node = host.start();
    let [(from, v4), _] = addresses();
    watch(&node, v4);
    node.order(Command::Announce { address: v4, tell: Tell::Nobody });
    await_neighbour(&client, from, v4, host.mac);
    client.ip(&format!("neigh flush dev {LINK}"));
    let frames = client.listen();
    let unanswered = || {
        client.send(from, v4);
        eventually("the client finds nobody", || {
            let neighbour = client.neighbour(v4);
            if neighbour.contains("FAILED") { Ok(()) } else { Err(neighbour) }
        });
    };
    let start = Instant::now();
    node.stall(|| {
        while start.elapsed() < Duration::from_millis(700) {
            unanswered();
        }
    });
    let gap = node.wait("the pause is noticed", |event| match event {
        Event::Paused { gap } => Some(gap),
        _ => None,
    });
    assert!(gap >= Duration::from_millis(600), "{gap:?}");
    unanswered();
    let answered = frames.try_iter().filter(|(_, frame)| speaks_of(frame, host.mac, v4)).count();
    assert_eq!(answered, 0);
    node.order(Command::Confirm);
    await_neighbour(&client, from, v4, host.mac);
}

#[test]
fn a_probe_is_never_free_because_the_process_was_late_to_listen() {
    let Some(mut segment) = segment::segment() else { return };
    let (one, other) = (segment.host("one", 1), segment.host("other", 2));
    let (_first, second) = (announcing(&one), other.start());
    for (_, address) in addresses() {
        watch(&second, address);
        let frames = other.listen();
        second.order(Command::Probe { address, thoroughness: Thoroughness::Short });
        // Stalled for less than what counts as a pause, and longer than a probe takes: the answer waits meanwhile.
        second.stall(|| {
            let answered = || frames.try_iter().any(|(_, frame)| speaks_of(&frame, one.mac, address));
            let stalled = Instant::now();
            eventually("the answer waits", || if answered() { Ok(()) } else { Err(String::new()) });
            while stalled.elapsed() < Duration::from_millis(150) {
                std::thread::park_timeout(Duration::from_millis(10));
            }
        });
        let outcome = second.wait("an outcome", |event| match event {
            Event::Probed { address: probed, outcome } if probed == address => Some(outcome),
            _ => None,
        });
        assert!(matches!(outcome, Outcome::Taken { mac } if mac == one.mac), "{outcome:?}");
    }
}

#[test]
fn without_the_capability_no_link_can_announce_and_it_is_named() {
    use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
    let Some(mut segment) = segment::segment() else { return };
    let host = segment.host("node", 1);
    let node = host.start_with(Settings::default(), || {
        let mut sets = capabilities(None).expect("a thread has capabilities");
        for set in [&mut sets.effective, &mut sets.permitted, &mut sets.inheritable] {
            set.remove(CapabilitySet::NET_RAW);
        }
        set_capabilities(None, sets).expect("a capability can be given up");
    });
    let [(_, v4), _] = addresses();
    node.order(Command::Watch { address: v4, interfaces: Interfaces::All });
    let refused = node.wait("a refusal", |event| match event {
        Event::Links { placement, .. } => Some(placement.refused),
        _ => None,
    });
    let why = refused.iter().find(|(name, _)| &**name == LINK).map(|(_, unfit)| unfit.to_string());
    assert!(why.as_ref().is_some_and(|why| why.contains("CAP_NET_RAW")), "{refused:?}");
}

#[test]
fn what_is_asked_in_a_vlan_without_a_link_is_another_networks() {
    let Some(mut segment) = segment::segment() else { return };
    let (host, client) = (segment.host("node", 1), client(&mut segment));
    let node = host.start();
    let [(_, v4), _] = addresses();
    watch(&node, v4);
    node.order(Command::Announce { address: v4, tell: Tell::Nobody });
    let frames = client.listen();
    // Tag 0 is a priority and no VLAN.
    let [in_vlan, without] = [(7, "192.0.2.207"), (0, CLIENT_V4)].map(|(tag, sender)| tagged(&client, tag, sender, v4));
    client.with_socket(|socket| {
        for frame in [&in_vlan, &without] {
            socket.send(frame).expect("the link is up");
        }
    });
    let Packet::Arp(answer) = next_frame(&frames, host.mac, v4).1.packet else { panic!("it is ARP") };
    assert_eq!(IpAddr::from(answer.target), address(CLIENT_V4), "the other comes first, if it comes");
}

/// A request in a VLAN, as it is on the wire.
fn tagged(client: &Host, tag: u8, sender: &str, target: IpAddr) -> Vec<u8> {
    let (IpAddr::V4(sender), IpAddr::V4(target)) = (address(sender), target) else { panic!("ARP is of IPv4") };
    let target_mac = MacAddr::zero();
    let request = Arp { operation: Operation::Request, sender_mac: client.mac, sender, target_mac, target };
    let frame = Frame { destination: MacAddr::broadcast(), source: client.mac, packet: Packet::Arp(request) }.encode();
    let (stations, rest) = frame.split_at(12);
    [stations, &[0x81, 0x00, 0x00, tag], rest].concat()
}

#[test]
fn the_groups_of_announced_addresses_are_joined_and_left() {
    let Some(mut segment) = segment::segment() else { return };
    let host = segment.host("node", 1);
    let node = host.start();
    let twins = ["2001:db8::7:64", "2001:db8:0:0:1::7:64"].map(address);
    let joined = || host.ip(&format!("-6 maddr show dev {LINK}")).contains("ff02::1:ff07:64");
    let has = |expected: bool| {
        eventually("the group is as it should be", || {
            if joined() == expected { Ok(()) } else { Err(joined().to_string()) }
        });
    };
    for address in twins {
        watch(&node, address);
        announce(&node, address);
        has(true);
    }
    let [one, other] = twins;
    node.order(Command::Withdraw { address: one });
    assert_eq!(probe(&node, one), Outcome::Free, "the order before it was carried out");
    assert!(joined(), "the other needs it too");
    node.order(Command::Withdraw { address: other });
    has(false);
}

#[test]
fn a_radio_is_set_to_receive_everything_for_as_long_as_the_process_runs() {
    let Some(mut segment) = segment::segment() else { return };
    let host = segment.host("node", 1);
    let is_promiscuous = || host.ip(&format!("-d link show dev {LINK}")).contains("promiscuity 1 ");
    host.with_socket(|socket| {
        assert!(!is_promiscuous());
        socket.receive_everything().expect("it may");
        assert!(is_promiscuous());
    });
    assert!(!is_promiscuous());
}

#[test]
fn many_addresses_are_told_of_at_once_and_then_paced() {
    let Some(mut segment) = segment::segment() else { return };
    let (host, client) = (segment.host("node", 1), client(&mut segment));
    let node = host.start();
    let addresses: Vec<IpAddr> = (0..200).map(|last| address(&format!("203.0.113.{last}"))).collect();
    for address in &addresses {
        watch(&node, *address);
    }
    let frames = client.listen();
    let start = Instant::now();
    for address in &addresses {
        announce(&node, *address);
    }
    let mut told: Vec<(Instant, IpAddr)> = Vec::new();
    while told.len() < 2 * 400 {
        let (when, frame) = frames.recv_timeout(PATIENCE).expect("both rounds arrive");
        if let Packet::Arp(arp) = frame.packet
            && frame.source == host.mac
        {
            told.push((when, arp.sender.into()));
        }
    }
    let first = |address: &IpAddr| told.iter().find(|(_, of)| of == address).map(|(when, _)| *when - start);
    let latest = addresses.iter().map(|address| first(address).expect("each is told of")).max().unwrap_or_default();
    let (second, last) = (told[400].0, told[799].0);
    println!("the last of 200 was told of after {latest:?}; the second round took {:?}", last - second);
    assert!(last - second >= Duration::from_millis(350), "400 frames at 1000 a second: {:?}", last - second);
}
