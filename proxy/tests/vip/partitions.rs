//! Nodes that don't hear each other, though both live: the segment says who answers, and where it can't, the first frame
//! after it is whole again does.

use std::time::{Duration, Instant};

use crate::{
    client,
    segment::pass,
    world::{VIP, World},
};

const CHAINS: &str = "add table inet cut
add chain inet cut in { type filter hook input priority 0 ; }
add chain inet cut out { type filter hook output priority 0 ; }
";

#[test]
#[ignore = "minutes of real failures: cargo xtask vip"]
fn an_owner_whose_heartbeats_are_lost_goes_on_alone() {
    let Some(world) = World::start() else { return };
    let cases = [("both ways", ["in", "out"].as_slice()), ("from the owner", &["out"]), ("to the owner", &["in"])];
    for (name, chains) in cases {
        let owner = world.owner();
        let (mac, epoch) = (world.nodes[owner].host.mac, world.epoch(owner));
        let (heard, datagrams) = (client::arping(&world.client, VIP), client::datagrams(&world.client, VIP));
        let start = Instant::now();
        pass(Duration::from_millis(300));
        let rules = chains.iter().map(|chain| format!("add rule inet cut {chain} udp dport 7947 drop\n"));
        world.nodes[owner].host.firewall(&(CHAINS.to_owned() + &rules.collect::<String>()));
        pass(Duration::from_secs(6));
        world.nodes[owner].host.firewall("delete table inet cut");
        assert_eq!(world.owner(), owner, "{name}: nobody takes it");
        pass(Duration::from_secs(1));
        let (heard, answered) = (heard.stop(), datagrams.stop());
        println!("heartbeats lost {name}: {:?} without an answer at most, epoch {epoch}", answered.outage());
        assert_eq!(heard.answering(start, Instant::now()), [mac], "{name}");
        assert_eq!(answered.by_since(start), [world.nodes[owner].host.number], "{name}");
        assert_eq!(world.owner(), owner, "{name}");
    }
}

#[test]
#[ignore = "minutes of real failures: cargo xtask vip"]
fn after_a_partition_there_is_one_owner_again() {
    let Some(world) = World::start() else { return };
    for _ in 0..3 {
        let alone = world.owner();
        let datagrams = client::datagrams(&world.client, VIP);
        pass(Duration::from_millis(300));
        world.nodes[alone].host.join("br1");
        let other = world.owner_without(alone);
        assert_eq!(world.nodes[alone].owners().as_deref(), Ok([world.nodes[alone].name.clone()].as_slice()));
        pass(Duration::from_secs(1));
        let parted = datagrams.stop();
        let (heard, datagrams) = (client::arping(&world.client, VIP), client::datagrams(&world.client, VIP));
        pass(Duration::from_millis(300));
        world.nodes[alone].host.join("br0");
        let healed = Instant::now();
        let winner = world.owner();
        let agreed = healed.elapsed();
        pass(Duration::from_secs(3));
        let heard = heard.stop();
        let loser = if winner == alone { other } else { alone };
        println!(
            "partition: {:?} without an answer at most; healed: all agree after {agreed:?}, the loser's last answer after {:?}, \
             {:?} without an answer at most",
            parted.outage(),
            heard.last_of(world.nodes[loser].host.mac, healed),
            datagrams.stop().outage(),
        );
        assert_eq!(heard.answering(healed + Duration::from_secs(2), Instant::now()), [world.nodes[winner].host.mac]);
        assert_eq!((world.owner(), world.answering()), (winner, vec![world.nodes[winner].host.mac]));
    }
}
