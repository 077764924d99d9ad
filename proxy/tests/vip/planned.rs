//! What is meant to happen: a node is stopped, or gets another version. Nobody is turned away.

use std::{
    fs,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    client,
    failures::print,
    lasting,
    node::DRAIN,
    segment::{eventually, pass},
    world::{VIP, World, manifests},
};

/// How much longer or shorter a drain may look to a client.
const SLACK: Duration = Duration::from_secs(1);
/// A SYN that is lost is sent again after a second; a request that waits for one fails sooner.
const RETRANSMISSION: Duration = Duration::from_millis(200);

#[test]
#[ignore = "minutes of real failures: cargo xtask vip"]
fn who_is_told_to_stop_hands_over_and_no_new_connection_is_refused() {
    let Some(mut world) = World::start() else { return };
    let (mut quiet, mut unanswered) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let owner = world.owner();
        let (datagrams, requests) = (client::datagrams(&world.client, VIP), client::requests(&world.client, VIP));
        let (heard, kept) = (client::arping(&world.client, VIP), lasting::kept(&world.client, VIP));
        let websocket = lasting::websocket(&world.client, VIP);
        pass(Duration::from_millis(500));
        world.nodes[owner].signal(Signal::TERM);
        let told = Instant::now();
        let next = world.owner_without(owner);
        world.nodes[owner].ended();
        let ended = told.elapsed();
        pass(Duration::from_secs(1));
        let (answered, requests) = (datagrams.stop(), requests.stop());
        let (heard, kept, websocket) = (heard.stop(), kept.stop(), websocket.stop());
        println!(
            "SIGTERM: {} datagrams answered and {} not, {} requests answered, failed: {:?}; kept connections: {} answers, told to go after \
             {:?}, broken: {:?}; the WebSocket: {} echoes, ended after {:?}; the old owner's last answer after {:?}, the next \
             one's first after {:?}; the process ended after {ended:?}",
            answered.count(),
            answered.lost(),
            requests.count(),
            requests.failed,
            kept.answered,
            kept.farewells.iter().map(|when| *when - told).collect::<Vec<_>>(),
            kept.broken,
            websocket.echoes,
            websocket.end.as_ref().map(|(when, why)| (*when - told, why)),
            heard.last_of(world.nodes[owner].host.mac, told),
            heard.first_of(world.nodes[next].host.mac, told),
        );
        assert_eq!((answered.lost(), requests.failed.len()), (0, 0), "{:?}", requests.failed);
        assert_eq!(
            (kept.farewells.len(), kept.broken.as_slice()),
            (1, [].as_slice()),
            "one goodbye, and on at the next"
        );
        // A message that was on its way makes a reset of it.
        let (end, _) = websocket.end.expect("it was at the old owner");
        assert!(end - told > DRAIN - SLACK && end - told < DRAIN + SLACK, "{:?}: it has all of the drain", end - told);
        let handed_back = world.nodes[next].count("postern_vip_flows_handed_back_total");
        assert!(handed_back >= 2, "{handed_back}");
        assert_eq!(world.answering(), [world.nodes[next].host.mac]);
        quiet.push(answered.outage());
        unanswered.push(requests.outage());
        world.nodes[owner].start();
        assert_eq!(world.owner(), next, "who returns takes nothing");
    }
    print("SIGTERM, datagrams unanswered (min / median / max)", quiet);
    print("SIGTERM, requests unanswered (min / median / max)", unanswered.clone());
    assert!(unanswered.iter().all(|outage| *outage < RETRANSMISSION), "a SYN was lost: {unanswered:?}");
}

#[test]
#[ignore = "minutes of real failures: cargo xtask vip"]
fn a_new_process_of_the_owner_goes_on_and_nobody_notices() {
    let Some(mut world) = World::prepare(&manifests(&[VIP])) else { return };
    for node in &mut world.nodes {
        let meeting = node.directory();
        fs::create_dir_all(&meeting).expect("made");
        let socket = meeting.join("handover.sock").display().to_string();
        node.settings.push(("POSTERN_HANDOVER_SOCKET".to_owned(), socket));
    }
    world.run();
    let owner = world.owner();
    let epoch = world.epoch(owner);
    let (datagrams, requests) = (client::datagrams(&world.client, VIP), client::requests(&world.client, VIP));
    let heard = client::arping(&world.client, VIP);
    let start = Instant::now();
    for round in 1..=2 {
        let new = world.nodes[owner].spawn();
        eventually("it takes over", || {
            let said = world.nodes[owner].said();
            let count = said.matches("taken over from the predecessor").count();
            if count == round && said.matches("another process has taken over").count() == round {
                Ok(())
            } else {
                Err(said)
            }
        });
        let mut old = world.nodes[owner].replace(new);
        kill_process(Pid::from_child(&old), Signal::TERM).expect("it is ours");
        old.wait().expect("it ends");
        assert_eq!(world.owner(), owner, "the address stays on its node");
    }
    pass(Duration::from_secs(2));
    let (answered, requests, heard) = (datagrams.stop(), requests.stop(), heard.stop());
    let mac = world.nodes[owner].host.mac;
    println!(
        "two rolling updates: {} requests answered, failed: {:?}, longest time without an answer: requests {:?}, datagrams {:?}",
        requests.count(),
        requests.failed,
        requests.outage(),
        answered.outage()
    );
    assert!(requests.failed.is_empty(), "{:?}", requests.failed);
    assert_eq!(heard.answering(start, Instant::now()), [mac], "another node would have been asked");
    assert_eq!((world.owner(), world.epoch(owner)), (owner, epoch));
}
