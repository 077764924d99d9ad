//! Links that vanish and are made anew, as drivers, hypervisors and VLANs do it.

use std::time::{Duration, Instant};

use crate::{
    client,
    segment::{eventually, pass},
    world::{VIP, World},
};

#[test]
#[ignore = "minutes of real failures: cargo xtask vip"]
fn a_link_that_is_made_anew_announces_again_and_harms_nobody_else() {
    let Some(world) = World::start() else { return };
    world.is_acquainted();
    let owner = world.owner();
    let idle = (owner + 1) % 3;
    let (heard, datagrams) = (client::arping(&world.client, VIP), client::datagrams(&world.client, VIP));
    let start = Instant::now();
    pass(Duration::from_millis(300));
    world.nodes[idle].host.remove_link();
    pass(Duration::from_secs(2));
    world.nodes[idle].host.plug_in();
    pass(Duration::from_secs(2));
    let (heard, answered) = (heard.stop(), datagrams.stop());
    println!("another node's link made anew: {} datagrams of {} lost", answered.lost(), answered.count());
    assert_eq!(heard.answering(start, Instant::now()), [world.nodes[owner].host.mac], "its kernel is silent too");
    assert_eq!(answered.lost(), 0);
    assert_eq!(world.owner(), owner);

    let datagrams = client::datagrams(&world.client, VIP);
    pass(Duration::from_millis(300));
    world.nodes[owner].host.remove_link();
    let next = world.owner_without(owner);
    pass(Duration::from_secs(1));
    println!("the owner's link gone: {:?} without an answer", datagrams.stop().outage());
    let heard = client::arping(&world.client, VIP);
    let plugged = Instant::now();
    world.nodes[owner].host.plug_in();
    pass(Duration::from_secs(2));
    assert_eq!(heard.stop().answering(plugged, Instant::now()), [world.nodes[next].host.mac]);
    assert_eq!(world.owner(), next, "who returns takes nothing");

    for other in (0..3).filter(|node| *node != owner) {
        let said = world.nodes[other].command(&["vip", "drain"]);
        assert!(said.contains("draining"), "{said}");
    }
    eventually("it can be the owner again", || {
        let now = world.nodes[owner].owners()?;
        if now == [world.nodes[owner].name.clone()] { Ok(()) } else { Err(format!("{now:?}")) }
    });
    world.is_served();
    assert_eq!(world.answering(), [world.nodes[owner].host.mac]);
}
