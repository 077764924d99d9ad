//! What takes an owner away without a word: another one owns soon, and what comes back takes nothing.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::{
    client,
    segment::pass,
    world::{VIP, World, manifests},
};

/// The bar is 1.2 s on a quiet segment; this machine may be busy.
pub(crate) const LONGEST: Duration = Duration::from_secs(3);
const ROUNDS: usize = 3;
/// The bar of the fast profile is 500 ms on a quiet machine.
const FAST_LONGEST: Duration = Duration::from_millis(1500);
const FAST_ROUNDS: usize = 8;

/// Prints least, median and greatest of what was measured.
pub(crate) fn print(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    println!("{what}: {:?} / {:?} / {:?}", times[0], times[times.len() / 2], times[times.len() - 1]);
}

#[test]
#[ignore = "minutes of real failures: cargo xtask vip"]
fn a_power_cut_moves_the_address_within_the_bound_and_its_end_moves_nothing() {
    let Some(world) = World::start() else { return };
    let (mut quiet, mut refused) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let owner = world.owner();
        let (datagrams, requests) = (client::datagrams(&world.client, VIP), client::requests(&world.client, VIP));
        pass(Duration::from_millis(500));
        world.nodes[owner].host.cut();
        let next = world.owner_without(owner);
        let epoch = world.epoch(next);
        pass(Duration::from_secs(1));
        let (answered, served) = (datagrams.stop(), requests.stop());
        quiet.push(answered.outage());
        refused.push(served.outage());
        assert_eq!(world.answering(), [world.nodes[next].host.mac]);
        world.nodes[owner].host.restore();
        let returned = client::datagrams(&world.client, VIP);
        assert_eq!(world.owner(), next, "who returns takes nothing");
        pass(Duration::from_secs(2));
        assert_eq!(world.answering(), [world.nodes[next].host.mac]);
        assert_eq!((world.owner(), world.epoch(next)), (next, epoch));
        println!("the return: {:?} without an answer at most", returned.stop().outage());
    }
    print("power cut, datagrams unanswered (min / median / max)", quiet.clone());
    print("power cut, requests unanswered (min / median / max)", refused);
    assert!(quiet.iter().all(|outage| *outage < LONGEST), "{quiet:?}");
}

#[test]
#[ignore = "minutes of real failures: cargo xtask vip"]
fn who_is_killed_never_answers_again_and_takes_nothing_when_it_is_started_again() {
    let Some(mut world) = World::start() else { return };
    let mut outages = Vec::new();
    for _ in 0..ROUNDS {
        let owner = world.owner();
        let mac = world.nodes[owner].host.mac;
        let (heard, requests) = (client::arping(&world.client, VIP), client::requests(&world.client, VIP));
        pass(Duration::from_millis(300));
        world.nodes[owner].signal(Signal::KILL);
        world.nodes[owner].ended();
        let dead = Instant::now();
        let next = world.owner_without(owner);
        world.nodes[owner].start();
        assert_eq!(world.owner(), next, "who is started again takes nothing");
        pass(Duration::from_secs(1));
        let (heard, requests) = (heard.stop(), requests.stop());
        assert_eq!(heard.answering(dead + Duration::from_millis(10), Instant::now()), [world.nodes[next].host.mac]);
        println!(
            "kill -9: answers of the dead: {:?}; failed requests: {:?}",
            heard.last_of(mac, dead),
            requests.failed
        );
        outages.push(requests.outage());
        assert_eq!(world.answering(), [world.nodes[next].host.mac]);
    }
    print("kill -9, requests unanswered (min / median / max)", outages.clone());
    assert!(outages.iter().all(|outage| *outage < LONGEST), "{outages:?}");
}

#[test]
#[ignore = "minutes of real failures: cargo xtask vip"]
fn who_was_stopped_for_a_while_answers_no_more_until_it_has_looked_around() {
    let Some(world) = World::start() else { return };
    let owner = world.owner();
    let (heard, requests) = (client::arping(&world.client, VIP), client::requests(&world.client, VIP));
    pass(Duration::from_millis(300));
    world.nodes[owner].signal(Signal::STOP);
    let stopped = Instant::now();
    let next = world.owner_without(owner);
    pass(Duration::from_secs(5).saturating_sub(stopped.elapsed()));
    world.nodes[owner].signal(Signal::CONT);
    assert_eq!(world.owner(), next, "who goes on takes nothing");
    pass(Duration::from_secs(2));
    let (heard, requests) = (heard.stop(), requests.stop());
    let later = stopped + Duration::from_millis(10);
    assert_eq!(heard.answering(later, Instant::now()), [world.nodes[next].host.mac]);
    let after = heard.first_of(world.nodes[next].host.mac, stopped);
    println!("SIGSTOP: the next owner's first answer after {after:?}; failed requests: {:?}", requests.failed);
    print("SIGSTOP, requests unanswered", vec![requests.outage()]);
}

#[test]
#[ignore = "minutes of real failures: cargo xtask vip"]
fn the_fast_profile_moves_the_address_within_its_bound() {
    let Some(mut world) = World::prepare(&manifests(&[VIP])) else { return };
    world.set("POSTERN_VIPS_PROFILE", "fast");
    world.run();
    for (what, is_cut) in [("power cut, datagrams", true), ("kill -9, requests", false)] {
        let mut outages = Vec::new();
        for _ in 0..FAST_ROUNDS {
            let owner = world.owner();
            world.is_acquainted();
            let (datagrams, requests) = (client::datagrams(&world.client, VIP), client::requests(&world.client, VIP));
            pass(Duration::from_millis(300));
            if is_cut {
                world.nodes[owner].host.cut();
            } else {
                world.nodes[owner].signal(Signal::KILL);
                world.nodes[owner].ended();
            }
            let next = world.owner_without(owner);
            pass(Duration::from_millis(700));
            let (datagrams, requests) = (datagrams.stop().outage(), requests.stop().outage());
            // Of a host without power nothing comes, and each request costs its client a quarter of a second; one that
            // lives answers datagrams still, and refuses connections at once.
            outages.push(if is_cut { datagrams } else { requests });
            if is_cut {
                world.nodes[owner].host.restore();
            } else {
                world.nodes[owner].start();
            }
            assert_eq!(world.owner(), next, "who returns takes nothing");
        }
        outages.sort_unstable();
        println!("fast profile, {what} unanswered: {outages:.0?}");
        print(&format!("fast profile, {what} unanswered (min / median / max)"), outages.clone());
        assert!(outages.iter().all(|outage| *outage < FAST_LONGEST), "{outages:?}");
    }
}
