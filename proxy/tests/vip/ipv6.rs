//! The same for IPv6: who answers solicitations and duplicate address detection, and how long nobody does.

use std::{
    net::Ipv6Addr,
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

use postern_l2announce::{
    socket::{PacketSocket, Protocol},
    wire::{Frame, Packet, Solicitation, multicast_mac, solicited_node},
};
use rustix::process::Signal;

use crate::{
    client::{self, Heard, Probe},
    failures::{LONGEST, print},
    segment::{Host, LINK, pass},
    world::{World, manifests},
};

const VIP6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x100);
const PACE: Duration = Duration::from_millis(10);

/// How somebody asks for an address.
#[derive(Clone, Copy, Debug)]
enum Ask {
    /// Who has it?
    Solicitation,
    /// Duplicate address detection: does anybody?
    Duplicate,
}

/// Asks each 10 ms, and hears who answers.
fn asking(client: &Host, ask: Ask) -> Probe<Heard> {
    let (mac, source) = (client.mac, client.address6());
    Probe::start(client, move |over| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
        runtime.block_on(async {
            let index = nix::net::if_::if_nametoindex(LINK).expect("the link is there");
            let socket = PacketSocket::open(index, &LINK.into(), Protocol::Ndp).expect("a socket opens");
            let question = match ask {
                Ask::Duplicate => Solicitation::probe(mac, VIP6),
                Ask::Solicitation => {
                    let destination = solicited_node(VIP6);
                    // Without a link-layer option, which some leave out.
                    let asked = Solicitation { source, destination, target: VIP6, source_link: None };
                    let packet = Packet::Solicitation(asked);
                    Frame { destination: multicast_mac(destination), source: mac, packet }
                }
            };
            let (question, mut heard) = (question.encode(), Heard::default());
            let (mut asks, mut buffer) = (tokio::time::interval(PACE), [0; 2048]);
            while !over.load(Relaxed) {
                tokio::select! {
                    _ = asks.tick() => { let _down = socket.send(&question); }
                    Ok(length) = std::future::poll_fn(|context| socket.poll_receive(context, &mut buffer)) => {
                        note(&mut heard, buffer.get(..length).unwrap_or_default(), ask);
                    }
                }
            }
            heard
        })
    })
}

fn note(heard: &mut Heard, bytes: &[u8], ask: Ask) {
    let Ok(Frame { source, packet: Packet::Advertisement(said), .. }) = Frame::parse(bytes) else { return };
    // Who asks for duplicates has no address yet, and is answered to all.
    if said.target == VIP6 && said.solicited == matches!(ask, Ask::Solicitation) {
        heard.answers.push((Instant::now(), source));
    }
}

#[test]
#[ignore = "minutes of real failures: cargo xtask vip"]
fn the_owner_alone_answers_for_an_ipv6_address_and_another_one_does_soon_after_its_death() {
    let Some(mut world) = World::prepare(&manifests(&[VIP6])) else { return };
    world.nodes.iter_mut().for_each(crate::node::Node::start);
    world.owner();
    world.is_served_at(VIP6);
    world.is_acquainted();
    let (mut quiet, mut killed) = (Vec::new(), Vec::new());
    for round in 0..4 {
        let owner = world.owner();
        for ask in [Ask::Solicitation, Ask::Duplicate] {
            let (start, probe) = (Instant::now(), asking(&world.client, ask));
            pass(Duration::from_millis(500));
            let answering = probe.stop().answering(start, Instant::now());
            assert_eq!(answering, [world.nodes[owner].host.mac], "{ask:?}");
        }
        let (datagrams, requests) = (client::datagrams(&world.client, VIP6), client::requests(&world.client, VIP6));
        let probe = asking(&world.client, Ask::Solicitation);
        pass(Duration::from_millis(300));
        if round % 2 == 0 {
            world.nodes[owner].host.cut();
        } else {
            world.nodes[owner].signal(Signal::KILL);
            world.nodes[owner].ended();
        }
        let gone = Instant::now();
        let next = world.owner_without(owner);
        pass(Duration::from_secs(1));
        let (answered, served, heard) = (datagrams.stop(), requests.stop(), probe.stop());
        let answering = heard.answering(gone + Duration::from_millis(20), Instant::now());
        assert_eq!(answering, [world.nodes[next].host.mac], "nobody else answers");
        if round % 2 == 0 {
            quiet.push(answered.outage());
            world.nodes[owner].host.restore();
        } else {
            killed.push(served.outage());
            world.nodes[owner].start();
        }
        assert_eq!(world.owner(), next, "who returns takes nothing");
        world.is_acquainted();
    }
    print("IPv6, power cut, datagrams unanswered (min / median / max)", quiet.clone());
    print("IPv6, kill -9, requests unanswered (min / median / max)", killed.clone());
    assert!(quiet.iter().chain(&killed).all(|outage| *outage < LONGEST), "{quiet:?} {killed:?}");
}
