//! Many addresses at once, and many changes that are none of theirs.

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use rustix::process::Signal;

use crate::{
    client,
    failures::print,
    segment::{eventually, pass},
    world::{VIP, World, manifests},
};

#[test]
#[ignore = "minutes of real failures: cargo xtask vip"]
fn two_hundred_addresses_move_at_once() {
    let numbers = (10..=199).chain(210..=219);
    let addresses: Vec<_> = numbers.map(|number| Ipv4Addr::new(192, 0, 2, number)).collect();
    assert_eq!(addresses.len(), 200);
    let Some(mut world) = World::prepare(&manifests(&addresses)) else { return };
    let first = 0;
    world.nodes[first].start();
    assert_eq!(world.owner(), first);
    world.nodes[1].start();
    world.nodes[2].start();
    world.is_acquainted();
    assert_eq!(world.owner(), first, "who joins takes nothing");
    let (heard, datagrams) = (client::arping(&world.client, VIP), client::datagrams(&world.client, VIP));
    pass(Duration::from_millis(500));
    world.nodes[first].host.cut();
    let cut = Instant::now();
    let owners = eventually("each has another owner", || {
        let owners = world.nodes[1].owners()?;
        if owners.contains(&world.nodes[first].name) { Err("not all".to_owned()) } else { Ok(owners) }
    });
    assert_eq!(owners.len(), addresses.len());
    pass(Duration::from_secs(4));
    let told = heard.stop().told_since(cut);
    assert_eq!(told.keys().copied().collect::<Vec<_>>(), addresses, "everybody is told of each");
    print(
        "200 addresses, cut to first announcement (min / median / max)",
        told.values().map(|(first, _)| *first).collect(),
    );
    println!("200 addresses: {} frames told of them in all", told.values().map(|(_, count)| count).sum::<usize>());
    println!("200 addresses: one of them went {:?} without an answer", datagrams.stop().outage());
    world.client.inside(|| {
        for address in &addresses {
            client::request(*address, Duration::from_secs(5)).unwrap_or_else(|error| panic!("{address}: {error}"));
        }
    });
}

#[test]
#[ignore = "minutes of real failures: cargo xtask vip"]
fn who_joins_leaves_and_returns_moves_no_address_of_others() {
    let addresses: Vec<_> = (100..112).map(|number| Ipv4Addr::new(192, 0, 2, number)).collect();
    let Some(mut world) = World::prepare(&manifests(&addresses)) else { return };
    world.nodes[0].start();
    world.nodes[1].start();
    eventually("each has an owner", || world.nodes[0].owners());
    world.is_served();
    let known = |world: &World| world.nodes[0].vips().map(|view| view.vips).unwrap_or_default();
    let owned =
        |world: &World| known(world).into_iter().map(|vip| (vip.address, vip.owner, vip.epoch)).collect::<Vec<_>>();
    let before = owned(&world);
    let (datagrams, requests) = (client::datagrams(&world.client, VIP), client::requests(&world.client, VIP));
    let start = Instant::now();
    world.nodes[2].start();
    world.is_acquainted();
    pass(Duration::from_secs(3));
    assert_eq!(owned(&world), before, "who joins takes nothing");
    world.nodes[2].signal(Signal::KILL);
    world.nodes[2].ended();
    pass(Duration::from_secs(3));
    assert_eq!(owned(&world), before, "who had nothing takes nothing along");
    world.nodes[2].start();
    pass(Duration::from_secs(3));
    assert_eq!(owned(&world), before, "who returns takes nothing");
    let (answered, requests) = (datagrams.stop(), requests.stop());
    println!(
        "12 addresses, a node joins, dies and returns in {:?}: none moved, {} datagrams lost, requests failed {:?}",
        start.elapsed(),
        answered.lost(),
        requests.failed
    );
    assert_eq!((answered.lost(), requests.failed.len()), (0, 0), "{:?}", requests.failed);
}

#[test]
#[ignore = "minutes of real failures: cargo xtask vip"]
fn changes_of_endpoints_say_nothing_on_the_segment() {
    let Some(world) = World::start() else { return };
    // Who has become owner says so a few times.
    pass(Duration::from_secs(8));
    let sent = || world.nodes.iter().map(|node| node.count("metallb_layer2_gratuitous_sent")).sum::<u64>();
    let applied = || world.nodes[0].said().matches("configuration applied").count();
    let (sent_before, applied_before) = (sent(), applied());
    let (heard, requests) = (client::arping(&world.client, VIP), client::requests(&world.client, VIP));
    let start = Instant::now();
    for round in 0..200_u32 {
        world.write("more.yaml", &endpoints(round));
        pass((Duration::from_millis(20) * (round + 1)).saturating_sub(start.elapsed()));
    }
    let (heard, requests) = (heard.stop(), requests.stop());
    println!(
        "200 changes of endpoints in {:?}, {} plans: requests failed {:?}",
        start.elapsed(),
        applied() - applied_before,
        requests.failed
    );
    assert!(applied() > applied_before + 2, "changes arrive");
    assert!(heard.told_since(start).is_empty(), "{:?}", heard.told_since(start));
    assert_eq!(sent(), sent_before);
}

/// Another backend that is there, or isn't.
fn endpoints(round: u32) -> String {
    format!(
        "apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: web-2, namespace: shop, labels: {{kubernetes.io/service-name: web}}}}
addressType: IPv4
endpoints: [{{addresses: ['127.0.0.1'], conditions: {{ready: {}}}}}]
ports: [{{name: http, port: 8000}}]
",
        round.is_multiple_of(2)
    )
}
